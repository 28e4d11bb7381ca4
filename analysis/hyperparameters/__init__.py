"""Hyperparameter laws: from a grid of runs to lr*(N, D) and B*(D), each with an interval.

Three routes, from the most local to the most global:

    optimum_per_cell -> law_of_optima   a quadratic surface in each cell; a law of the vertices
    near_optimal_set -> regress         a line through the runs near the best of each cell
                                        (Step Law's recipe)
    joint_surface                       one bowl for all cells; its bottom moves as a power law

`save_law` writes such laws to a file; `windtunnel recommend --fit` shows them.
A cell fixes the columns that are not tuned, such as one size and one token count. `regret` measures
the cost of a rule.
"""

from analysis.hyperparameters.law_file import FittedLaw, load_law, save_law
from analysis.hyperparameters.near_optimal import near_optimal_set, regret
from analysis.hyperparameters.optimum import CellOptimum, Optima, Where, optimum_per_cell
from analysis.hyperparameters.power_law import OptimumLaw, law_of_optima, regress
from analysis.hyperparameters.surface import JointSurface, joint_surface

__all__ = [
    "CellOptimum",
    "FittedLaw",
    "JointSurface",
    "Optima",
    "OptimumLaw",
    "Where",
    "joint_surface",
    "law_of_optima",
    "load_law",
    "near_optimal_set",
    "optimum_per_cell",
    "regress",
    "regret",
    "save_law",
]
