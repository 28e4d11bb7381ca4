"""Best mixtures of texts: regressions on proxies, and searches of a table of runs."""
