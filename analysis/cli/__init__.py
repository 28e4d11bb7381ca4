"""The commands of `python -m analysis`, a file each: `add(commands)` declares one, and it runs."""
