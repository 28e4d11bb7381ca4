"""Skills shared by families: the truth is found again, and the figure on the released table."""

from __future__ import annotations

import numpy as np
import pytest
from paths import needs_tables

from analysis.figures import reproduce
from analysis.inference.abilities import skills
from scaling.common.errors import UserError


def test_a_new_family_is_known_from_one_model() -> None:
    rng = np.random.default_rng(1)
    family = np.repeat([f"f{k}" for k in range(12)], 4)
    params, tokens = np.exp(rng.uniform(18, 25, (2, len(family))))
    x = skills.translog(params, tokens)
    theta = rng.normal(size=(12, 2)).repeat(4, 0) + (x - x.mean(0)) / x.std(0) @ np.full(
        (3, 2), 0.4
    )
    chance = np.array([0.25, 0.25, 0.5, 0.0, 0.0, 0.25])
    loadings = rng.uniform(0.2, 1.2, (6, 2))
    truth = chance + (1 - chance) / (1 + np.exp(-(theta @ loadings.T - 0.3)))
    asked = truth + rng.normal(0, 0.003, truth.shape)
    asked[rng.uniform(size=asked.shape) < 0.05] = np.nan
    seen = np.arange(len(family)) < 45  # the last family by its first model
    made = skills.fit(x[seen], family[seen], asked[seen], chance)
    error = np.abs(made.predict(x[~seen], family[~seen]) - truth[~seen])
    assert error.mean() < 0.02
    one = skills.fit(x[seen], family[seen], asked[seen], chance, skills=1)
    assert np.abs(one.predict(x[~seen], family[~seen]) - truth[~seen]).mean() > 2 * error.mean()
    with pytest.raises(UserError, match="no model of the family 'new'"):
        made.predict(x[:1], ["new"])


def test_a_variable_that_no_model_differs_in_is_refused() -> None:
    with pytest.raises(UserError, match="differ"):
        skills.fit(np.ones((3, 1)), ["a", "b", "c"], np.full((3, 2), 0.5), np.zeros(2))


@pytest.mark.slow
@needs_tables("observational_scaling")
def test_skills_err_less_than_one_law_for_all() -> None:
    ours = {row.quantity: row.ours for row in reproduce("skills").rows}
    assert ours["two skills"] == pytest.approx(5.1, abs=0.2)
    assert ours["two skills"] < ours["each benchmark by N and D"] < ours["one law for all families"]
