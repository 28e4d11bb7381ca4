"""Three solvers that share little find the same optimum, to 1e-9 of the objective: the exact one
for additive laws, autodiff on the form as a user would write it, and SciPy's least_squares."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit
from scaling import laws
from scaling.laws import Law, amplitude, exponent, offset

optimize = pytest.importorskip("scipy.optimize")

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
written_out = Law(
    "written out",
    form="E + A / N^alpha + B / D^beta",
    variables=("params", "tokens"),
    space=(offset("E"), amplitude("A"), amplitude("B"), exponent("alpha"), exponent("beta")),
    formula=lambda xp, p, x: (
        p["E"] + p["A"] / x["params"] ** p["alpha"] + p["B"] / x["tokens"] ** p["beta"]
    ),
)


def grid(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """10 sizes by 6 token counts."""
    return np.repeat(np.geomspace(5e7, 1e10, 10), 6), np.tile(np.geomspace(1e9, 3e11, 6), 10)


def isoflop(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """5 budgets of 8 sizes each."""
    flops = np.repeat(np.geomspace(1e18, 1e21, 5), 8)
    params = np.sqrt(flops / 120) * np.tile(np.geomspace(0.2, 5, 8), 5)
    return params, flops / 6 / params


def scattered(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """24 points anywhere."""
    return np.exp(rng.uniform(17, 23, 24)), np.exp(rng.uniform(20, 26, 24))


def table(design, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    params, tokens = design(rng)
    loss = laws.chinchilla.predict(TRUTH, params=params, tokens=tokens)
    loss = loss * np.exp(0.005 * rng.standard_t(4, len(params)))
    return pd.DataFrame({"params_total": params, "tokens": tokens, "loss": loss})


def scipy_optimum(points: pd.DataFrame, delta: float, starts: int) -> float:
    """The least of many trust-region ends. Residuals are in units of delta, so that SciPy's
    tolerances mean what they say; logs are centred."""
    log_n, log_d = (np.log(points[name].to_numpy()) for name in ("params_total", "tokens"))
    log_n, log_d = log_n - log_n.mean(), log_d - log_d.mean()
    log_l = np.log(points["loss"].to_numpy())
    unit = delta if np.isfinite(delta) else 1e-2

    def terms(theta: np.ndarray) -> np.ndarray:
        return np.stack(
            [
                np.full_like(log_n, theta[0]),
                np.exp(theta[1] - theta[3] * log_n),
                np.exp(theta[2] - theta[4] * log_d),
            ]
        )

    def residuals(theta: np.ndarray) -> np.ndarray:
        return (np.log(terms(theta).sum(axis=0)) - log_l) / unit

    def jacobian(theta: np.ndarray) -> np.ndarray:
        parts = terms(theta)
        _, a, b = parts / parts.sum(axis=0)
        return np.stack([1 / parts.sum(axis=0), a, b, -a * log_n, -b * log_d], axis=1) / unit

    rng = np.random.default_rng(0)
    low, high = np.array([0.5, -3, -3, 0.1, 0.1]), np.array([2.2, 0.5, 0.5, 1.0, 1.0])
    ends = [
        optimize.least_squares(
            residuals, rng.uniform(low, high), jacobian,
            bounds=([0, -30, -30, 1e-3, 1e-3], [20, 30, 30, 6, 6]), x_scale="jac",
            loss="huber" if np.isfinite(delta) else "linear",
            ftol=1e-15, xtol=1e-15, gtol=1e-15, max_nfev=500,
        ).cost
        for _ in range(starts)
    ]  # fmt: skip
    return min(ends) * unit**2


@pytest.mark.parametrize("delta", [1e-3, 5e-3, np.inf])
@pytest.mark.parametrize("design", [grid, isoflop, scattered])
def test_exact_autodiff_and_scipy_agree(design, delta: float):
    points = table(design, seed=1)
    exact = fit(laws.chinchilla, points, delta=delta)
    by_derivatives = fit(written_out, points, columns={"params": "params_total"}, delta=delta)
    assert by_derivatives.objective == pytest.approx(exact.objective, rel=1e-9)
    assert by_derivatives.params == pytest.approx(exact.params, rel=1e-4)
    assert scipy_optimum(points, delta, starts=12) == pytest.approx(exact.objective, rel=1e-9)


def test_exact_and_autodiff_agree_on_every_resample():
    points = table(grid, seed=2)
    exact, by_derivatives = (
        fit(law, points, columns={"params": "params_total"}, bootstrap=40)
        for law in (laws.chinchilla, written_out)
    )
    assert by_derivatives.samples == pytest.approx(exact.samples, rel=1e-4)
