"""A batch of tables has the ends of each table alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anybody import TRUTH

from analysis.fitting.solvers.engine import engine
from analysis.fitting.solvers.objective import objective
from analysis.fitting.solvers.tables import fit_tables
from analysis.tables.points import Points
from scaling import laws
from scaling.common.errors import UserError
from scaling.laws import Law


def points(loss: np.ndarray, size: np.ndarray, data: np.ndarray) -> Points:
    labels = tuple(map(str, range(len(loss))))
    return Points(
        {"params": size, "tokens": data}, loss, np.ones(len(loss)), labels, pd.DataFrame()
    )


@pytest.mark.parametrize(
    "law", [laws.chinchilla, laws.chinchilla.tied(beta="alpha")], ids=["chinchilla", "tied"]
)
def test_each_table_has_the_optimum_of_its_own_fit(law: Law):
    size, data = (each.ravel() for each in np.meshgrid(np.geomspace(1e7, 3e8, 4), [1e9, 3e9, 1e10]))
    clean = np.log(laws.chinchilla.predict(TRUTH, params=size, tokens=data))
    logs = clean + np.random.default_rng(0).normal(0, 0.003, (3, 12))
    goal, weights = objective("log_huber", 1e-3), np.ones((1, 12))
    start = engine(law, points(np.exp(clean), size, data), goal)(weights, 8, None).values[0]
    found = fit_tables(law, points(np.exp(clean), size, data), goal, logs, weights, start)
    for table, ends in zip(logs, found, strict=True):
        alone = engine(law, points(np.exp(table), size, data), goal)(weights, 8, None)
        assert ends.objective[0] == pytest.approx(alone.objective[0], rel=1e-6)
        assert ends.certified[0]


def test_a_law_of_another_form_is_refused():
    law = laws.bnsl
    size = np.geomspace(1e7, 3e8, 12)
    with pytest.raises(UserError, match="no sum of power laws"):
        fit_tables(
            law, points(np.ones(12), size, size), objective("log_huber", 1e-3),
            np.zeros((1, 12)), np.ones((1, 12)), np.ones(len(law.parameters)),
        )  # fmt: skip
