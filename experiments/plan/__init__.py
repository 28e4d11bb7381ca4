"""Studies as values: runs, grids, designs, branches, derived runs, settings that follow a law."""

from experiments.plan.deriving import derived, subsets

__all__ = ["derived", "subsets"]
