"""Learning-curve forms by hand: roots, limits, slopes on each side of a break."""

from __future__ import annotations

import numpy as np
import pytest

from scaling.common.errors import UserError
from scaling.laws import learning_curves as forms
from scaling.laws import power_law_no_offset
from scaling.laws._law import Law
from scaling.laws.hestness import hestness, hestness_size

X = np.geomspace(1e2, 1e12, 401)


def slopes(law: Law, params: dict[str, float], x: np.ndarray) -> np.ndarray:
    """d ln L / d ln x by differences of 1e-4, whose own error is below 1e-6 here."""
    up, down = (law.predict(params, x=x * factor) for factor in (np.exp(1e-4), np.exp(-1e-4)))
    return np.log(up / down) / 2e-4


def test_m3_bends_from_a_power_law_to_a_floor():
    p = {"beta": 30.0, "gamma": 1e-6, "c": 0.3}
    loss = forms.shifted_power_law.predict(p, x=X)
    assert loss == pytest.approx(30.0 * (1 / X + 1e-6) ** 0.3)
    assert loss[-1] == pytest.approx(30.0 * 1e-6**0.3, rel=1e-5)


def wide(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    floor = rng.uniform(0, 1, count)
    return {
        "eps_inf": floor,
        "eps_0": floor + 10 ** rng.uniform(-1, 1, count),
        "alpha": np.exp(rng.uniform(np.log(0.05), np.log(6), count)),
        "beta": 10 ** rng.uniform(-4, 6, count),
        "c": rng.uniform(0.02, 1.0, count),
    }


def test_m4_solves_its_equation():
    """In logs, where both sides are within reach of double precision."""
    p = wide(20000)
    x = 10 ** np.random.default_rng(1).uniform(0, 10, 20000)
    loss = forms.sigmoidal_power_law.predict(p, x=x)
    span = p["eps_0"] - p["eps_inf"]
    excess, room = loss - p["eps_inf"], p["eps_0"] - loss
    clear = (excess > 1e-6 * span) & (room > 1e-6 * span)
    left = np.log(excess[clear]) - p["alpha"][clear] * np.log(room[clear])
    right = np.log(p["beta"][clear]) - p["c"][clear] * np.log(x[clear])
    assert clear.sum() > 5000
    assert left == pytest.approx(right, abs=1e-7)  # 1e-6 of the span keeps 10 digits
    assert ((loss >= p["eps_inf"]) & (loss <= p["eps_0"])).all()


@pytest.mark.parametrize("alpha", [0.05, 0.6, 1.0, 6.0])
def test_m4_falls_from_chance_to_its_floor(alpha: float):
    p = {"eps_inf": 0.1, "eps_0": 0.9, "alpha": alpha, "beta": 100.0, "c": 0.8}
    loss = forms.sigmoidal_power_law.predict(p, x=np.geomspace(1e-6, 1e12, 2001))
    assert (np.diff(loss)[loss[1:] < 0.9 - 1e-9] < 0).all()
    assert (loss <= 0.9).all()
    assert loss[-1] == pytest.approx(0.1, abs=1e-4)
    if alpha == 1.0:  # then the equation is solved by hand
        t = 100.0 * np.geomspace(1e-6, 1e12, 2001) ** -0.8
        assert loss == pytest.approx((0.1 + 0.9 * t) / (1 + t), rel=1e-12)


def test_m4_far_out_overflows_nowhere():
    p = {"eps_inf": 0.1, "eps_0": 0.9, "alpha": 0.05, "beta": 1.0, "c": 6.0}
    ends = forms.sigmoidal_power_law.predict(p, x=np.array([1e-300, 1e300]))
    assert ends == pytest.approx([0.9, 0.1])


def test_bnsl_has_the_slope_of_each_segment():
    p = {"a": 0.0, "b": 5.0, "c0": 0.05, "c1": 0.5, "d1": 1e5, "f1": 0.2,
         "c2": -0.4, "d2": 1e9, "f2": 0.3}  # fmt: skip
    # a width f changes slope over a factor of about e^(4 f): 10 widths out, e^-10 of it is left
    middle = slopes(forms.bnsl(2), p, np.array([1e2, 1e7, 1e12]))
    assert middle == pytest.approx([-0.05, -0.55, -0.15], abs=1e-4)
    at_break = slopes(forms.bnsl(2), p, np.array([1e5]))
    assert at_break == pytest.approx([-0.30], abs=1e-4)
    written = 5 * X**-0.05 * (1 + (X / 1e5) ** 5) ** -0.1 * (1 + (X / 1e9) ** (1 / 0.3)) ** 0.12
    assert forms.bnsl(2).predict(p, x=X) == pytest.approx(written)


def test_two_power_laws_meet_at_the_horizon():
    p = {"A": 1.5, "h": 4e5, "alpha": 0.1, "beta": 0.4}
    law = forms.two_power_laws()
    assert law.predict(p, x=np.array([4e5, 4e4, 4e6])) == pytest.approx(
        [1.5, 1.5 * 10**0.1, 1.5 * 10**-0.4]
    )
    assert law.predict(p, x=4e5 * (1 + 1e-9)) == pytest.approx(1.5, rel=1e-8)


def test_quadratic_joins_the_power_law_in_value_and_slope():
    p = {"A": 1.5, "n": 4e5, "alpha": 0.35, "q": -0.03}
    law = forms.quadratic_then_power_law()
    near = np.array([4e5 * (1 - 1e-6), 4e5, 4e5 * (1 + 1e-6), 1e9])
    assert slopes(law, p, near) == pytest.approx([-0.35] * 4, abs=1e-5)
    assert slopes(law, p, np.array([4e3])) == pytest.approx([-0.35 + 2 * 0.03 * np.log(100)])


def test_what_breaks_cannot_be():
    with pytest.raises(UserError, match="at least one break"):
        forms.bnsl(0)
    for within in ((1e6, 1e3), (0.0, 1.0), (1.0, np.inf)):
        with pytest.raises(UserError, match="least and the largest x"):
            forms.bnsl(1, within)


def test_hestness_by_hand():
    assert hestness.predict({"g": 0.5, "a": 8.0, "beta_g": 1 / 3}, samples=64.0) == (
        pytest.approx(2.5)
    )
    assert hestness_size.predict({"c": 2.0, "b_p": 0.5}, samples=9.0) == pytest.approx(6)


def test_published_slopes_are_those_that_the_paper_claims():
    """Slopes fall, none is the -1/2 of theory, and sizes grow no faster than the data."""
    for entry in hestness.quoted:
        assert -0.5 < entry.values["b_g"] < 0
    for entry in hestness_size.quoted:
        assert 0.5 <= entry.values["b_p"] < 1
    word = power_law_no_offset.constants("hestness2017_word_lm").values
    assert word["alpha"] == -hestness.quoted[0].values["b_g"]
