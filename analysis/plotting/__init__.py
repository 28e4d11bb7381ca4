"""Style of figures, and numbers as text."""
