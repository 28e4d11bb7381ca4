"""Routers of tokens to experts, one per file."""
