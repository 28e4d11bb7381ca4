"""Statuses tell the truth: residuals like noise or not, for laws of the package and of a user."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.fitting.solvers import formula, newton
from analysis.fitting.types import FitStatus
from scaling import laws
from scaling.common.errors import UserError
from scaling.laws import Law, amplitude, exponent, offset

X = np.geomspace(1e3, 1e7, 24)
POWER = 1.5 + 40 * X**-0.4
mine = Law(
    "mine", form="L = E + A / x^alpha", variables=("x",),
    space=(offset("E"), amplitude("A"), exponent("alpha")),
    formula=lambda xp, p, x: p["E"] + p["A"] * x["x"] ** -p["alpha"],
)  # fmt: skip


def rows(loss: np.ndarray, noise: float = 0.004, seed: int = 0, x: np.ndarray = X) -> pd.DataFrame:
    drawn = np.random.default_rng(seed).normal(0, noise, len(x))
    return pd.DataFrame({"x": x, "loss": loss * np.exp(drawn)})


def descents(height: float, x: np.ndarray = X) -> np.ndarray:
    """Down, up again by `height`, and down."""
    return (1.5 + 40 * x**-0.4) * (1 + height * np.exp(-(np.log(x / 1e5) ** 2)))


FEW = np.geomspace(1e3, 1e7, 16)
TWO_SIZES = pd.DataFrame(
    {"x": np.repeat([1e3, 1e5], 6), "loss": np.repeat([4.0, 2.0], 6) + X[:12] / 1e9}
)
CASES = {
    "clean": (rows(POWER), FitStatus.CONVERGED, ""),
    "misfit": (rows(descents(0.4)), FitStatus.MISFIT, "the loss rises with x from"),
    "misfit of few": (rows(descents(0.8, FEW), x=FEW), FitStatus.MISFIT, "the loss rises with x"),
    "at bound": (rows(40 * X**-0.4 - 0.002), FitStatus.AT_BOUND, "E = 0 fits best"),
    "not identified": (TWO_SIZES, FitStatus.NOT_IDENTIFIED, "not identified"),
    "refused": (rows(POWER), FitStatus.REFUSED, "could not certify a minimum"),
}


@pytest.mark.parametrize("law", [laws.power_law, mine], ids=["registry", "own"])
@pytest.mark.parametrize("case", CASES)
def test_every_status(case: str, law: Law, monkeypatch: pytest.MonkeyPatch):
    table, status, note = CASES[case]
    if case == "refused":
        monkeypatch.setattr(newton, "ITERATIONS", 1)
        monkeypatch.setattr(newton, "FOLLOWED", 0)
        monkeypatch.setattr(formula, "WAY", 1)
        monkeypatch.setattr(formula, "SAME", -1.0)
    result = fit(law, table, x="x")
    assert result.status is status
    assert any(note in each for each in result.warnings) == bool(note)
    if status is FitStatus.REFUSED:
        for asked in (lambda: result.predict(x=1e8), lambda: result.optimal(1e20)):
            with pytest.raises(UserError, match="a refused fit predicts nothing"):
                asked()


def misses(result: FitResult) -> list[str]:
    return [note for note in result.warnings if note.startswith(("lack of fit", "misfit"))]


@pytest.mark.parametrize(
    ("shape", "seen"),
    [
        (np.minimum(6.9, 6.9 * (X / 3e5) ** -0.6), "keep one sign over long stretches of x"),
        (2 + 0.05 * np.log(X / 1e5) ** 2, "keep one sign over long stretches of x"),
        (POWER * (1 + 0.05 * np.tanh(np.log(X / 1e5))), "keep one sign over long stretches of x"),
        (descents(0.4), "neighbours along x have like residuals (correlation 0.7"),
    ],
    ids=["plateau", "U", "step", "bump"],
)
def test_another_shape_shows_in_the_residuals(shape: np.ndarray, seen: str):
    found = misses(fit(laws.power_law, rows(shape), x="x"))
    assert any(seen in note for note in found)
    assert "rows (row " in found[-1] and "--where" in found[-1]


@pytest.mark.parametrize("width", [1.5, 2.0])
@pytest.mark.parametrize("height", [0.1, 0.4, 0.8])
def test_a_double_descent_of_twelve_rows(height: float, width: float):
    """Twelve signs are too few to tell; that the rows lie on a smooth curve is not. Narrower peaks,
    of three rows, stay hidden."""
    x = np.geomspace(1e3, 1e8, 12)
    bump = np.exp(-((np.arange(12) - 5.3) ** 2) / (2 * width**2))
    loss = (0.3 + 5 * x**-0.2) * np.exp(height * bump)
    found = misses(fit(laws.power_law, rows(loss, 0.003, 1, x), x="x"))
    assert any("residuals follow a smooth curve of x" in note for note in found)


def test_curvature_alone_is_seen():
    """A slow bend under noise that hides it from neighbours."""
    x = np.geomspace(1e3, 1e7, 60)
    bent = rows(6 * x ** -(0.1 + 0.002 * np.log(x / 1e5)), 0.01, 1, x)
    found = misses(fit(laws.power_law_no_offset, bent, x="x"))
    assert any("the rows curve along x: one more constant" in note for note in found)


def test_scatter_above_that_of_repeats_is_lack_of_fit():
    """Sizes differ by 3 %, seeds by 0.3 %: the law explains the seeds and not the sizes."""
    x = np.repeat(np.geomspace(1e3, 1e7, 8), 3)
    bumps = np.repeat(np.exp(np.random.default_rng(4).normal(0, 0.03, 8)), 3)
    bent = fit(laws.power_law, rows((1.5 + 40 * x**-0.4) * bumps, 0.003, 1, x), x="x")
    assert bent.status is FitStatus.MISFIT
    assert any("between repeats of one setting" in note for note in misses(bent))
    twice = pd.concat([rows(POWER, 0.02), rows(POWER, 0.02)], ignore_index=True)
    assert not misses(fit(laws.power_law, twice, x="x")), "a row written twice is no repeat"


@pytest.mark.slow
def test_clean_rows_are_rarely_called_a_misfit(capsys: pytest.CaptureFixture[str]):
    """Normal, heavy-tailed, one-sided noise, and noise that falls by ten: nominal, 1 % in all."""
    rng, alarms, count = np.random.default_rng(0), 0, 0
    for size in (8, 12, 24, 60):
        x = np.geomspace(1e3, 1e7, size)
        draws = {
            "normal": lambda n: rng.normal(0, 1, n),
            "t3": lambda n: rng.standard_t(3, n),
            "one-sided": lambda n: rng.exponential(1, n),
            "falling": lambda n: rng.normal(0, np.linspace(3, 0.3, n)),
        }
        for draw in draws.values():
            for _ in range(60):
                table = pd.DataFrame(
                    {"x": x, "loss": (1.5 + 40 * x**-0.4) * np.exp(0.006 * draw(size))}
                )
                alarms += fit(laws.power_law, table, x="x").status is FitStatus.MISFIT
                count += 1
    with capsys.disabled():
        print(f"\n{alarms} of {count} clean tables called a misfit")
    assert alarms <= 0.01 * count + 2 * np.sqrt(0.01 * count)
