"""Trained models written for other programs, and read again."""
