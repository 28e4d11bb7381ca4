"""Arguments of a fit: accepted in any usual shape, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from analysis import (
    best_setting,
    compare,
    crossing,
    gain,
    load_runs,
    load_table,
    plot,
    trajectory,
    where,
)
from analysis.fitting.bootstrap import percentile_interval
from analysis.fitting.card import card
from analysis.fitting.fit import fit
from scaling import laws
from scaling.common.errors import UserError
from scaling.laws import Law, amplitude, exponent


@pytest.fixture(scope="module")
def table(table: pd.DataFrame) -> pd.DataFrame:
    size = table["params_total"]
    return table.assign(params_nonembedding=size - 5e6, flops_6nd=6 * size * table["tokens"])


def test_laws_by_name_and_tables_of_any_shape(table, tmp_path: Path):
    usual = fit(laws.chinchilla, table).params
    table.to_csv(tmp_path / "runs.csv", index=False)
    for each in (
        str(tmp_path / "runs.csv"),
        tmp_path / "runs.csv",
        table.to_dict("list"),
        table.to_dict("records"),
    ):
        assert fit("chinchilla", each).params == pytest.approx(usual, rel=1e-9)


@pytest.mark.parametrize("kind", ["Float64", "category", "string", "object", "Sparse[float64]"])
def test_numbers_of_any_kind_of_column(table, kind):
    usual = fit("chinchilla", table).params
    text = table["loss"].map(repr) if kind == "string" else table["loss"]
    found = fit("chinchilla", table.assign(loss=text.astype(kind))).params
    assert found == pytest.approx(usual, rel=1e-9)


@pytest.mark.parametrize("scalar", [np.array, jnp.asarray])
def test_cells_that_are_arrays_without_axes(table, scalar):
    """A loss as a framework gives it."""
    rows = [row | {"loss": scalar(row["loss"])} for row in table.to_dict("records")]
    for given in (rows, pd.DataFrame(rows).astype({"loss": object})):
        found = fit("chinchilla", given).params
        assert found == pytest.approx(fit("chinchilla", table).params, rel=1e-3)


@pytest.mark.parametrize("weighted", [False, True])
def test_rows_of_any_index(table, weighted):
    """Labels that repeat, of several levels, of dates; a Series of weights has the same."""
    usual = fit("chinchilla", table, weights=np.arange(1.0, 13.0) if weighted else None).params
    for index in (
        [0] * len(table),
        pd.MultiIndex.from_product([range(4), list("abc")]),
        pd.date_range("2024-01-01", periods=len(table)),
        pd.CategoricalIndex(["a"] * len(table), categories=["a", "b"]),
    ):
        rows = table.set_axis(index)
        own = pd.Series(np.arange(1.0, 13.0), index=index) if weighted else None
        assert fit("chinchilla", rows, weights=own).params == pytest.approx(usual, rel=1e-9)


def test_columns_that_hold_no_real_numbers(table):
    levels = table.set_axis(pd.MultiIndex.from_product([["a"], table.columns]), axis=1)
    for rows, message in (
        (levels, "its columns have 2 levels of names"),
        (table.assign(loss=table["loss"] * 1j), "column 'loss' holds complex128"),
        (table.assign(tokens=pd.Timestamp("2024")), "column 'tokens' holds datetime64"),
        (table.assign(tokens=[(1,)] * len(table)), "column 'tokens' must be finite"),
        (table.assign(loss=[[1.0]] * len(table)), "column 'loss' must be finite .*: .1.0., "),
    ):
        with pytest.raises(UserError, match=message) as error:
            fit("chinchilla", rows)
        assert "\n" not in str(error.value)


def test_points_of_any_kind_are_predicted_or_refused_in_one_line(table):
    result, size = fit("chinchilla", table), [1e8, 2e8]
    usual = result.predict(params=size, tokens=1e10).value
    for given in (pd.Index(size), pd.Series(size).astype("category"), pd.array(size)):
        assert result.predict(params=given, tokens=1e10).value == pytest.approx(usual)
    with pytest.raises(UserError, match=r"params=.*NA.*finite") as error:
        result.predict(params=pd.array([10**8, None], dtype="Int64"), tokens=1e10)
    assert "\n" not in str(error.value)
    for ask in (
        lambda: result.predict(params=True, tokens=1e10),
        lambda: result.predict(params=-np.ones(999), tokens=1e10),
        lambda: result.optimal(-np.ones(999)),
    ):
        with pytest.raises(UserError) as error:
            ask()
        assert "\n" not in str(error.value) and len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t, r: card(3), "a int where a fit was expected"),
        (lambda t, r: plot(None), "a NoneType where a fit was expected"),
        (lambda t, r: compare(r), "compare needs two fits"),
        (lambda t, r: compare([r, t]), "a DataFrame where a fit was expected"),
        (lambda t, r: compare([r, r], over="tokens", below=["x"]), "below=.'x'.: give a number"),
        (lambda t, r: gain(r, t, loss=2.0), "a DataFrame where a fit was expected"),
        (lambda t, r: gain(r, r, budget=[1e20, 1e21]), "give one finite and positive number"),
        (lambda t, r: crossing(r, r, between=3), "between=3: give two, the lower"),
        (lambda t, r: where([1], "loss>1"), "where: give a DataFrame, not list"),
        (lambda t, r: where(t.iloc[:0], "loss>1"), "the table has no rows"),
        (lambda t, r: best_setting([1.0, 2.0], [3.0, 4.0]), "a row of V losses for each seed"),
        (lambda t, r: best_setting([0.0, 2.0], [[3.0, 4.0]]), "give positive values"),
        (lambda t, r: load_runs(None), "a NoneType where a path was expected"),
        (lambda t, r: load_table([t]), "a list where a path was expected"),
        (lambda t, r: load_table(""), "'': an empty path"),
        (lambda t, r: trajectory(3), "a int where a path was expected"),
        (lambda t, r: card(r, float("nan")), "width=nan: give a whole number of at least 20"),
        (lambda t, r: plot(r, ["compute"]), "plot '.'compute'.': did you mean"),
        (lambda t, r: plot(r, "compute", 1e20), "plans=1e.20: give a list"),
        (lambda t, r: gain(r, r, budget=1e18 + 1j), "budget=.*: give a number"),
        (lambda t, r: r.split(np.datetime64("2024")), "flops=.*: give a number"),
        (lambda t, r: r.predict_at(None), "variables=None: give a mapping"),
        (lambda t, r: r.interval(["E"]), "has no parameter '.'E'.': known"),
        (lambda t, r: percentile_interval(np.ones(9), [0.9]), "level=.0.9.: an interval needs"),
        (lambda t, r: r.law.predict(r.params, params=1j, tokens=1.0), "params: complex"),
    ],
)
def test_what_a_public_function_cannot_take_is_one_line(table, call, message):
    with pytest.raises(UserError, match=message) as error:
        call(table, fit("chinchilla", table))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("law", "rows", "message"),
    [
        ("chinchila", None, "did you mean 'chinchilla'"),
        (None, None, "law: give a Law"),
        (laws.chinchilla.given(alpha=1e5), None, "alpha = 100000: .* a factor of e"),
        (laws.chinchilla.given(E=9.0), None, "E = 9 is a floor that no run can reach"),
        (laws.chinchilla, [1.0, 2.0], "table: give a DataFrame"),
        (laws.chinchilla, 3, "table: give a DataFrame"),
        (laws.chinchilla, {"loss": [1.0], "tokens": [1.0, 2.0]}, "table: "),
        (laws.chinchilla, np.ones((3, 3)), "table: give a DataFrame"),
    ],
)
def test_laws_and_tables_that_are_none(table, law, rows, message):
    with pytest.raises(UserError, match=message) as error:
        fit(law, table if rows is None else rows)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bootstrap": 10.5}, "bootstrap=10.5: give a whole number"),
        ({"bootstrap": "many"}, "bootstrap='many'"),
        ({"bootstrap": 10, "seed": -1}, "seed=-1"),
        ({"drop_highest": np.nan}, "drop_highest=nan"),
        ({"weights": "loud"}, "no column .loud."),
        ({"weights": ["a"] * 12}, "weights: need numbers"),
        ({"weights": [1.0] * 3}, "weights: need 12 numbers"),
        ({"weights": [-1.0] + [1.0] * 11}, "not negative .row 0: -1"),
        ({"columns": ["params_total"]}, "columns: give a mapping"),
        ({"delta": "wide"}, "delta='wide'"),
        ({"delta": [1e-3]}, "delta=.0.001.: give a positive number"),
        ({"resampling": ["pairs"], "bootstrap": 9}, "resampling '.'pairs'.': did you mean"),
        ({"objective": pd.Series([1, 2])}, "objective '0 1 1 2 dtype: int64': known"),
        ({"cluster": pd.Series([1, 2]), "bootstrap": 9}, "cluster=.*: give the name of one"),
        ({"drop_highest": pd.Series([1, 2])}, "drop_highest=0 1 1 2 .*: give a whole number"),
        # names that are none
        ({"loss": 3}, "no column '3'"),
        ({"columns": {"params": 3}}, "no column '3'"),
        ({"where": [True] * 12}, "where: give a condition"),
        ({"objective": None}, "objective 'None': known: log_absolute"),
        ({"cluster": ["tokens"], "bootstrap": 9}, "cluster=.'tokens'.: give the name of one"),
        ({"loss": ["loss"]}, "loss=.'loss'.: give the name of one"),
        ({"columns": {"params": ["a"]}}, "params=.'a'.: give the name of one"),
        ({"params": "loss"}, "params: column 'loss' is the loss"),
        ({"bootstrap": True}, "bootstrap=True: give a whole number"),
        ({"holdout": np.ones(12, bool)}, "^holdout: every row is held out"),
        # without effect
        ({"x": "flops_6nd"}, "no variable 'x'"),
        ({"columns": {"size": "params_total"}}, "no variable 'size'"),
        ({"params": "params_total", "columns": {"params": "tokens"}}, "named twice"),
        ({"cluster": "tokens"}, "cluster: nothing is resampled"),
        ({"seed": 0, "resampling": "pairs"}, "resampling and seed: nothing is resampled"),
        ({"objective": "log_squared", "delta": 1e-2}, "log_squared has no Huber width"),
        ({"objective": "raw_absolute", "delta": "mad"}, "raw_absolute has no Huber width"),
    ],
)
def test_options_that_are_wrong_or_without_effect(table, options, message):
    with pytest.raises(UserError, match=message) as error:
        fit(laws.chinchilla, table, **options)
    assert "\n" not in str(error.value)


def test_whole_numbers_may_be_floats(table):
    assert len(fit(laws.chinchilla, table, bootstrap=100.0).samples) == 100
    assert len(fit(laws.chinchilla, table, bootstrap=5, seed=10**23).samples) == 5


def test_rows_of_no_weight_are_left_out(table):
    weight = np.where(table["params_total"] > 1e8, 0.0, 1.0)
    spoilt = table.assign(loss=table["loss"].where(weight > 0), w=weight)
    for weights in ("w", weight):
        result = fit(laws.chinchilla, spoilt, weights=weights)
        assert len(result.points) == 9 and "3 runs of weight 0: left out" in result.warnings
        assert result.params == pytest.approx(
            fit(laws.chinchilla, table[table["params_total"] <= 1e8]).params, rel=1e-9
        )


@pytest.mark.parametrize("law", ["kaplan", "kaplan_params"])
def test_the_default_column_is_the_laws_own_count_and_is_said(table, law):
    result = fit(law, table)
    assert result.recipe.columns["params"] == "params_nonembedding"
    assert "params is column params_nonembedding; the table also has params_total" in (
        result.warnings
    )
    assert fit(laws.chinchilla, table).recipe.columns["params"] == "params_total"
    with pytest.raises(UserError, match=r"counts params as params_nonembedding.*params=\.\.\."):
        fit(law, table.drop(columns="params_nonembedding"))


def test_a_law_of_ones_own_takes_the_column_of_its_variable(table):
    law = Law(
        "mine", form="L = A / N^a", variables=("params",), space=(amplitude("A"), exponent("a")),
        formula=lambda xp, p, x: p["A"] * x["params"] ** -p["a"],
    )  # fmt: skip
    assert fit(law, table).recipe.columns["params"] == "params_total"
    assert fit(law, table.assign(params=1.5e7 + table.tokens)).recipe.columns["params"] == "params"


def test_the_card_tells_what_ran(table):
    mine = Law(
        "mine", form="L = A / N^a", variables=("params",), space=(amplitude("A"), exponent("a")),
        formula=lambda xp, p, x: p["A"] * x["params"] ** -p["a"],
    )  # fmt: skip
    exact, derived, raw = (
        card(fit(law, table, **options), width=10_000)
        for law, options in (
            (laws.chinchilla.given(E=1.8), {}),
            (mine, {}),
            (laws.chinchilla, {"objective": "raw_squared"}),
        )
    )
    assert "solvers/additive.py" in exact and "variable projection" in exact
    assert "E 0 to" not in exact and "alpha 0.001 to 6" in exact
    for text in (derived, raw):
        assert "solvers/formula.py" in text and "variable projection" not in text
        assert "automatic differentiation" in text
    assert "A by least squares" in derived and "delta" not in raw
    assert "none in the fit: residuals of the loss itself" in raw
    assert "logarithm of the loss" in exact


def test_a_result_is_short_in_a_notebook(table):
    result = fit(laws.chinchilla, table, bootstrap=200, holdout="params_total>1e8")
    assert len(repr(result)) < 300 and "chinchilla" in repr(result)
    assert len(repr(result.held_out)) < 1500
