"""Fit laws to tables and records, plan and predict the bigger run, report.

examples:
  windtunnel report runs/quickstart
  windtunnel fit table.csv --law chinchilla --params n --tokens d
"""
