"""Each form of learning curve, fitted to the small sizes alone, gives the large ones and itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit
from analysis.fitting.types import FitStatus
from analysis.inference.compare import compare
from scaling.laws import learning_curves as forms
from scaling.laws import power_law, power_law_no_offset
from scaling.laws._law import Law
from scaling.laws.hestness import hestness, hestness_size

RANGE = (1e3, 1e8)
SIZES = np.geomspace(*RANGE, 40)
NOISE = 0.003
HELD = f"x>{SIZES[33]}"  # the last 6 of 40: 2.2 times beyond the largest fitted

CASES = [
    (hestness, {"g": 0.4, "a": 40.0, "beta_g": 0.3}),
    (hestness_size, {"c": 30.0, "b_p": 0.7}),
    (forms.shifted_power_law, {"beta": 30.0, "gamma": 1e-6, "c": 0.3}),
    (
        forms.sigmoidal_power_law,
        {"eps_inf": 0.1, "eps_0": 0.9, "alpha": 0.6, "beta": 60.0, "c": 0.5},
    ),
    (
        forms.bnsl(1, RANGE),
        {"a": 0.3, "b": 5.0, "c0": 0.05, "c1": 0.5, "d1": 2e4, "f1": 0.3},
    ),
    (forms.two_power_laws(RANGE), {"A": 1.5, "h": 4e5, "alpha": 0.1, "beta": 0.4}),
    (forms.quadratic_then_power_law(RANGE), {"A": 1.5, "n": 4e5, "alpha": 0.35, "q": -0.03}),
]


def sample(law: Law, truth: dict[str, float], noise: float = NOISE) -> pd.DataFrame:
    loss = law.predict(truth, **{law.variables[0]: SIZES})
    return pd.DataFrame(
        {"x": SIZES, "loss": loss * np.exp(np.random.default_rng(1).normal(0, noise, 40))}
    )


def whole(law: Law, truth: dict[str, float]) -> Any:
    marks = [pytest.mark.slow] * (law.name in ("sigmoidal_power_law", "bnsl"))  # half of the time
    return pytest.param(law, truth, id=law.name, marks=marks)


@pytest.mark.parametrize(("law", "truth"), [whole(*each) for each in CASES])
def test_recovered_and_extrapolated(law: Law, truth: dict[str, float]):
    table = sample(law, truth)
    result = fit(law, table, columns={law.variables[0]: "x"}, holdout=HELD, bootstrap=60)
    assert result.status is FitStatus.CONVERGED
    spread = dict(zip(law.parameters, result.samples.std(axis=0), strict=True))
    for name, value in truth.items():
        # 26 constants in all: at 4 deviations none is expected to miss by chance
        assert abs(result.params[name] - value) < 4 * spread[name], name
    (variable,) = law.variables
    held = table[table["x"] > SIZES[33]]
    true = law.predict(truth, **{variable: held["x"]})
    predicted = result.predict_at({variable: held["x"]}, 0.99)
    assert ((predicted.low < true) & (true < predicted.high)).all()
    low, high = predicted.constants
    assert (high / low < 1.06).all()


@pytest.mark.parametrize(("law", "truth"), CASES[2:], ids=lambda each: getattr(each, "name", ""))
def test_one_power_law_would_have_extrapolated_worse(law: Law, truth: dict[str, float]):
    """M1 on the same rows, held to the rows that the law itself predicts within 3 %."""
    table = sample(law, truth)
    held = table[table["x"] > SIZES[33]]
    straight = fit(power_law_no_offset, table, x="x", holdout=HELD)
    error = straight.predict(x=held["x"]).value / held["loss"] - 1
    assert np.abs(error).max() > 0.06


def test_two_breaks():
    """Down, and up again: c2 < 0. Exact rows, since nine constants take them all."""
    law = forms.bnsl(2, RANGE)
    truth = {"a": 0.1, "b": 5.0, "c0": 0.05, "c1": 0.5, "d1": 2e4, "f1": 0.2,
             "c2": -0.4, "d2": 5e6, "f2": 0.2}  # fmt: skip
    result = fit(law, sample(law, truth, noise=0.0), x="x")
    for name, value in truth.items():
        assert result.params[name] == pytest.approx(value, rel=1e-4), name


def broken(breaks: int, seed: int) -> pd.DataFrame:
    """40 rows of a curve that falls, levels and falls again, with this many breaks."""
    places = RANGE[0] * (RANGE[1] / RANGE[0]) ** (np.arange(1, breaks + 1) / (breaks + 1))
    truth = {"a": 0.3, "b": 30.0, "c0": 0.1}
    for at, (turn, place) in enumerate(zip((0.4, -0.35, 0.4), places, strict=False), 1):
        truth |= {f"c{at}": turn, f"d{at}": place, f"f{at}": 0.3}
    loss = forms.bnsl(breaks).predict(truth, x=SIZES)
    noise = np.random.default_rng([breaks, seed]).normal(0, NOISE, len(SIZES))
    return pd.DataFrame({"x": SIZES, "loss": loss * np.exp(noise)})


ONE = {"a": 0.3, "b": 30.0, "c0": 0.1, "c1": 0.4, "d1": 3e5, "f1": 0.3}
PLACES = np.geomspace(*RANGE, 80)[1:-1]
ABSENT = [  # laws with and without a part, their truth; directions of the rest, and of the part
    pytest.param(
        forms.TWO_BREAKS, forms.ONE_BREAK, ONE | {"c2": 0.0},
        [(name,) for name in ONE], "c2",
        [{"d2": at, "f2": width} for at in PLACES for width in np.geomspace(0.02, 3, 10)],
        id="break",
    ),
    pytest.param(
        forms.TWO_POWERS, power_law_no_offset, {"A": 1.5, "alpha": 0.1, "beta": 0.1},
        [("A",), ("alpha", "beta")], "beta", [{"h": at} for at in PLACES], id="horizon",
    ),
    pytest.param(
        forms.QUADRATIC_FIRST, power_law_no_offset, {"A": 1.5, "alpha": 0.1, "q": 0.0},
        [("A",), ("alpha",)], "q", [{"n": at} for at in PLACES], id="quadratic",
    ),
]  # fmt: skip


def slope(law: Law, at: dict[str, float], names: tuple[str, ...]) -> np.ndarray:
    """d ln L / d theta over the rows, to a factor, where the named constants move together."""
    ends = [
        at | {name: at[name] + step * max(1, at[name]) for name in names} for step in (1e-6, -1e-6)
    ]
    above, below = (np.log(law.predict(end, x=SIZES)) for end in ends)
    return above - below


@pytest.mark.parametrize(("law", "without", "truth", "rest", "part", "places"), ABSENT)
def test_a_part_that_is_not_there_counts_as_the_noise_it_fits(
    law: Law, without: Law, truth: dict[str, float], rest: list[tuple[str, ...]], part: str,
    places: list[dict[str, float]],
):  # fmt: skip
    """To first order: the square of normal noise along the best of all places, in its variance."""
    known, _ = np.linalg.qr(np.stack([slope(law, truth | places[0], each) for each in rest], 1))
    found = np.stack([slope(law, truth | place, (part,)) for place in places])
    found -= found @ known @ known.T
    size = np.linalg.norm(found, axis=1, keepdims=True)
    found = (found / size)[size[:, 0] > 1e-10]
    noise = np.random.default_rng(0).normal(size=(len(SIZES), 2000))
    taken = float(np.mean(np.max((found @ noise) ** 2, axis=0)))
    print(f"{law.name}: {taken:.2f}")
    assert taken == pytest.approx(law.counted - without.counted, abs=0.5)


def breaks_by_aicc(table: pd.DataFrame, *known: Law) -> str:
    return str(compare([fit(law, table, x="x") for law in known])["law"].iloc[0])


def test_aicc_counts_the_breaks():
    """One, of none to two: neither too few nor too many. The slow test has all three."""
    assert breaks_by_aicc(broken(1, 0), power_law, forms.ONE_BREAK, forms.TWO_BREAKS) == "bnsl"


@pytest.mark.slow
@pytest.mark.parametrize("breaks", [1, 2, 3])
def test_aicc_counts_one_to_three_breaks(breaks: int):
    """Against all three: of four curves each, at least three are counted right."""
    known = (forms.ONE_BREAK, forms.TWO_BREAKS, forms.THREE_BREAKS)
    wanted = known[breaks - 1].name
    found = [breaks_by_aicc(broken(breaks, seed), *known) for seed in range(4)]
    print(f"{wanted}: {found}")
    assert found.count(wanted) >= 3
