"""Devices, processes and signals of the machine that a run is on."""
