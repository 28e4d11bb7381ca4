"""Carry out a study: checks, cost, progress, and the runs that are left."""
