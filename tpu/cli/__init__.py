"""Plan runs for accelerators, rent TPUs, watch the runs there and end them.

tpu/README.md goes from a fresh cloud project to a finished sweep.
"""
