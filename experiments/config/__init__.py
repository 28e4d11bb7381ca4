"""The config of a run: its science, its execution, and how both are written and overridden."""
