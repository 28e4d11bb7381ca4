"""Runs on disk: folder, claim, metrics, checkpoints, summary."""
