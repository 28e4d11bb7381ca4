"""Estimators beside the fit of a law: IsoFLOP minima, trajectories, loss curves, valleys."""
