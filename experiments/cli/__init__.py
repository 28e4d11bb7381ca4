"""Commands of ``python -m experiments``, one file each, found by name: `add` and `run`."""
