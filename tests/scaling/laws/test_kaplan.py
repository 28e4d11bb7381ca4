"""Kaplan's laws by hand: the root of a trajectory, optima, constants held against each other."""

from __future__ import annotations

import numpy as np
import pytest

from scaling.laws._law import Law, Published
from scaling.laws.critical_batch import steps_min
from scaling.laws.kaplan import (
    KAPLAN_TRENDS,
    PF_DAY,
    critical_tokens,
    kaplan,
    kaplan_flops,
    kaplan_params,
    kaplan_steps,
    kaplan_tokens,
    loss_at_batch,
    most_efficient,
    tokens_against_overfitting,
)
from scaling.laws.minicpm import AVERAGES, TOKENS_PER_PARAM, minicpm, tokens_per_param

ONE = {
    "N_c": 6e13, "alpha_N": 0.08, "S_c": 2e3, "alpha_S": 0.7, "B_star": 2e8, "alpha_B": 0.21,
}  # fmt: skip
LAWS = (kaplan_params, kaplan_tokens, kaplan_flops, kaplan)


def test_by_hand():
    assert kaplan_params.predict({"N_c": 81.0, "alpha_N": 0.5}, params=9.0) == pytest.approx(3)
    joint = {"N_c": 16.0, "D_c": 5.0, "alpha_N": 1.0, "alpha_D": 0.5}
    assert kaplan.predict(joint, params=8.0, tokens=1.0) == pytest.approx(3.0)
    steps = {"N_c": 4.0, "alpha_N": 0.5, "S_c": 9.0, "alpha_S": 0.5}
    assert kaplan_steps.predict(steps, params=1.0, steps_min=1.0) == pytest.approx(5.0)


def test_the_joint_law_ends_in_the_single_ones():
    p = kaplan.constants("kaplan2020").values
    alone = kaplan_params.predict({k: p[k] for k in ("N_c", "alpha_N")}, params=1e9)
    assert kaplan.predict(p, params=1e9, tokens=1e40) == pytest.approx(float(alone))
    alone = kaplan_tokens.predict({k: p[k] for k in ("D_c", "alpha_D")}, tokens=1e9)
    assert kaplan.predict(p, params=1e40, tokens=1e9) == pytest.approx(float(alone))


def wide(count: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """Constants and runs over many more decades than any study."""
    rng = np.random.default_rng(0)
    constants = {
        "N_c": 10 ** rng.uniform(8, 15, count), "alpha_N": rng.uniform(0.03, 0.5, count),
        "S_c": 10 ** rng.uniform(1, 5, count), "alpha_S": rng.uniform(0.2, 1.5, count),
        "B_star": 10 ** rng.uniform(4, 10, count), "alpha_B": rng.uniform(0.1, 1.0, count),
    }  # fmt: skip
    size, batch, steps = (10 ** rng.uniform(*ends, count) for ends in ((5, 12), (3, 8), (1, 9)))
    return constants, size, batch, steps


def right_side(p: dict[str, np.ndarray], size, batch, steps, loss) -> np.ndarray:
    least = steps_min(steps, batch, critical_tokens(p, loss))
    return kaplan_steps.predict(
        {name: p[name] for name in kaplan_steps.parameters}, params=size, steps_min=least
    )


def test_the_root_solves_the_equation_to_rounding():
    p, size, batch, steps = wide(3000)
    loss = loss_at_batch(p, size, batch, steps)
    assert right_side(p, size, batch, steps, loss) == pytest.approx(loss, rel=1e-13)


def test_there_is_one_root():
    """loss - right side rises everywhere, so its sign tells the side of the root."""
    p, size, batch, steps = wide(300)
    loss = loss_at_batch(p, size, batch, steps)
    for factor in (0.01, 0.5, 0.999, 1.001, 2.0, 100.0):
        tried = loss * factor
        gap = tried - right_side(p, size, batch, steps, tried)
        assert (np.sign(gap) == np.sign(factor - 1)).all()


def test_trajectories_fall_with_steps_and_with_batch():
    steps = np.geomspace(10, 1e9, 200)
    curves = loss_at_batch(ONE, 1e8, np.geomspace(1e3, 1e9, 7)[:, None], steps)
    assert (np.diff(curves, axis=0) < 0).all()
    assert (np.diff(curves, axis=1) < 0).all()
    floor = kaplan_params.predict({"N_c": 6e13, "alpha_N": 0.08}, params=1e8)
    assert loss_at_batch(ONE, 1e8, 1e30, 1e40) == pytest.approx(float(floor), rel=1e-12)


def test_most_efficient_is_the_least_loss_at_its_compute():
    """Against every other size on a fine grid, at C_min = 6 N B_crit(L) S_min."""
    budget = 1e20
    best = most_efficient(ONE, budget)
    sizes = best.params_nonembedding * np.geomspace(0.1, 10, 2001)
    low, high = np.full(2001, 0.1), np.full(2001, 100.0)
    for _ in range(200):  # bisection on L: S_min from the budget, then the law
        loss = np.sqrt(low * high)
        least = budget / (6 * sizes * critical_tokens(ONE, loss))
        names = kaplan_steps.parameters
        predicted = kaplan_steps.predict(
            {name: ONE[name] for name in names}, params=sizes, steps_min=least
        )
        low, high = np.where(predicted > loss, loss, low), np.where(predicted > loss, high, loss)
    assert loss.argmin() == 1000
    assert loss.min() == pytest.approx(float(best.loss), rel=1e-12)
    assert best.batch_tokens == pytest.approx(float(critical_tokens(ONE, best.loss)))
    spent = 6 * best.params_nonembedding * best.batch_tokens * best.steps_min
    assert spent == pytest.approx(budget)
    # the run itself, at B_crit, takes twice the steps
    ran = loss_at_batch(ONE, best.params_nonembedding, best.batch_tokens, 2 * best.steps_min)
    assert ran == pytest.approx(float(best.loss))


@pytest.mark.parametrize("entry", kaplan.published, ids=lambda entry: entry.name)
def test_joint_allocation_is_the_minimum_along_the_budget(entry: Published):
    law, flops = kaplan, 1e21
    params, tokens = law.optimal(entry.values, flops)
    assert 6 * params * tokens == pytest.approx(flops)
    best = law.predict(entry.values, params=params, tokens=tokens)
    for shift in (0.97, 1.03):
        assert law.predict(entry.values, params=params * shift, tokens=tokens / shift) > best


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
def test_published_sets_are_whole_and_carry_their_conventions(law: Law):
    for entry in law.published:
        assert set(entry.values) == set(law.parameters)
        assert "without embeddings" in entry.convention.params


def test_the_joint_constants_are_not_the_single_ones():
    joint = kaplan.constants("kaplan2020").values
    single = kaplan_tokens.constants("kaplan2020").values
    assert joint["alpha_D"] == 0.103
    assert single["alpha_D"] == 0.095
    assert joint["D_c"] / single["D_c"] == pytest.approx(1 / 3)


def test_overfitting_guard():
    """5e3 N^0.74, as printed, is the joint law at an excess of 2 %: within 15 %, which is what two
    printed digits of 0.74 leave over these sizes."""
    p, size = kaplan.constants("kaplan2020").values, np.geomspace(1e6, 1e10, 9)
    tokens = tokens_against_overfitting(p, size)
    assert tokens == pytest.approx(5e3 * size**0.74, rel=0.15)
    excess = kaplan.predict(p, params=size, tokens=tokens) / kaplan.predict(
        p, params=size, tokens=1e40
    )
    assert excess == pytest.approx(np.full(9, 1.02), rel=1e-9)


def test_trends_contradict_the_data_law_where_the_paper_says():
    """The compute-efficient loss falls below what its own tokens allow near 1e4 PF-days, at about
    1e12 parameters and 1.7 nats."""
    flops = np.geomspace(1e2, 1e6, 4001) * PF_DAY
    compute = kaplan_flops.predict(kaplan_flops.constants("kaplan2020_min").values, flops=flops)
    data = kaplan_tokens.predict(
        kaplan_tokens.constants("kaplan2020").values,
        tokens=KAPLAN_TRENDS["tokens"].at(flops),
    )
    at = int(np.argmax(compute < data))
    assert flops[at] / PF_DAY == pytest.approx(1e4, rel=0.3)
    assert KAPLAN_TRENDS["params_nonembedding"].at(flops[at]) == pytest.approx(1e12, rel=0.3)
    assert compute[at] == pytest.approx(1.7, abs=0.05)


def test_trends_agree_with_each_other():
    """At B_crit a run takes 2 S_min steps, so D = 2 B S_min: 2.16e10 against a printed 2.0e10."""
    trends = KAPLAN_TRENDS
    assert trends["batch_tokens"].power + trends["steps_min"].power == pytest.approx(
        trends["tokens"].power
    )
    product = 2 * trends["batch_tokens"].factor * trends["steps_min"].factor
    assert product == pytest.approx(trends["tokens"].factor, rel=0.1)


def test_minicpm_ratio_formula_is_the_optimum():
    """N*/D* = K^2 (C/6)^eta, written out as in the paper."""
    p = {"C_N": 300.0, "C_D": 900.0, "alpha": 0.29, "beta": 0.23, "L0": 0.25}
    flops = 1e21
    params, tokens = minicpm.optimal(p, flops)
    total = p["alpha"] + p["beta"]
    k = (p["alpha"] * p["C_N"] / (p["beta"] * p["C_D"])) ** (1 / total)
    eta = (p["beta"] - p["alpha"]) / total
    assert params / tokens == pytest.approx(k**2 * (flops / 6) ** eta)
    assert tokens_per_param(k**2, eta, flops) == pytest.approx(float(tokens / params))


def test_averaged_minicpm_constants_do_not_give_the_published_ratio():
    """About 1e4 tokens per parameter at 1e21 FLOPs, where the average of the ratios is 192."""
    average = AVERAGES.values
    ratio = tokens_per_param(average["K_squared"], average["eta"], 1e21)
    assert ratio == pytest.approx(1.05e4, rel=0.01)
    assert ratio > 50 * TOKENS_PER_PARAM
