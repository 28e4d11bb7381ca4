"""Minimisers of an objective over the parameters of a law."""
