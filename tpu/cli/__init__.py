"""One file for each verb of ``python -m tpu``: its docstring, `add(parser)` and `run(options)`."""
