"""Functional Flax models: they know roles and letters, not meshes, runs or files."""
