"""Approaches 1 and 2 on losses of a known law, and on the published IsoFLOP tables."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from paths import DATA, needs_tables

from analysis.datasets import load
from analysis.estimators.envelope import envelope
from analysis.estimators.frontier import Frontier
from analysis.estimators.isoflop import isoflop
from scaling import laws
from scaling.common.errors import UserError
from scaling.laws.allocation import params_allocation, tokens_allocation

META = DATA / "isoflop_collection" / "meta.json"

TRUTH = {"E": 1.7, "A": 400.0, "B": 400.0, "alpha": 0.34, "beta": 0.28}
A = TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])
BUDGETS = np.geomspace(1e18, 1e21, 8)
AUTHORS: Any = {"curve": "parabola", "window": "all"}


def sizes_at(flops: float, width: float, count: int, shift: float) -> np.ndarray:
    best = float(laws.chinchilla.optimal(TRUTH, flops)[0])
    return best * np.exp(np.linspace(-width, width, count) + shift)


def profile(flops: float, width: float = 1.0, count: int = 7, shift: float = 0.0) -> pd.DataFrame:
    """One budget: `count` sizes even in ln N over -width .. width about `shift` off the optimum."""
    size = sizes_at(flops, width, count, shift)
    tokens = flops / 6 / size
    loss = laws.chinchilla.predict(TRUTH, params=size, tokens=tokens)
    return pd.DataFrame({"params_total": size, "tokens": tokens, "flops_6nd": flops, "loss": loss})


def grid(noise: float = 0.0, seed: int = 0, **shape: Any) -> pd.DataFrame:
    table = pd.concat([profile(flops, **shape) for flops in BUDGETS], ignore_index=True)
    kicks = np.random.default_rng(seed).standard_normal(len(table))
    return table.assign(loss=table["loss"] * np.exp(noise * kicks))


def vertex(width: float, shift: float) -> float:
    """Vertex, in ln N from the optimum, of the parabola nearest to the loss over -width .. width
    about `shift`, by projection on Legendre polynomials. Along a budget the law is, up to a factor,
    E' + exp(-alpha x) / alpha + exp(beta x) / beta."""
    node, weight = np.polynomial.legendre.leggauss(40)
    x = shift + width * node
    loss = np.exp(-TRUTH["alpha"] * x) / TRUTH["alpha"] + np.exp(TRUTH["beta"] * x) / TRUTH["beta"]
    slope = 1.5 * (weight * loss * node).sum()
    bend = 2.5 * (weight * loss * (3 * node**2 - 1) / 2).sum()
    return float(shift - width * slope / (3 * bend))


def misses(found: Frontier) -> np.ndarray:
    """ln of found over true optimum, per budget."""
    best = laws.chinchilla.optimal(TRUTH, found.optima["flops"].to_numpy())[0]
    return np.log(found.optima["params"].to_numpy() / best)


def test_centred_grids_give_the_exponents_exactly():
    """The bias of a parabola is the same at every budget, so it cancels; that of a skewed curve in
    ln L cancels nearly, and is small."""
    exact = isoflop(grid(), **AUTHORS)
    assert exact.params.exponent == pytest.approx(A, abs=1e-9)
    assert exact.tokens.exponent == pytest.approx(1 - A, abs=1e-9)
    found = isoflop(grid())
    assert found.params.exponent == pytest.approx(A, abs=1e-5)
    assert found.tokens.exponent == pytest.approx(1 - A, abs=1e-5)
    assert np.abs(misses(found)).max() < 0.1 * np.abs(misses(exact)).max()
    assert found.warnings == ()
    assert found.optima["used"].all() and (found.optima["sizes"] == 7).all()


@pytest.mark.parametrize(("shift", "warns"), [(-0.7, True), (0.0, False), (0.7, True)])
def test_a_shifted_grid_moves_the_vertex_as_known_and_warns(shift: float, warns: bool):
    found = isoflop(grid(shift=shift, count=401), bootstrap=0, **AUTHORS)
    # 401 sizes approximate a continuum to 1 % of each part, 0.01 of either sign
    assert misses(found) == pytest.approx(vertex(1.0, shift), rel=0.01, abs=1e-4)
    off = [warning for warning in found.warnings if "off-centre" in warning]
    assert len(off) == (len(BUDGETS) if warns else 0)
    assert all(f"{'above' if shift < 0 else 'below'} the middle" in each for each in off)
    # the expansion in the module's docstring, whose next terms are of fourth order
    alpha, beta = TRUTH["alpha"], TRUTH["beta"]
    third = (beta - alpha) * (shift**2 / 2 - 1 / 10)
    fourth = (alpha**2 - alpha * beta + beta**2) * shift * (shift**2 / 3 - 1 / 35)
    assert misses(found) == pytest.approx(third + fourth, abs=2e-3)


def test_a_drifting_grid_bends_the_exponent_as_known_and_warns():
    shifts = np.linspace(-0.7, 0.7, len(BUDGETS))
    table = pd.concat(
        [profile(c, shift=s, count=401) for c, s in zip(BUDGETS, shifts, strict=True)]
    )
    table = table.reset_index(drop=True)
    found = isoflop(table, bootstrap=0, **AUTHORS)
    bias = np.polyfit(np.log(BUDGETS), [vertex(1.0, shift) for shift in shifts], 1)[0]
    assert abs(bias) > 1e-3
    assert found.params.exponent - A == pytest.approx(bias, rel=0.01)
    assert sum("off-centre" in warning for warning in found.warnings) == 2  # those 0.7 away


def test_optima_weigh_by_their_errors():
    found = isoflop(grid(noise=0.003, seed=2))
    rows = found.optima
    assert rows["params_error"].max() > 1.5 * rows["params_error"].min()
    logs = np.log(rows["flops"]), np.log(rows["params"])
    slope = np.polyfit(*logs, 1, w=1 / rows["params_error"])[0]
    assert found.params.exponent == pytest.approx(slope, abs=1e-12)
    assert slope != pytest.approx(np.polyfit(*logs, 1)[0], abs=1e-4)


def test_an_interval_of_a_prediction_holds_its_value():
    found = isoflop(grid(noise=0.003), seed=1)
    value, low, high = found.params.predict(np.array([1e20, 1e24]))
    assert (low < value).all() and (value < high).all()
    assert high[1] / low[1] > high[0] / low[0]
    assert value == pytest.approx(
        params_allocation.predict(found.params.values, flops=[1e20, 1e24]), rel=1e-12
    )


def test_akima_finds_what_its_grid_resolves():
    found = isoflop(grid(shift=0.4), curve="akima")
    spacing = 2 / 6
    assert np.abs(misses(found)).max() < spacing / 4
    assert found.params.exponent == pytest.approx(A, abs=1e-6)
    assert (found.optima["params_error"] >= spacing / 3 * (1 - 1e-9)).all()


def test_optima_at_the_edge_are_censored_and_the_rest_still_fit():
    far = pd.concat([profile(c, shift=2.0 if c > 5e20 else 0.0) for c in BUDGETS])
    found = isoflop(far.reset_index(drop=True))
    assert found.optima["used"].tolist() == [True] * 7 + [False]
    assert found.params.exponent == pytest.approx(A, abs=1e-5)
    (warning,) = found.warnings
    assert warning.startswith("budget 1e+21 left out") and "beyond the smallest size" in warning
    assert np.isnan(found.optima["params"].iloc[-1])


def test_a_minimum_between_the_smallest_sizes_counts_unless_the_best_run_must_be_inside():
    """The optimum lies 0.1 above the smallest of sizes 0.3 apart, so the smallest is the best."""
    near = pd.concat([profile(c, width=0.9, shift=0.8) for c in BUDGETS]).reset_index(drop=True)
    found = isoflop(near, bootstrap=0)
    assert found.optima["used"].all() and np.abs(misses(found)).max() < 0.01
    with pytest.raises(UserError, match="the smallest size is the best"):
        isoflop(near, bootstrap=0, edge="run")


def test_a_weight_of_zero_leaves_a_run_out():
    table = grid(noise=0.003)
    table.loc[::9, "loss"] *= 2
    weights = np.where(np.arange(len(table)) % 9, 1.0, 0.0)
    found = isoflop(table, weights=weights, seed=1)
    without = isoflop(table[weights > 0], seed=1)
    assert found.params.values == without.params.values
    assert np.array_equal(found.params.samples, without.params.samples)
    assert found.warnings == ("7 runs of weight 0: left out", *without.warnings)
    with pytest.raises(UserError, match=r"finite and not negative \(row 3: -1\)"):
        isoflop(table, weights=np.where(np.arange(len(table)) == 3, -1.0, weights))


def test_a_window_holds_the_sizes_nearest_to_the_minimum():
    found = isoflop(grid(shift=0.4, count=9), window=5, bootstrap=0)
    rows = found.optima
    middle = np.log(rows["low"] * rows["high"]) / 2
    assert (rows["window"] == 5).all() and (rows["sizes"] == 9).all()
    assert np.abs(middle - np.log(rows["params"])).max() <= 0.25 / 2 + 1e-9  # half a step
    for wrong, said in ((2, "a curve needs 3"), ("few", "a number of sizes, or")):
        with pytest.raises(UserError, match=said):
            isoflop(grid(), window=wrong)  # type: ignore[arg-type]


def test_budgets_without_a_curve_are_left_out_by_reason():
    table = grid()
    budget = table["flops_6nd"]
    two = table.index[budget == BUDGETS[0]][2:]
    table.loc[budget == BUDGETS[1], "loss"] = [4.0, 4.2, 4.2, 3.9, 4.2, 4.2, 4.0]
    found = isoflop(table.drop(two).reset_index(drop=True))
    assert found.optima["used"].tolist() == [False, False] + [True] * 6
    assert "2 sizes, and a curve needs 3" in found.optima["why"].iloc[0]
    assert "not convex" in found.optima["why"].iloc[1]
    assert sum("left out" in warning for warning in found.warnings) == 2


def test_narrow_and_flat_grids_warn():
    found = isoflop(grid(width=0.4))
    assert sum("narrow grid, sizes span a factor 2.2" in each for each in found.warnings) == 8
    assert any(": flat, noise" in each for each in isoflop(grid(), noise=0.03).warnings)
    assert not any("flat" in each for each in isoflop(grid(), noise=0.01).warnings)
    with pytest.raises(UserError, match="beyond the edge in most resamples"):
        isoflop(grid(width=0.6), noise=0.1)


def test_optima_that_scatter_more_than_their_errors_warn():
    moved = pd.concat(
        [profile(c, shift=0.2 * (-1) ** at) for at, c in enumerate(BUDGETS)]
    ).reset_index(drop=True)
    moved["params_total"] *= np.exp(0.3 * (-1.0) ** (np.arange(len(moved)) // 7))
    found = isoflop(moved, noise=1e-4)
    assert any("times their errors" in warning for warning in found.warnings)
    assert not any("times their errors" in each for each in isoflop(grid(), noise=1e-4).warnings)


def test_three_sizes_show_no_noise():
    found = isoflop(grid(count=3))
    assert any("noise" in warning for warning in found.warnings)
    with pytest.raises(UserError, match="no interval"):
        found.params.interval()
    assert len(isoflop(grid(count=3), noise=0.003).params.samples) == 1000


def test_budgets_by_column_or_by_nearness():
    table = grid()
    jitter = np.exp(0.02 * np.random.default_rng(0).uniform(-1, 1, len(table)))
    near = isoflop(table.assign(flops_6nd=table["flops_6nd"] * jitter), bootstrap=0)
    named = isoflop(table.assign(label=np.repeat(list("hgfedcba"), 7)), budget="label", bootstrap=0)
    assert len(near.optima) == len(named.optima) == 8
    assert (np.diff(named.optima["flops"]) > 0).all()
    assert named.params.exponent == pytest.approx(A, abs=1e-5)
    assert near.params.exponent == pytest.approx(A, abs=5e-3)


def test_what_cannot_be_answered_says_so():
    table = grid()
    with pytest.raises(UserError, match="did you mean 'akima'"):
        isoflop(table, curve="akimo")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no column 'N'"):
        isoflop(table, params="N")
    with pytest.raises(UserError, match="no column 'label'"):
        isoflop(table, budget="label")
    with pytest.raises(UserError, match="no rows"):
        isoflop(table.iloc[:0])
    with pytest.raises(UserError, match="bootstrap=-1"):
        isoflop(table, bootstrap=-1)
    with pytest.raises(UserError, match="1 of 1 budgets have an optimum"):
        isoflop(profile(1e20))


def curves(sizes: np.ndarray) -> pd.DataFrame:
    """Training curves that follow the law at every step, from 0.5 to 300 tokens per parameter."""
    parts = []
    for at, size in enumerate(sizes):
        tokens = size * np.geomspace(0.5, 300, 60)
        loss = laws.chinchilla.predict(TRUTH, params=size, tokens=tokens)
        parts.append(
            pd.DataFrame(
                {
                    "run_id": f"run{at}", "params_total": size, "tokens": tokens,
                    "flops_6nd": 6 * size * tokens, "loss": loss,
                }
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def test_the_envelope_of_training_curves_gives_the_exponents():
    """30 sizes 0.24 apart in their logarithm: a staircase of half a step about the truth over 7
    decades of compute."""
    found = envelope(curves(np.geomspace(3e7, 3e10, 30)), bootstrap=200)
    assert found.params.exponent == pytest.approx(A, abs=0.005)
    assert found.tokens.exponent == pytest.approx(1 - A, abs=0.005)
    low, high = found.params.interval()
    assert low < A < high and high - low < 0.05
    used = found.optima[found.optima["used"]]
    best = laws.chinchilla.optimal(TRUTH, used["flops"].to_numpy())
    assert np.abs(np.log(used["params"] / best[0])).max() < 0.24
    assert np.abs(np.log(6 * used["params"] * used["tokens"] / used["flops"])).max() < 1e-9
    (warning,) = found.warnings
    assert "smallest or the largest" in warning


def test_an_envelope_of_few_sizes_warns_or_refuses():
    few = envelope(curves(np.geomspace(1e8, 1e9, 5)))
    assert any("only 3 sizes are ever the best" in warning for warning in few.warnings)
    with pytest.raises(UserError, match="add runs of more sizes"):
        envelope(curves(np.geomspace(1e8, 1e9, 2)))
    with pytest.raises(UserError, match="no column 'name'"):
        envelope(curves(np.geomspace(1e8, 1e9, 5)), run="name")


def test_published_allocations():
    """DeepSeek's size times data is the budget; Llama 3's tokens are those of its training."""
    deepseek = [
        law.constants("deepseek2024").values for law in (params_allocation, tokens_allocation)
    ]
    product = params_allocation.predict(deepseek[0], flops=1e20) * tokens_allocation.predict(
        deepseek[1], flops=1e20
    )
    assert product == pytest.approx(1e20, rel=1e-3)
    llama = tokens_allocation.predict(tokens_allocation.constants("llama3").values, flops=3.8e25)
    assert llama == pytest.approx(16.55e12, rel=0.02)


def test_published_exponents_lie_in_their_intervals():
    quoted = (*params_allocation.quoted, *tokens_allocation.quoted)
    names = {entry.name for entry in quoted}
    assert {"hoffmann2022_approach2", "pearce2024_total"} <= names
    assert all(names.isdisjoint(entry.name for entry in law.published)
               for law in (params_allocation, tokens_allocation))  # fmt: skip
    for entry in quoted:
        assert set(entry.values) <= {"a", "b"}
        assert all((entry.convention.params, entry.recipe, entry.source))
        for name, (low, high) in (entry.intervals or {}).items():
            assert low <= entry.values[name] <= high


@needs_tables("isoflop_collection/meta.json")
def test_published_collection():
    """Exponents and coefficients of every experiment, as the collector's least squares on the
    vertices gave them."""
    supports = json.loads(META.read_text(encoding="utf-8"))["supports"]
    known = next(each["recomputed"] for each in supports if "recomputed" in each)
    table = load("isoflop_collection")
    table = table[~table["outlier"]]
    assert set(known) == set(table["experiment"])
    for name, expected in known.items():
        rows = table[table["experiment"] == name].reset_index(drop=True)
        names = {"budget": "flops_budget", "flops": "flops_budget"}
        found = isoflop(rows, bootstrap=0, **names, **AUTHORS, edge="run")
        for law, key in ((found.params, "params_total"), (found.tokens, "tokens")):
            assert law.exponent == pytest.approx(expected[key]["exp"], abs=1e-9)
            assert law.values["G"] == pytest.approx(expected[key]["coef"], rel=1e-7)
        assert found.optima["used"].sum() == expected["params_total"]["n"]


@needs_tables("isoflop_collection/tidy.csv")
def test_a_skew_makes_the_exponent_one_of_every_window():
    """Marin's grids are off centre. The exponent of parabolas through all sizes is outside the
    interval of those through nine; with a skew it is inside."""
    table = load("isoflop_collection")
    table = table[~table["outlier"] & (table["experiment"] == "marin_202603__comma__llama_2")]
    names = {"budget": "flops_budget", "flops": "flops_budget"}
    for curve, agrees in (("skewed", True), ("parabola", False)):
        low, high = isoflop(table, curve=curve, window=9, **names).params.interval()
        whole = isoflop(table, curve=curve, window="all", bootstrap=0, **names).params.exponent
        assert (low < whole < high) is agrees
