"""The refit of the Chinchilla points (Besiroglu et al. 2024), from the table as released."""

from __future__ import annotations

import numpy as np
import pytest
from paths import DATA, needs_tables

from analysis import load_table
from analysis.fitting.fit import fit
from analysis.fitting.types import FitStatus
from scaling import laws

TABLE = DATA / "chinchilla_epoch" / "tidy.csv"
pytestmark = needs_tables("chinchilla_epoch/tidy.csv")


def test_objective_and_constants():
    result = fit(laws.chinchilla, load_table(TABLE), drop_highest=5)
    published = laws.chinchilla.constants("besiroglu2024_huber").values
    assert result.objective == pytest.approx(0.001018274, abs=5e-10)
    assert result.params["E"] == pytest.approx(published["E"], abs=5e-5)
    assert result.params["A"] == pytest.approx(published["A"], rel=1e-4)
    assert result.params["B"] == pytest.approx(published["B"], rel=5e-4)
    assert result.params["alpha"] == pytest.approx(published["alpha"], abs=1e-5)
    assert result.params["beta"] == pytest.approx(published["beta"], abs=2e-5)
    assert result.optimal(flops=5.76e23).tokens_per_param[0] == pytest.approx(17.9, abs=0.05)


def test_no_published_point_is_better():
    result = fit(laws.chinchilla, load_table(TABLE), drop_highest=5)
    log_loss = np.log(result.points.loss)
    for entry in laws.chinchilla.published:
        guess = np.log(laws.chinchilla.predict(entry.values, **result.points.variables))
        size = np.abs(guess - log_loss)
        value = np.where(size <= 1e-3, size**2 / 2, 1e-3 * (size - 5e-4)).sum()
        assert value >= result.objective * (1 - 1e-9), entry.name


def test_bootstrap_intervals():
    """Against 4,000 resamples of the authors: within what 1,000 of ours can tell."""
    result = fit(laws.chinchilla, load_table(TABLE), drop_highest=5, bootstrap=1000)
    published = {"E": (1.769, 1.871), "alpha": (0.317, 0.373), "beta": (0.331, 0.415)}
    for name, (low, high) in published.items():
        ours = result.interval(name)
        assert ours[0] == pytest.approx(low, abs=0.1 * (high - low))
        assert ours[1] == pytest.approx(high, abs=0.1 * (high - low))


@pytest.mark.parametrize(("drop", "beta"), [(0, 0.453), (1, 0.412), (3, 0.382), (20, 0.327)])
def test_drop_path(drop: int, beta: float):
    result = fit(laws.chinchilla, load_table(TABLE), drop_highest=drop)
    assert result.params["beta"] == pytest.approx(beta, abs=6e-4)


def test_tokens_constant():
    table = load_table(TABLE).nsmallest(240, "loss").assign(tokens=1e10)
    result = fit(laws.chinchilla, table)
    one_variable = fit(laws.power_law, table, x="params_total")
    assert result.params["alpha"] == pytest.approx(one_variable.params["alpha"], rel=1e-9)
    assert result.params["A"] == pytest.approx(one_variable.params["A"], rel=1e-8)
    assert np.isnan(result.params["B"]) and np.isnan(result.params["E"])


def test_joint_error_of_the_refit_is_what_a_bootstrap_gives():
    """The covariance that published constants carry, from the points themselves."""
    result = fit(laws.chinchilla, load_table(TABLE), drop_highest=5, bootstrap=1000, seed=1)
    theta = np.column_stack([result.samples[:, 0], np.log(result.samples[:, 1:])])
    held = np.array(laws.chinchilla.constants("besiroglu2024").covariance)
    spread = np.sqrt(np.diag(held))
    assert np.sqrt(np.diag(np.cov(theta.T))) == pytest.approx(spread, rel=0.15)
    found, kept = np.corrcoef(theta.T), held / np.outer(spread, spread)
    assert found == pytest.approx(kept, abs=0.1)


def test_absolute_residuals_give_the_constants_as_printed():
    """The printed refit belongs to a likelihood that is in effect that of absolute residuals."""
    result = fit(laws.chinchilla, load_table(TABLE), drop_highest=5, objective="log_absolute")
    published = laws.chinchilla.constants("besiroglu2024").values
    assert result.status is FitStatus.MISFIT, "the points curve along N beyond their noise"
    assert result.params["A"] == pytest.approx(published["A"], rel=1e-4)
    assert result.params["B"] == pytest.approx(published["B"], rel=1e-4)
