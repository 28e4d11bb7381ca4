"""One file per search; each docstring holds its command, expected result and wall time."""
