"""Plans of a run agree with the law that they were fitted to, and with each other."""

from __future__ import annotations

import numpy as np
import pytest
from anybody import TRUTH, ladder

from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.inference.budgets import plans
from scaling import laws
from scaling.common.errors import UserError

C = 1e22


@pytest.fixture(scope="module")
def result() -> FitResult:
    return fit("chinchilla", ladder(), bootstrap=60)


def test_fixed_size_and_ratio_spend_the_budget(result: FitResult):
    best = result.optimal(C)
    for made in (plans.at_size(result, C, 5e9), plans.at_ratio(result, C, 20)):
        assert 6 * made.params[0] * made.tokens[0] == pytest.approx(C)
        assert made.loss[0] >= best.loss[0]
        assert made.loss[1] < made.loss[0] < made.loss[2]
        assert made.reach == pytest.approx(10)
    assert plans.at_ratio(result, C, 20).tokens[0] / plans.at_ratio(result, C, 20).params[
        0
    ] == pytest.approx(20)


def test_the_budget_of_a_loss_is_that_whose_best_loss_it_is(result: FitResult):
    value = float(result.law.predict(result.estimates, **best_of(result)))
    made = plans.to_loss(result, value)
    assert made.flops[0] == pytest.approx(C, rel=1e-6)
    assert made.flops[1] < C < made.flops[2]
    with pytest.raises(UserError, match="never reaches it"):
        plans.to_loss(result, 0.5 * TRUTH["E"])


def test_runs_of_one_loss_have_it_and_the_cheapest_is_the_best(result: FitResult):
    value = float(result.law.predict(result.estimates, **best_of(result)))
    curve = plans.iso_loss(result, value)
    losses = [
        float(result.law.predict(result.estimates, params=run.params[0], tokens=run.tokens[0]))
        for run in curve
    ]
    assert len(curve) == len(plans.CURVE)
    np.testing.assert_allclose(losses, value, rtol=1e-9)
    assert min(curve, key=lambda run: run.flops[0]).params[0] == pytest.approx(
        plans.to_loss(result, value).params[0]
    )


def test_serving_makes_the_best_model_smaller(result: FitResult):
    """Against a scan of sizes; without tokens to serve it is the best split itself."""
    few = plans.serving(result, C, 1.0)
    assert few.params[0] == pytest.approx(float(result.optimal(C).params[0]), rel=1e-4)
    many = plans.serving(result, C, 1e12)
    assert many.params[0] < few.params[0]
    assert many.whole == pytest.approx(C)
    assert many.params[1] < many.params[0] < many.params[2]
    sizes = many.params[0] * np.geomspace(0.5, 1.5, 201)
    data = (C - 2 * sizes * 1e12) / (6 * sizes)
    scan = laws.chinchilla.predict(result.estimates, params=sizes, tokens=data)
    assert sizes[scan.argmin()] == pytest.approx(many.params[0], rel=0.02)


def test_growth_is_measured_by_the_rungs(result: FitResult):
    assert "% of the loss per decade" in plans.growth(result)


def test_the_horizon_is_where_the_upper_end_of_twice_the_compute_meets_the_law(result: FitResult):
    far = plans.horizon(result)
    assert far > 2 * result.budgets.max()
    for step, sure in ((1.0, True), (2 ** (1 / plans.OCTAVE), False)):
        low, high = (result.optimal(step * far * times).prediction for times in (1, 2))
        assert (high.high <= low.value) == sure
    assert plans.horizon(result, level=0.5) > far


def test_rows_of_much_noise_have_no_horizon():
    rows = ladder()
    rows["loss"] *= np.exp(np.random.default_rng(0).normal(0, 0.03, len(rows)))
    assert plans.horizon(fit("chinchilla", rows, bootstrap=60)) == 0


ASKED = {
    "size": lambda result, value: plans.at_size(result, C, value),
    "budget of a size": lambda result, value: plans.at_size(result, value, 5e9),
    "ratio": lambda result, value: plans.at_ratio(result, C, value),
    "budget of a ratio": lambda result, value: plans.at_ratio(result, value, 20),
    "loss": plans.to_loss,
    "all of a loss": plans.iso_loss,
    "served": lambda result, value: plans.serving(result, C, value),
    "budget of both": lambda result, value: plans.serving(result, value, 1e9),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
@pytest.mark.parametrize(
    "value", ["many", None, True, 1j, {}, [1e20], np.nan, np.inf, 0, -1.0, 10**400]
)
def test_a_plan_of_no_number_is_one_line(ask, value: object, result: FitResult):
    with pytest.raises(UserError, match=r"give (a number or|one finite and positive)"):
        ask(result, value)
    with pytest.raises(UserError, match="a str where a fit was expected"):
        ask("chinchilla", 1.0)


def test_serving_that_costs_more_than_the_budget_is_refused(result: FitResult):
    with pytest.raises(UserError, match=r"tokens=1e\+20: 1e\+20 FLOPs serve them of no size"):
        plans.serving(result, 1e20, 1e20)
    assert plans.serving(result, C, 1e-300).params[0] == pytest.approx(
        float(result.optimal(C).params[0]), rel=1e-4
    )


def best_of(result: FitResult) -> dict[str, np.ndarray]:
    _, params, tokens = result.split(C)
    return {"params": params, "tokens": tokens}
