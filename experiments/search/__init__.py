"""Hyperparameter search: train many candidates briefly, and the best of them longer.

plan.py       the value of a search file: base, space, budgets, method
space.py      the values that a field may take; samplers/ choose candidates
halving.py    the promotion rules: pure bookkeeping
promotion.py  candidates scored by real runs, each continued from its checkpoint
searcher.py   a search in a folder; cost.py its cost
"""
