"""Chips, links, layouts, memory and the time of a step."""
