"""Notes of a fit: which bound, which direction, and how rows were resampled."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.fitting.fit import fit
from analysis.fitting.types import FitStatus
from scaling import laws
from scaling.laws import Law, amplitude, exponent, offset

X = np.geomspace(1e3, 1e7, 24)


def rows(loss: np.ndarray, noise: float = 0.004, seed: int = 0, x: np.ndarray = X) -> pd.DataFrame:
    drawn = np.random.default_rng(seed).normal(0, noise, len(x))
    return pd.DataFrame({"x": x, "loss": loss * np.exp(drawn)})


def said(text: str, table: pd.DataFrame, law: Law = laws.power_law, **options) -> bool:
    return any(text in note for note in fit(law, table, x="x", **options).warnings)


POWER = 1.5 + 40 * X**-0.4


def test_a_rising_loss_is_said_to_rise_and_has_no_interval():
    result = fit(laws.power_law, rows(2.2 + 0.05 * np.log(X)), x="x", bootstrap=100)
    assert any("the loss rises with x" in note for note in result.warnings)
    assert result.status is FitStatus.NOT_IDENTIFIED
    assert all(np.isnan(result.interval(name)).all() for name in ("E", "A", "alpha"))


def test_sizes_in_another_unit_than_the_recorded_flops_are_told():
    """N in millions and D in billions fit alike, but their 6 N D is no budget in FLOPs."""
    size, data = np.repeat(np.geomspace(1e7, 1e9, 5), 4), np.tile(np.geomspace(1e9, 1e11, 4), 5)
    loss = 1.8 + 480 * size**-0.35 + 2100 * data**-0.37
    table = pd.DataFrame({"N": size / 1e6, "D": data / 1e9, "loss": loss, "flops": 6 * size * data})
    (note,) = [
        n for n in fit(laws.chinchilla, table, params="N", tokens="D").warnings if "6 x" in n
    ]
    assert note.startswith("6 x N x D is 1e-15 times column 'flops'")
    whole = table.assign(N=size, D=data, flops=table["flops"] * 1.3)
    assert not any("6 x" in n for n in fit(laws.chinchilla, whole, params="N", tokens="D").warnings)


def test_which_bound_and_which_value():
    low = Law(
        "low", form="L = E + A / x^alpha", variables=("x",),
        space=(offset("E", high=1.0), amplitude("A"), exponent("alpha")),
        formula=lambda xp, p, x: p["E"] + p["A"] * x["x"] ** -p["alpha"],
    )  # fmt: skip
    assert said("E is at its upper bound, 1", rows(POWER), low)
    assert said("E = 0 fits best", rows(40 * X**-0.4 - 0.02), low)
    steep = 1.5 + 1e30 * X**-9.0
    assert said("alpha is at its upper bound, 6", rows(steep), laws.power_law)


def test_few_clusters_and_few_resamples_are_noted():
    table = rows(POWER).assign(run=np.arange(24) // 6)
    assert said("4 clusters of 24 rows (fewer than 10", table, bootstrap=20, cluster="run")
    assert said("20 resamples are few", table, bootstrap=20)
    assert not said("few", rows(POWER), bootstrap=100)


def test_rows_of_one_run_are_resampled_together():
    """Six runs whose levels differ by 3 %, ten checkpoints each that differ by 0.1 %."""
    rng = np.random.default_rng(0)
    x = np.tile(np.geomspace(1e3, 1e7, 10), 6)
    level = np.repeat(rng.normal(0, 0.03, 6), 10)
    loss = (1.5 + 40 * x**-0.4) * np.exp(level + rng.normal(0, 0.001, 60))
    table = pd.DataFrame({"x": x, "loss": loss, "run_id": np.repeat(list("abcdef"), 10)})
    fits = {how: fit(laws.power_law, table, x="x", bootstrap=100, cluster=how)
            for how in (None, "run_id", "none")}  # fmt: skip
    runs, named, alone = (np.ptp(fits[how].interval("E")) for how in fits)
    assert runs == named > 1.5 * alone
    said = "60 rows look like checkpoints of 6 runs (column 'run_id')"
    (note,) = [note for note in fits[None].warnings if note.startswith(said)]
    assert "resampled by run" in note and "--cluster none" in note
    assert fits[None].status is FitStatus.CONVERGED, "levels of runs are noise"


def test_an_exponent_over_less_than_a_factor_of_two_is_named():
    near = np.geomspace(1e6, 1.6e6, 24)
    assert said("x spans a factor of 1.6 only, and E, A, alpha rest on it", rows(POWER, x=near))
    assert not said("spans a factor", rows(POWER))


def test_a_bound_that_an_interval_reaches_is_named():
    noisy = rows(40 * X**-0.2, 0.05, seed=3)
    assert said("E is 0 in", noisy, bootstrap=100)
