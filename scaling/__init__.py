"""The rules of scale: pure functions and frozen dataclasses, no I/O, no other room."""
