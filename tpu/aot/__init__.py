"""Programs compiled ahead of time for TPUs that are not here."""
