"""Hyperparameter laws and their recommendations for a run.

Each published law is a frozen record in a file of `published/`: definitions, range of the fit and
source of the constants. In `recommendation.py` `side_by_side` asks all of them about one run,
`recommend` asks one.
"""
