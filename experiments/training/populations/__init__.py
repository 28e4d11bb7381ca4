"""Populations: runs that are trained together in one program."""
