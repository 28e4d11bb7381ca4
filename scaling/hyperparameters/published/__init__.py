"""Published hyperparameter laws, one per file."""
