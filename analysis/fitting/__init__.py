"""Laws fitted to rows: exact minimum, status, intervals, held-out rows."""
