"""Conclusions from fits: forecasts, comparisons, gains, profiles, diagnostics."""
