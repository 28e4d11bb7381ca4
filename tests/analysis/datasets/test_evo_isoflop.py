"""Optima of Evo against the exponents that were read from the same figure."""

from __future__ import annotations

import numpy as np
import pandas as pd
from paths import DATA, needs_tables

from analysis.datasets import load

pytestmark = needs_tables("evo_isoflop/raw")


def test_exponents_are_those_published():
    optima = load("evo_isoflop")
    published = pd.read_csv(DATA / "evo_isoflop" / "raw" / "evo_scaling_laws.csv", index_col=0)
    assert len(optima) == 16
    for architecture, rows in optima.groupby("architecture"):
        for column, exponent in (("params_optimal", "a"), ("tokens_optimal", "b")):
            slope = np.polyfit(np.log(rows["flops_budget"]), np.log(rows[column]), 1)[0]
            assert abs(slope - published.loc[architecture, exponent]) < 0.01, architecture
