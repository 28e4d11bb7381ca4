"""Predictions beyond the fitted rows: how far, how sure, and how they held."""
