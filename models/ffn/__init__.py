"""Feed-forward layers, one per file."""
