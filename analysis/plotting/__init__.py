"""The style of figures and the spelling of numbers."""
