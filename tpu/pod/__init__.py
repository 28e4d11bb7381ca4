"""Launching, setting up and following TPU machines."""
