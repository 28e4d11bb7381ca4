"""Estimators of other quantities than a law's constants: minima, trajectories, curves, valleys."""
