"""Tables of runs: records, studies and files to rows with checked columns."""
