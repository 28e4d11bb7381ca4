"""One file per study; each docstring holds its command, expected result and wall time."""
