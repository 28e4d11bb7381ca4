"""Evaluation of a model: tasks in; metrics, and a row for each item, out."""
