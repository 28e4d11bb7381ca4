"""Budgets: the best use of one, its price in loss, and the bill of what was spent."""
