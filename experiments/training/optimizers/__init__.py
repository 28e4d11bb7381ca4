"""Optimizers: one file each, found by name, with its formula in the docstring.

A file defines `OPTIMIZER`, an `Optimizer` (experiments/config/optimizer.py).
"""
