"""The optimizers by name: what each is (config.py), how each steps (update.py, a row of its table).

config.py imports no JAX, so that a config is checked before any is loaded.
"""
