"""Searching for the best settings: many candidates briefly, the best of them on.

plan.py       what a search file gives: base, space, budgets, method
space.py      what a field may be, and samplers/ who is tried
halving.py    who is promoted: pure bookkeeping
promotion.py  candidates scored by real runs, each going on from its checkpoint
searcher.py   a search in a folder; bill.py what it costs; command.py its command line
"""
