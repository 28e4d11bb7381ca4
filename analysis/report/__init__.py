"""The report of a study: evidence, verdict, figures, page."""
