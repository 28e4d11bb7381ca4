"""Train studies and searches, and look at their records.

examples:
  windtunnel run quickstart --set model.mlp=swiglu
  windtunnel run quickstart --dry-run
  windtunnel status quickstart
  windtunnel search lr_search --dry-run
"""
