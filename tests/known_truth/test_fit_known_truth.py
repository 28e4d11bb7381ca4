"""Laws recovered from data sampled from them, and agreement with a solver that shares no code."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit
from analysis.fitting.types import FitStatus
from scaling import laws

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}


def design(truth: dict[str, float], noise: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """60 points: 10 sizes by 6 token counts."""
    params = np.repeat(np.geomspace(5e7, 1e10, 10), 6)
    tokens = np.tile(np.geomspace(1e9, 3e11, 6), 10)
    loss = laws.chinchilla.predict(truth, params=params, tokens=tokens)
    loss = loss * np.exp(np.random.default_rng(seed).normal(0, noise, len(loss)))
    return pd.DataFrame({"params_total": params, "tokens": tokens, "loss": loss})


def test_exact_data_give_back_the_law():
    result = fit(laws.chinchilla, design(TRUTH))
    assert result.status is FitStatus.CONVERGED
    for name, value in TRUTH.items():
        assert result.params[name] == pytest.approx(value, rel=1e-6)
    assert result.objective < 1e-18


def test_a_true_zero_is_found():
    """A floor of zero, where fits of log E end far off (16 to 155 times the optimum)."""
    result = fit(laws.chinchilla, design({**TRUTH, "E": 0.0}))
    assert result.params["E"] == pytest.approx(0.0, abs=1e-6)
    assert result.params["alpha"] == pytest.approx(0.35, rel=1e-4)
    assert result.objective < 1e-12


def test_a_floor_that_wants_to_be_negative_is_at_its_bound():
    table = design({**TRUTH, "E": 0.0})
    table["loss"] -= 0.02
    result = fit(laws.chinchilla, table, bootstrap=20)
    assert result.params["E"] == 0.0
    assert result.bounded == ("E",)
    assert result.status is FitStatus.MISFIT, "no law of a floor has this shape without noise"
    assert np.isnan(result.interval("E")).all()
    assert any("E = 0" in text for text in result.warnings)
    assert result.optimal(1e22).params[0] > 0


@pytest.mark.parametrize("delta", [1e-3, 1e-2, np.inf])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_scipy_from_many_starts_finds_nothing_better(delta: float, seed: int):
    optimize = pytest.importorskip("scipy.optimize")
    table = design(TRUTH, noise=0.008, seed=seed)
    result = fit(laws.chinchilla, table, delta=delta)
    log_n, log_d = np.log(table["params_total"].to_numpy()), np.log(table["tokens"].to_numpy())
    log_l = np.log(table["loss"].to_numpy())

    def objective(theta: np.ndarray) -> float:
        a, b, e, alpha, beta = theta
        shifted_n, shifted_d = log_n - 20, log_d - 24
        r = np.logaddexp(np.logaddexp(a - alpha * shifted_n, b - beta * shifted_d), e) - log_l
        size = np.abs(r)
        inside = size <= delta
        outside = 0.0 if np.isinf(delta) else delta * (size - delta / 2)
        return 1e4 * float(np.sum(np.where(inside, r**2 / 2, outside)))

    ends = []
    for alpha in (0.2, 0.5):
        for beta in (0.2, 0.5):
            start = np.array([-0.7, -0.7, 0.4, alpha, beta])
            for _ in range(3):
                start = optimize.minimize(
                    objective, start, method="Nelder-Mead",
                    options={"maxiter": 4000, "maxfev": 8000, "xatol": 1e-10, "fatol": 1e-13},
                ).x  # fmt: skip
            ends.append(objective(start) / 1e4)
    assert result.objective <= min(ends) * (1 + 1e-9)
    assert result.objective >= min(ends) * (1 - 1e-4), "scipy should come close to the optimum"


@pytest.mark.parametrize(
    ("law", "truth"),
    [
        (laws.power_law, {"E": 1.5, "A": 900.0, "alpha": 0.16}),
        (laws.power_law_no_offset, {"A": 40.0, "alpha": 0.07}),
    ],
)
def test_power_laws(law: laws.Law, truth: dict[str, float]):
    x = np.geomspace(1e17, 1e22, 15)
    table = pd.DataFrame({"compute": x, "loss": law.predict(truth, x=x)})
    result = fit(law, table, x="compute")
    for name, value in truth.items():
        assert result.params[name] == pytest.approx(value, rel=1e-6)


def test_interval_holds_the_truth_about_as_often_as_it_says():
    """30 noisy sets: a nominal 95 % interval of alpha, within what 30 draws can tell."""
    held = 0
    for seed in range(30):
        result = fit(laws.chinchilla, design(TRUTH, 0.008, seed), bootstrap=100, seed=seed)
        low, high = result.interval("alpha")
        held += low <= TRUTH["alpha"] <= high
    assert held >= 25
