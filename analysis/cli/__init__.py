"""Commands of ``python -m analysis``, one a file: its docstring, `add(parser)`, `run(options)`."""
