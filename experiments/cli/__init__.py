"""Commands of `python -m experiments`, one per file."""
