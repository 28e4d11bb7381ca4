"""The commands of ``python -m tpu``, one file each, found by their names."""
