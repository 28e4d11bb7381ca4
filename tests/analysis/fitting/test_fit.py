"""Invariances of a fit: units, order, weights, degenerate tables, and refusals."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import where
from analysis.__main__ import main
from analysis.fitting.card import card
from analysis.fitting.fit import fit
from analysis.fitting.types import FitStatus
from scaling import laws
from scaling.common.errors import UserError

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    params = np.repeat(np.geomspace(5e7, 1e10, 6), 5)
    tokens = np.tile(np.geomspace(1e9, 3e11, 5), 6) * np.exp(rng.normal(0, 0.1, 30))
    loss = laws.chinchilla.predict(TRUTH, params=params, tokens=tokens)
    loss = loss * np.exp(rng.normal(0, 0.006, 30))
    return pd.DataFrame({"params_total": params, "tokens": tokens, "loss": loss})


def test_every_row_twice_doubles_the_objective_alone(table: pd.DataFrame):
    once = fit(laws.chinchilla, table)
    twice = fit(laws.chinchilla, pd.concat([table, table], ignore_index=True))
    assert twice.objective == pytest.approx(2 * once.objective, rel=1e-12)
    assert twice.params == pytest.approx(once.params, rel=1e-9)


@pytest.mark.parametrize("law", [laws.power_law, laws.power_law_no_offset])
def test_a_curve_through_every_row_has_no_noise_to_know(law: laws.Law):
    """As many rows as constants: no residuals, so the noise is unknown and not zero."""
    rows = pd.DataFrame({"x": [1e3, 1e5, 1e8], "loss": [9.0, 4.0, 2.5]})
    known = rows[: len(law.parameters)]
    result = fit(law, known, x="x", bootstrap=20)
    assert result.freedom == 0 and np.isnan(result.noise)
    assert result.predict(x=1e6).without == result.no_interval


def test_weights_are_repeated_rows(table: pd.DataFrame):
    weights = np.arange(30) % 3 + 1.0
    repeated = table.loc[table.index.repeat(weights.astype(int))].reset_index(drop=True)
    by_weight = fit(laws.chinchilla, table.assign(w=weights), weights="w")
    assert by_weight.params == pytest.approx(fit(laws.chinchilla, repeated).params, rel=1e-8)


def test_runs_on_different_data_are_not_pooled_silently(table: pd.DataFrame):
    one = table.assign(**{"data.fingerprint": "0123", "data.weights": [[0.5, 0.5]] * 30})
    two = one.assign(**{"data.fingerprint": ["0123", "4567"] * 15})
    assert not any("taken as one" in note for note in fit(laws.chinchilla, one).warnings)
    with pytest.raises(UserError, match=r"2 values of 'data.fingerprint' \(0123, 4567\): take one"):
        fit(laws.chinchilla, two)
    pooled = fit(laws.chinchilla, where(two, "data.fingerprint==*"))
    assert any("taken as one on request" in note for note in pooled.warnings)


def test_order_and_units_do_not_matter(table: pd.DataFrame):
    base = fit(laws.chinchilla, table)
    shuffled = fit(laws.chinchilla, table.sample(frac=1, random_state=1))
    assert shuffled.params == pytest.approx(base.params, rel=1e-9)
    scaled = table.assign(params_total=table["params_total"] / 1e6, loss=table["loss"] / np.log(2))
    other = fit(laws.chinchilla, scaled)
    assert other.objective == pytest.approx(base.objective, rel=1e-9)
    assert other.params["alpha"] == pytest.approx(base.params["alpha"], rel=1e-9)
    in_millions = base.params["A"] * 1e6 ** -base.params["alpha"] / np.log(2)
    assert other.params["A"] == pytest.approx(in_millions, rel=1e-8)


def test_a_float32_table_is_fitted_in_float64(table: pd.DataFrame):
    result = fit(laws.chinchilla, table.astype(np.float32))
    assert result.residuals.dtype == np.float64
    assert result.status is FitStatus.CONVERGED


def test_bootstrap_is_a_function_of_its_seed(table: pd.DataFrame):
    def interval(seed: int) -> tuple[float, float]:
        return fit(laws.chinchilla, table, bootstrap=50, seed=seed).interval("alpha")

    assert interval(0) == interval(0)
    assert interval(0) != interval(1)


@pytest.mark.parametrize("resampling", ["pairs", "dirichlet"])
def test_prediction_lies_in_its_interval(table: pd.DataFrame, resampling):
    result = fit(laws.chinchilla, table, bootstrap=100, resampling=resampling)
    said = result.predict(params=7e10, tokens=1.4e12)
    assert said.low < said.value < said.high
    assert said.value == pytest.approx(
        float(laws.chinchilla.predict(TRUTH, params=7e10, tokens=1.4e12)), rel=0.02
    )
    best = result.optimal(flops=[1e22, 1e23])
    assert best.params[0].shape == (2,)
    assert (best.params[1] < best.params[0]).all() and (best.params[0] < best.params[2]).all()


def test_interval_without_bootstrap_is_refused(table: pd.DataFrame):
    with pytest.raises(UserError, match="bootstrap=1000"):
        fit(laws.chinchilla, table).interval("alpha")
    assert np.isnan(fit(laws.chinchilla, table).predict(params=1e9, tokens=1e10).low)


def test_tokens_constant_is_not_identified(table: pd.DataFrame):
    result = fit(laws.chinchilla, table.assign(tokens=1e10), bootstrap=20)
    assert result.status is FitStatus.NOT_IDENTIFIED
    assert {name for name, value in result.params.items() if np.isnan(value)} == {"E", "B", "beta"}
    assert any("tokens is the same in every row" in text for text in result.warnings)
    assert np.isfinite(result.predict(params=3e9, tokens=1e10).value)
    with pytest.raises(UserError, match="only 1 value"):
        result.predict(params=3e9, tokens=2e10)
    with pytest.raises(UserError, match="no compute optimum"):
        result.optimal(1e22)


def test_two_sizes_cannot_tell_a_third(table: pd.DataFrame):
    two = table[table["params_total"].isin(table["params_total"].unique()[:2])]
    result = fit(laws.chinchilla, two)
    assert result.status is FitStatus.NOT_IDENTIFIED
    with pytest.raises(UserError, match="only 2 value"):
        result.predict(params=1e11, tokens=1e11)


def test_tokens_in_proportion_to_params(table: pd.DataFrame):
    line = table.assign(tokens=20 * table["params_total"])
    line["loss"] = laws.chinchilla.predict(TRUTH, params=line.params_total, tokens=line.tokens)
    line["loss"] *= np.exp(np.random.default_rng(0).normal(0, 0.004, len(line)))
    result = fit(laws.chinchilla, line)
    assert result.status is FitStatus.NOT_IDENTIFIED
    assert np.isnan(result.params["alpha"]) and np.isnan(result.params["beta"])
    result.predict(params=1e10, tokens=2e11)
    with pytest.raises(UserError, match="off that line"):
        result.predict(params=1e10, tokens=1e12)


def test_as_many_rows_as_parameters(table: pd.DataFrame):
    result = fit(laws.chinchilla, table.iloc[[0, 6, 12, 18, 29]], bootstrap=50)
    assert not result.has_intervals
    assert any("no interval" in text for text in result.warnings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.iloc[:4], "has 5 parameters and the table 4 different row"),
        (lambda t: pd.concat([t.iloc[:4]] * 3), "table 4 different row"),
        (lambda t: t.assign(loss=2.0), "the same in every row"),
        (lambda t: t.assign(loss=t.loss.where(t.index != 7, -1.0)), r"'loss'.*\(row 7: -1.0\)"),
        (lambda t: t.assign(tokens=t.tokens.where(t.index != 2, -5.0)), r"'tokens'.*row 2: -5.0"),
        (lambda t: t.assign(params_total=0.0), "and 25 more"),
        (lambda t: t.assign(loss=t.loss.astype(object).where(t.index != 4, "bad")), "row 4: bad"),
        (lambda t: t.rename(columns={"loss": "los"}), "no column 'loss': did you mean 'los'"),
        (lambda t: t.iloc[:0], "no rows"),
    ],
)
def test_tables_that_cannot_be_fitted(table: pd.DataFrame, change, message: str):
    with pytest.raises(UserError, match=message):
        fit(laws.chinchilla, change(table))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delta": 0.0}, "delta"),
        ({"bootstrap": -1}, "bootstrap"),
        ({"drop_highest": 30}, "drop_highest"),
        ({"bootstrap": 5, "resampling": "pears"}, "did you mean 'pairs'"),
        ({"weights": np.zeros(30)}, "weights"),
    ],
)
def test_options_that_make_no_sense(table: pd.DataFrame, options, message: str):
    with pytest.raises(UserError, match=message):
        fit(laws.chinchilla, table, **options)


def test_runs_that_did_not_complete_are_left_out_and_named(table: pd.DataFrame):
    marked = table.assign(
        study="s", status="completed", part="fit", run_id=[f"run{at}" for at in range(30)]
    )
    marked.loc[3, ["status", "loss"]] = ["diverged", np.nan]
    marked.loc[9, "part"] = "held_out"
    result = fit(laws.chinchilla, marked)
    assert len(result.points) == 28
    assert any("diverged (run3)" in text for text in result.warnings)
    assert result.params == pytest.approx(
        fit(laws.chinchilla, table.drop(index=[3, 9])).params, rel=1e-9
    )


def test_trunk_is_neither_fitted_nor_held_out(table: pd.DataFrame):
    """A trunk had no cooldown, so its loss belongs to no finished training."""
    marked = table.assign(
        study="s", status="completed", part="fit", run_id=[f"run{at}" for at in range(30)]
    )
    trunk = marked.iloc[[29]].assign(part="trunk", run_id="trunk", loss=9.9)
    both = pd.concat([marked, trunk], ignore_index=True)
    ours, theirs = fit(laws.chinchilla, both), fit(laws.chinchilla, marked)
    assert ours.params == theirs.params
    assert "1 run without a cooldown (trunks): not fitted" in ours.warnings
    largest = f"params_total>={marked['params_total'].max()}"
    ours, theirs = (fit(laws.chinchilla, rows, holdout=largest) for rows in (both, marked))
    assert ours.params == theirs.params
    assert str(ours.held_out) == str(theirs.held_out)


def test_dropped_rows_are_named(table: pd.DataFrame):
    result = fit(laws.chinchilla, table, drop_highest=2)
    worst = table["loss"].nlargest(2).index
    assert all(any(f"row {at}" in text for text in result.warnings) for at in worst)


def test_json_and_card(table: pd.DataFrame):
    result = fit(laws.chinchilla, table.assign(tokens=1e10), bootstrap=20)
    value = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert value["params"]["beta"] is None
    assert value["status"] == "not identified"
    text = card(fit(laws.chinchilla, table))
    for item in ("form", "how N, D and C are counted", "objective", "held-out validation"):
        assert item in text
    assert re.search(r"not recorded: [^:]*learning rate", text)


def test_the_bootstrap_keeps_the_weights(table: pd.DataFrame):
    """Rows of no weight must not reach the resamples either."""
    spoilt = table.assign(w=np.where(table.index % 6 == 0, 1e-9, 1.0))
    spoilt["loss"] = spoilt["loss"].where(spoilt["w"] == 1.0, spoilt["loss"] * 1.4)
    result = fit(laws.chinchilla, spoilt, weights="w", bootstrap=60)
    low, high = result.predict(params=1e9, tokens=3e10).constants
    assert high / low < 1.02


@pytest.mark.slow
def test_many_rows_are_fitted_in_little_memory():
    """100,000 rows: the optimum of all of them, although the scan sees a sample."""
    rng = np.random.default_rng(1)
    n, d = 10 ** rng.uniform(7.5, 10, 100_000), 10 ** rng.uniform(9, 11.5, 100_000)
    loss = laws.chinchilla.predict(TRUTH, params=n, tokens=d) * np.exp(rng.normal(0, 0.005, n.size))
    result = fit(laws.chinchilla, pd.DataFrame({"params_total": n, "tokens": d, "loss": loss}))
    assert result.status is FitStatus.CONVERGED
    # 100,000 rows of noise 0.005 fix the exponents to about 3e-4
    assert result.params["alpha"] == pytest.approx(0.35, abs=2e-3)
    assert result.params["beta"] == pytest.approx(0.37, abs=2e-3)


@pytest.mark.slow
def test_ten_million_rows_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "large.csv"
    with file.open("w") as out:
        out.write("n,d,loss\n")
        out.writelines("1e8,1e9,3.1\n2e8,1e9,2.9\n" for _ in range(5_000_000))
    assert main(["fit", str(file), "--params", "n", "--tokens", "d"]) == 2
    assert "the table has 10,000,000 rows, and a fit takes" in capsys.readouterr().err
