"""The page of a report: what stands on it, and how it is set."""
