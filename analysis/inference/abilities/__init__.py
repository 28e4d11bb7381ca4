"""Abilities of an unrun size: chains from the size of a model to its accuracy on a task.

A chain is one file in `chains`, found by its name; `answers.py` holds the runs' answers. Of tables
without items, `chained_laws.py` joins a law of the loss and one of the error.
"""
