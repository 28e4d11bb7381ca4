"""Kaplan's laws by hand: the root of a trajectory, optima, constants held against each other."""

from __future__ import annotations

import numpy as np
import pytest

from scaling.laws._law import Law, Published
from scaling.laws.critical_batch import steps_min
from scaling.laws.kaplan import (
    critical_tokens,
    kaplan,
    kaplan_flops,
    kaplan_params,
    kaplan_steps,
    kaplan_tokens,
    loss_at_batch,
)
from scaling.laws.minicpm import minicpm

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
    ratio = (size / p["N_c"]) ** (p["alpha_N"] / p["alpha_D"])
    tokens = p["D_c"] * ratio / (1.02 ** (1 / p["alpha_D"]) - 1)
    assert tokens == pytest.approx(5e3 * size**0.74, rel=0.15)
    excess = kaplan.predict(p, params=size, tokens=tokens) / kaplan.predict(
        p, params=size, tokens=1e40
    )
    assert excess == pytest.approx(np.full(9, 1.02), rel=1e-9)


def test_minicpm_ratio_formula_is_the_optimum():
    """N*/D* = K^2 (C/6)^eta, written out as in the paper."""
    p = {"C_N": 300.0, "C_D": 900.0, "alpha": 0.29, "beta": 0.23, "L0": 0.25}
    flops = 1e21
    params, tokens = minicpm.optimal(p, flops)
    total = p["alpha"] + p["beta"]
    k = (p["alpha"] * p["C_N"] / (p["beta"] * p["C_D"])) ** (1 / total)
    eta = (p["beta"] - p["alpha"]) / total
    assert params / tokens == pytest.approx(k**2 * (flops / 6) ** eta)


def test_averaged_minicpm_constants_do_not_give_the_published_ratio():
    """About 1e4 tokens per parameter at 1e21 FLOPs, where the average of the ratios is 192."""
    average = minicpm.quoted[0].values
    ratio = (1e21 / 6) ** -average["eta"] / average["K_squared"]
    assert ratio == pytest.approx(1.05e4, rel=0.01)
    assert ratio > 50 * average["tokens_per_param"]
