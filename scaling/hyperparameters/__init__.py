"""Hyperparameter laws, and what they recommend for a run.

Each published law is a frozen record in a file of `published/` that carries what its constants
count, where they were fitted and by whom. In `recommendation.py`, `side_by_side` asks all of them
about one run, `recommend` asks one, and `rescale` moves a tuned value along one.
"""
