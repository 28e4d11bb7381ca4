"""Tasks, one per file; `experiments/evaluation/task.py` says what such a file defines."""
