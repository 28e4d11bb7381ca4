"""Trajectories predicted at a larger size and another batch than any run had."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import write_study

from analysis.estimators.trajectory import (
    TrajectoryFit,
    fit_trajectories,
    load_trajectories,
    trajectory_law,
)
from analysis.fitting.types import FitStatus, Prediction
from scaling.common.errors import UserError
from scaling.laws.kaplan import critical_tokens, loss_at_batch

TRUTH = {
    "N_c": 6e13, "alpha_N": 0.076, "S_c": 2.1e3, "alpha_S": 0.76, "B_star": 2e8, "alpha_B": 0.21,
}  # fmt: skip
DESIGN = (
    *((size, 2**17) for size in (1e6, 2.5e6, 6e6, 1.5e7, 4e7)),
    *((size, 2**j) for size in (2.5e6, 1.5e7) for j in (14, 15, 16, 18, 19, 20)),
)
WARMUP = 300


def runs(noise: float, design=DESIGN, seed: int = 0) -> pd.DataFrame:
    """Losses of each step with `noise`, and a third of it for the run as a whole; 15 % too high in
    warmup."""
    rng, parts = np.random.default_rng(seed), []
    for size, batch in design:
        last = 1e5 * max(1, 2**17 / batch) ** 0.7
        steps = np.unique(np.geomspace(100, last, 200).round())
        loss = loss_at_batch(TRUTH, size, batch, steps)
        loss = loss * np.exp(rng.normal(0, noise, len(steps)) + rng.normal(0, noise / 3))
        loss = np.where(steps <= WARMUP, 1.15 * loss, loss)
        parts.append(
            pd.DataFrame(
                {"run_id": f"{size:g} at {batch}", "params_nonembedding": size,
                 "batch_tokens": batch, "step": steps, "loss": loss}
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def found() -> TrajectoryFit:
    return fit_trajectories(runs(0.01), warmup_steps=WARMUP, bootstrap=60)


def test_constants_are_recovered(found: TrajectoryFit):
    assert found.result.status is FitStatus.CONVERGED
    for name, value in TRUTH.items():
        low, high = found.interval(name)
        plain = found.result.interval(name)
        assert low < value < high, name
        # the scales lie far beyond the runs: 3 % of alpha_N is a factor e of N_c
        assert high / low < 1.2 or not name.startswith("alpha")
        assert np.log(high / low) > 1.2 * np.log(plain[1] / plain[0])


def test_a_larger_model_at_other_batches(found: TrajectoryFit):
    """25 times the largest size, at batches below and above all those seen: the whole curve."""
    steps = np.geomspace(1e3, 1e6, 12)
    for batch in (2.0**12, 2.0**22):
        predicted = found.loss(params=1e9, batch_tokens=batch, steps=steps)
        held = holds(predicted, loss_at_batch(TRUTH, 1e9, batch, steps))
        assert held.all()
        assert (predicted.high / predicted.low < 1.12).all()


@pytest.mark.slow
def test_intervals_cover_over_many_studies():
    """Twelve studies, six predictions each at a nominal 95 %: over 80 the widened intervals held
    98 % where percentiles alone held 90 %. Predictions of a study fail together: hence the margin,
    which separates a gross error from none, not 90 % from 95 %."""
    at, held = np.array([3e3, 1e5]), []
    for seed in range(400, 412):
        found = fit_trajectories(runs(0.01, seed=seed), warmup_steps=WARMUP, bootstrap=100)
        for size, batch in ((1e9, 2.0**12), (1e9, 2.0**22), (1e8, 2.0**17)):
            predicted = found.loss(params=size, batch_tokens=batch, steps=at)
            held += holds(predicted, loss_at_batch(TRUTH, size, batch, at)).tolist()
    assert np.mean(held) > 0.9


def holds(predicted: Prediction, true) -> np.ndarray:
    return (predicted.low <= true) & (true <= predicted.high)


def test_steps_and_tokens_to_a_loss(found: TrajectoryFit):
    target, size, batch = np.array([2.6, 3.0]), 1e9, 2.0**20
    steps = found.steps_to(target, params=size, batch_tokens=batch, level=0.99)
    reached = found.loss(params=size, batch_tokens=batch, steps=steps.value).value
    assert reached == pytest.approx(target, rel=1e-9)
    back = loss_at_batch(TRUTH, size, batch, np.stack([steps.low, steps.high]))
    assert (back[0] >= target).all()
    assert (back[1] <= target).all()
    tokens = found.tokens_to(target, params=size, batch_tokens=batch, level=0.99)
    assert tokens.high == pytest.approx(steps.high * batch)


def test_a_loss_below_the_floor_is_never_reached(found: TrajectoryFit):
    floor = found.minimum_loss(params=1e9, level=0.99)
    assert holds(floor, (TRUTH["N_c"] / 1e9) ** TRUTH["alpha_N"])
    steps = found.steps_to(float(floor.low) * 0.99, params=1e9, batch_tokens=1e6, level=0.99)
    assert (steps.value, steps.low, steps.high) == (np.inf, np.inf, np.inf)
    between = found.steps_to(float(floor.value) * 0.999, params=1e9, batch_tokens=1e6, level=0.99)
    assert between.low < np.inf
    assert between.high == np.inf


@pytest.mark.parametrize("value", ["many", None, True, 1j, 0, np.nan, [], 10**400])
def test_a_trajectory_at_no_number_is_one_line(value: object, found: TrajectoryFit):
    for ask in (
        lambda: found.loss(params=value, batch_tokens=1e5, steps=1e3),
        lambda: found.minimum_loss(params=value),
        lambda: found.tokens_to(3.0, params=1e8, batch_tokens=value),
        lambda: found.critical_batch(value),
    ):
        with pytest.raises(UserError, match=r"number|finite and positive|no value is given"):
            ask()


def test_critical_batch(found: TrajectoryFit):
    for loss in (2.0, 3.0, 4.0):
        assert holds(found.critical_batch(loss, 0.99), critical_tokens(TRUTH, loss))


def test_the_recipe_on_exact_runs():
    """Without noise each step comes near. Averaging in bins and interpolation leave an error, and
    the fit of all constants at once removes most of it."""
    found = fit_trajectories(runs(0.0), warmup_steps=WARMUP)
    for name, value in TRUTH.items():
        assert found.recipe[name] == pytest.approx(value, rel=0.05), name
        assert found.result.params[name] == pytest.approx(value, rel=0.01), name
    nothing = found.loss(params=1e9, batch_tokens=1e6, steps=1e5)
    assert np.isnan(nothing.low)
    level = found.levels.iloc[len(found.levels) // 2]
    critical = critical_tokens(TRUTH, level["level"])
    assert level["critical_tokens"] == pytest.approx(critical, rel=0.05)


def test_one_step_from_the_measured_loss_misses_by_its_square():
    """1 % away from the root, the step ends within 1e-4 of it, and from 0.1 % within 1e-6."""
    steps = np.geomspace(1e3, 1e6, 30)
    for batch in (2.0**12, 2.0**16, 2.0**20):
        at = {"params": 1e7, "batch_tokens": batch, "steps": steps}
        root = loss_at_batch(TRUTH, 1e7, batch, steps)
        for off in (0.01, -0.01, 0.001):
            law = trajectory_law.predict(TRUTH, **at, measured=root * np.exp(off))
            assert np.abs(law / root - 1).max() < off**2


def test_one_batch_per_size_answers_nothing_about_batches():
    table = runs(0.0, design=DESIGN[:5])
    with pytest.raises(UserError, match="3 different batches"):
        fit_trajectories(table)


def test_one_size_answers_nothing_about_sizes():
    with pytest.raises(UserError, match="add runs of other sizes"):
        fit_trajectories(runs(0.0, design=[run for run in DESIGN if run[0] == 1.5e7]))


def test_mistakes_are_named():
    table = runs(0.0)
    with pytest.raises(UserError, match="no column 'run'"):
        fit_trajectories(table, run="run")
    with pytest.raises(UserError, match="no row lies beyond"):
        fit_trajectories(table, warmup_steps=1e9)
    with pytest.raises(UserError, match="'batch_tokens' changes within the run"):
        fit_trajectories(table.assign(run_id="one", params_nonembedding=1e6))
    with pytest.raises(UserError, match="finite and positive"):
        fit_trajectories(table.assign(loss=-1.0))


def test_trajectories_of_records(tmp_path: Path):
    table = load_trajectories(write_study(tmp_path / "study"))
    assert list(table.columns) == ["run_id", "params_nonembedding", "batch_tokens", "step", "loss"]
    assert table["run_id"].nunique() == 18
    assert (table["batch_tokens"] == 512).all()
    assert table["loss"].notna().all()
    with pytest.raises(UserError, match="no completed run"):
        load_trajectories(write_study(tmp_path / "empty", fit_runs="none"))
