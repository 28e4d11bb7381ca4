"""Tasks, one per file; `experiments/evaluation/task.py` defines their form."""
