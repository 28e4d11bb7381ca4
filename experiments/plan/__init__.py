"""Studies as values: runs, grids, designs, branches, settings that follow a law."""
