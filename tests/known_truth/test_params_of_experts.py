"""Experts: total parameters are not those that a token meets, from the design to the optimum."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.estimators.isoflop import isoflop
from analysis.fitting.card import card
from analysis.fitting.fit import fit
from analysis.inference.compute_gain import gain
from experiments.config.run import BatchConfig, RunConfig, Science
from experiments.plan import designs
from experiments.plan.grids import configs, grid
from experiments.plan.run import Run
from experiments.plan.study import Study
from models.config import TransformerConfig
from scaling import laws
from scaling.common.errors import UserError

TRUTH = {"E": 1.7, "A": 400.0, "alpha": 0.34, "B": 2000.0, "beta": 0.37}
BUDGETS = (1e12, 3e12, 1e13, 3e13)
WIDTHS = (16, 24, 32, 48, 64, 96)


def experts(width: int) -> TransformerConfig:
    heads = width // 8
    sizes = {"heads": heads, "kv_heads": heads, "head_dim": 8, "ffn": 4 * width}
    return TransformerConfig(width=width, experts=8, experts_active=2, **sizes)


BASE = RunConfig(Science(batch=BatchConfig(sequences=1, seq_len=32)))
SIZES = grid({"model": [experts(width) for width in WIDTHS]})
RUNGS = designs.isoflop(BASE, SIZES, BUDGETS, min_ratio=1e-3, max_ratio=1e6)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Every run of the design, its loss by a law of the parameters that a token meets."""
    rows = [Run(config, 0).ledger for rung in RUNGS for config in configs(BASE, rung)]
    found = pd.DataFrame(rows)
    sizes = {"params": found["params_active"], "tokens": found["tokens"]}
    found = found.assign(run_id=found.index.map(str), status="completed", part="fit")
    return found.assign(loss=laws.chinchilla.predict(TRUTH, **sizes))


def test_a_design_spends_its_budget(table: pd.DataFrame) -> None:
    assert (table["params_total"] > 2 * table["params_active"]).all()
    for rung, budget in zip(RUNGS, BUDGETS, strict=True):
        for config in configs(BASE, rung):
            assert Run(config, 0).ledger["flops_6nd"] == pytest.approx(budget, rel=1e-3)


def test_a_design_of_layers_that_share_weights_spends_its_budget() -> None:
    """They are stored once and met four times: 6 params_total D would be a quarter of it."""
    models = [
        TransformerConfig(
            layers=4, width=width, heads=width // 8, kv_heads=width // 8, head_dim=8,
            ffn=4 * width, sharing="cycle",
        )
        for width in WIDTHS
    ]  # fmt: skip
    sizes = grid({"model": models})
    for rung, budget in zip(
        designs.isoflop(BASE, sizes, BUDGETS, min_ratio=1e-3, max_ratio=1e6), BUDGETS, strict=True
    ):
        for config in configs(BASE, rung):
            book = Run(config, 0).ledger
            assert book["flops_6nd"] == pytest.approx(budget, rel=1e-3)
            assert book["params_total"] == book["params_unique"] < book["params_active"]


def test_shared_layers_have_no_compute_by_total_parameters(table: pd.DataFrame) -> None:
    shared = table.assign(params_total=table["params_active"] / 2)
    total = fit(laws.chinchilla, shared, params="params_total", bootstrap=0)
    with pytest.raises(UserError, match="take params=params_active"):
        total.optimal(1e14)


def test_the_optimum_is_of_the_parameters_that_a_token_meets(table: pd.DataFrame) -> None:
    result = fit(laws.chinchilla, table, params="params_active", bootstrap=0)
    budget = 1e14
    found = result.optimal(budget)
    expected = laws.chinchilla.optimal(TRUTH, budget)
    np.testing.assert_allclose((found.params[0], found.tokens[0]), expected, rtol=1e-3)
    assert gain(result, result, budget=budget).value == pytest.approx(1)


@pytest.mark.parametrize("ask", ["optimal", "gain", "isoflop"])
def test_total_parameters_have_no_compute(table: pd.DataFrame, ask: str) -> None:
    total = fit(laws.chinchilla, table, params="params_total", bootstrap=0)
    with pytest.raises(UserError, match="take params=params_active"):
        {
            "optimal": lambda: total.optimal(1e14),
            "gain": lambda: gain(total, total, budget=1e14),
            "isoflop": lambda: isoflop(table, bootstrap=0),
        }[ask]()


def test_isoflop_finds_the_exponent_of_the_law(table: pd.DataFrame) -> None:
    found = isoflop(table, params="params_active", bootstrap=0, noise=1e-4)
    power = TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])
    assert found.params.exponent == pytest.approx(power, abs=0.05)


def test_the_card_and_the_study_say_which(table: pd.DataFrame) -> None:
    ours = table.assign(study="experts")
    for law, said in (
        (laws.chinchilla, "params = column params_active"),
        (laws.power_law, "6 x params_active x tokens"),
    ):
        columns = {"params": "params_active"} if law is laws.chinchilla else {}
        assert said in " ".join(card(fit(law, ours, bootstrap=0, columns=columns)).split())
    with pytest.raises(UserError, match=r"^params=params_activ: did you mean 'params_active'"):
        Study("experts", "?", (), params="params_activ")
