"""The rows that a fit may see: those left out, named and refused, in tables of any origin."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from analysis import card, fit, where
from analysis.estimators.envelope import envelope
from analysis.estimators.isoflop import isoflop
from analysis.estimators.trajectory import fit_trajectories
from analysis.fitting.types import FitStatus
from analysis.hyperparameters.cells import cells
from analysis.tables.population import kept, run_column, unlike, visible
from scaling import laws
from scaling.common.errors import UserError

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}


@pytest.fixture
def runs() -> pd.DataFrame:
    """24 runs: 6 sizes by 4 token counts, noise 0.3 %."""
    n, d = np.repeat(np.geomspace(5e7, 1e10, 6), 4), np.tile(np.geomspace(1e9, 3e11, 4), 6)
    noise = np.random.default_rng(0).normal(0, 0.003, 24)
    loss = laws.chinchilla.predict(TRUTH, params=n, tokens=d) * np.exp(noise)
    return pd.DataFrame({"params_total": n, "tokens": d, "flops_6nd": 6 * n * d, "loss": loss})


def half(first: object, second: object) -> list[object]:
    return [first] * 12 + [second] * 12


@pytest.mark.parametrize(
    ("column", "words", "rows"),
    [
        ("status", half("FINISHED", "FAILED"), 12),
        ("status", half("Completed", "finished"), 24),
        ("state", half("COMPLETE", "PRUNED"), 12),
        ("State", half("finished", "crashed"), 12),
        ("info.status", half("done", "running"), 12),
        ("status", half("TERMINATED", "ERROR"), 12),
        ("run_state", half("OK", None), 24),
        ("status", half(True, False), 12),
        ("status", half("new", "old"), 24),
        ("state", half("Texas", "Ohio"), 24),
        ("status", half("baseline", "running"), 24),
        ("status", half("success", "odd"), 24),
    ],
)
def test_words_of_a_status(runs: pd.DataFrame, column: str, words: list[object], rows: int):
    keep, notes = visible(runs.assign(**{column: words}))
    assert keep.sum() == rows
    assert rows == 24 or str(words[-1]) in notes[0]


def test_a_condition_decides_about_the_columns_that_it_names(runs: pd.DataFrame):
    table = runs.assign(status=half("finished", "failed"))
    assert len(kept(where(table, "status==failed"))[0]) == 12
    assert len(kept(where(table, "status==*"))[0]) == 24
    assert len(kept(where(table, "loss>0"))[0]) == 12
    with pytest.raises(UserError, match="no completed run to fit: 12 runs failed"):
        kept(table.iloc[12:])


@pytest.mark.parametrize(
    "foreign",
    [
        {"part": half("trunk", "head")},
        {"part": half("held_out", "fit")},
        {"part": half("held_out", "web"), "run_id": range(24), "status": "completed"},
        {"part": half("held_out", "fit"), "run_id": range(24), "status": "FINISHED"},
    ],
)
def test_words_of_ours_in_tables_of_others(runs: pd.DataFrame, foreign: dict[str, object]):
    assert visible(runs.assign(**foreign))[0].all()


def test_our_own_record_is_read_with_our_meaning(runs: pd.DataFrame):
    ids = [f"r{at}" for at in range(24)]
    table = runs.assign(run_id=ids, study="s", status="completed", part=half("fit", "held_out"))
    assert visible(table)[0].sum() == 12
    assert visible(table, held_out=True)[0].all()


@pytest.mark.parametrize("gap", [None, np.nan, pd.NA, "", "—", "N/A", "nan"])
def test_rows_without_a_loss_are_left_out_by_name(runs: pd.DataFrame, gap: object):
    loss = runs["loss"].astype(object).where(~runs.index.isin([3, 7]), gap)
    found = fit(laws.chinchilla, runs.assign(loss=loss))
    assert len(found.points) == 22
    assert found.warnings[0] == "2 runs without a loss (row 3, row 7): left out"


POOLED: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "architecture": lambda t: t.assign(architecture=half("llama", "xlstm")),
    "arch of a tracker": lambda t: t.assign(**{"config/Arch": half("a", "b")}),
    "label": lambda t: t.assign(label=half("muon", "adamw")),
    "corpus": lambda t: t.assign(corpus=half("web", "code")),
    "unit": lambda t: t.assign(loss_kind=half("nats", "bits")),
    "tag": lambda t: t.assign(tag=["loss", "accuracy"] * 12),
    "experiment": lambda t: t.assign(experiment_id=half(1, 2)),
}


@pytest.mark.parametrize("name", POOLED)
def test_populations_are_pooled_by_request_alone(runs: pd.DataFrame, name: str):
    table = POOLED[name](runs)
    column = table.columns[-1]
    with pytest.raises(UserError, match=f"2 values of '{column}' .*--where '{column}==") as error:
        kept(table)
    assert "\n" not in str(error.value)
    rows, notes = kept(where(table, f"{column}==*"))
    assert len(rows) == 24 and "taken as one on request" in notes[0]
    one = table[column].iloc[0]
    assert kept(where(table, f"{column}=={one}"))[1] == ()


@pytest.mark.parametrize(
    "column",
    [
        {"label": [f"run {at}" for at in range(24)]},  # a name for each run
        {"arch": np.repeat([f"{at}b" for at in range(6)], 4)},  # a name for each size
        {"experiment": "one"},
        {"corpus": [None] * 24},
    ],
)
def test_names_of_runs_and_sizes_are_no_populations(runs: pd.DataFrame, column: dict[str, object]):
    assert kept(runs.assign(**column), "loss", ("params_total", "tokens"))[1] == ()


@pytest.mark.parametrize(
    ("flag", "bad"), [("diverged", True), ("outlier", 1), ("is_final", False), ("excluded", True)]
)
def test_rows_that_the_table_flags_are_named(runs: pd.DataFrame, flag: str, bad: int):
    table = runs.assign(**{flag: [bad, bad] + [type(bad)(not bad)] * 22})
    (note,) = kept(table)[1]
    assert note.startswith(f"2 runs of 24 with {flag} ") and "(row 0, row 1)" in note
    remedy = note.split("'")[1]
    assert len(kept(where(table, remedy))[0]) == 22
    assert kept(where(table, remedy))[1] == ()


def test_rows_far_off_the_law_are_named(runs: pd.DataFrame):
    clean = fit(laws.chinchilla, runs)
    assert not any("robust" in note for note in clean.warnings)
    far = runs.assign(loss=runs["loss"] * np.where(runs.index == 5, 2.5, 1.0))
    (note,) = [n for n in fit(laws.chinchilla, far).warnings if "robust" in n]
    assert note.startswith("1 run more than 10 robust") and "(row 5: +1" in note


def test_outliers_are_not_cried_in_small_clean_tables():
    rng, cried = np.random.default_rng(1), 0
    for _ in range(10):
        n, d = 10 ** rng.uniform(7.5, 10, 10), 10 ** rng.uniform(9, 11.5, 10)
        loss = laws.chinchilla.predict(TRUTH, params=n, tokens=d) * np.exp(rng.normal(0, 0.01, 10))
        table = pd.DataFrame({"params_total": n, "tokens": d, "loss": loss})
        cried += any("robust" in note for note in fit(laws.chinchilla, table).warnings)
    assert cried <= 1


def test_checkpoints_of_one_run_are_named_unless_clustered(runs: pd.DataFrame):
    table = runs.assign(run=np.repeat([f"m{at}" for at in range(6)], 4))
    (note,) = [n for n in fit(laws.chinchilla, table).warnings if "checkpoints" in n]
    assert note.startswith("24 rows look like checkpoints of 6 runs (column 'run')")
    assert "--where 'tokens==last of run' takes the last of each" in note
    last = fit("power_law", table, x="params_total", where="tokens==last of run")
    assert len(last.points) == 6 and not any("checkpoints" in each for each in last.warnings)
    clustered = fit(laws.chinchilla, table, bootstrap=5, cluster="run")
    assert not any("checkpoints" in note for note in clustered.warnings)


def test_an_id_tells_runs_of_one_name_apart(runs: pd.DataFrame):
    named = runs.assign(Name="ladder-" + pd.Series(np.repeat(list("abcdef"), 4)))
    assert run_column(named, ("tokens",)) == "Name"
    assert run_column(named.assign(ID=range(24)), ("tokens",)) is None
    twice = named.assign(ID=[0, 0, *range(22)])
    assert run_column(twice, ("tokens",)) == "ID"


def test_populations_in_a_column_of_any_name_are_told_by_their_residuals(runs: pd.DataFrame):
    """A column that no list of words knows; one that names the design is none."""
    table = runs.assign(cohort=["a", "b b"] * 12)
    table["loss"] *= np.where(table["cohort"] == "a", 1, 1.02)
    mixed = fit(laws.chinchilla, table)
    (note,) = [each for each in mixed.warnings if "'cohort'" in each]
    assert mixed.status is FitStatus.MISFIT and "lie apart from the law (a -1.1 %, b b " in note
    for chosen in note.split("'")[3::2]:
        assert not any(
            "'cohort'" in each for each in fit(laws.chinchilla, table, where=chosen).warnings
        )
    empty = runs.assign(a=pd.Series([None] * 24, dtype=object), b=["x", None] * 12)
    assert fit(laws.chinchilla, empty).warnings == fit(laws.chinchilla, runs).warnings
    bent = runs.assign(loss=runs["loss"] * np.where(runs["tokens"] > 5e10, 1.02, 1))
    named = bent.assign(design=[f"d{at}" for at in range(24)])
    named = pd.concat([named.assign(loss=named["loss"] * noise) for noise in (0.999, 1, 1.001)])
    assert not any("'design'" in each for each in fit(laws.chinchilla, named).warnings)
    missing = table.assign(cohort=np.where(table["cohort"] == "a", None, table["cohort"]))
    assert "--where 'cohort==\"b b\"'" in " ".join(fit(laws.chinchilla, missing).warnings)


def test_twenty_columns_of_text_raise_no_more_alarms_than_one():
    """Drawn words, a word for each row, and two words of one row each, beside noise."""
    rng = np.random.default_rng(0)
    tables = {str(at): rng.choice(list("uvwxyz")[: 2 + at % 5], 60) for at in range(18)}
    rows = pd.DataFrame(tables | {"own": [f"r{at}" for at in range(60)], "rare": ""})
    rows.loc[[3, 7], "rare"] = ["p", "q"]
    cried = sum(
        bool(unlike(rows, rng.standard_t(3, 60) / 300, np.arange(60), ())) for _ in range(40)
    )
    assert cried <= 2
    worst = np.where(np.isin(np.arange(60), [3, 7]), 1.0, rng.normal(0, 1e-3, 60))
    assert unlike(rows[["own", "rare"]], worst, np.arange(60), ()) == ()
    apart = np.where(rows["0"] == "u", 0.01, 0) + rng.normal(0, 1e-3, 60)
    (note,) = unlike(rows, apart, np.arange(60), ())
    assert note.startswith("lack of fit: values of '0' lie apart")


def test_another_column_of_the_same_quantity_is_named(runs: pd.DataFrame):
    """A bare `loss` beside a validation loss may be that of training."""
    table = runs.assign(val_loss=runs["loss"] * 1.1, train_tokens=runs["tokens"] * 3)
    notes = fit(laws.chinchilla, table).warnings
    assert "loss is column loss; the table also has val_loss" in notes
    assert "tokens is column tokens; the table also has train_tokens" in notes
    same = runs.assign(val_loss=runs["loss"], train_loss=2.0, train_tokens=runs["tokens"])
    assert fit(laws.chinchilla, same).warnings == fit(laws.chinchilla, runs).warnings


@pytest.mark.parametrize("wild", [1e308, 1e-300])
def test_weights_beyond_what_squares_can_hold_are_refused(runs: pd.DataFrame, wild: float):
    with pytest.raises(UserError, match=r"between 1e-150 and 1e\+150"):
        fit(laws.chinchilla, runs, weights=np.r_[wild, np.ones(23)])


def left_out(runs: pd.DataFrame) -> pd.DataFrame:
    """Doubled: each run again with a loss of nonsense, held out, crashed or without a loss."""
    again = runs.assign(loss=runs["loss"] * 3, status="failed")
    return pd.concat([runs.assign(status="completed"), again], ignore_index=True)


def test_every_estimator_takes_the_same_rows():
    flops = np.repeat([1e19, 1e20, 1e21], 5)
    n = np.tile(np.geomspace(1e8, 1.6e9, 5), 3) * flops**0.5 / 1e10
    d = flops / 6 / n
    loss = laws.chinchilla.predict(TRUTH, params=n, tokens=d)
    names = [f"r{at}" for at in range(15)]
    runs = pd.DataFrame(
        {"params_total": n, "tokens": d, "flops_6nd": flops, "loss": loss, "run_id": names}
    )
    both = left_out(runs)
    one, two = (isoflop(table, bootstrap=0) for table in (runs, both))
    assert two.params.values == one.params.values
    assert any(note.startswith("15 runs failed") for note in two.warnings)
    found = cells(both, ("flops_6nd",), ("params_total",), "loss")
    assert len(found.loss) == 15

    steps = np.tile(np.geomspace(10, 1e4, 20), 15)
    curves = runs.loc[np.repeat(np.arange(15), 20)].assign(
        tokens=steps * 1e6, step=steps, batch_tokens=np.tile(np.repeat([1e5, 1e6, 1e7], 100), 1),
    )  # fmt: skip
    curves["flops_6nd"] = 6 * curves["params_total"] * curves["tokens"]
    curves["loss"] = laws.chinchilla.predict(
        TRUTH, params=curves["params_total"], tokens=curves["tokens"]
    )
    curves = curves.reset_index(drop=True)
    one, two = (envelope(table, budgets=200) for table in (curves, left_out(curves)))
    assert two.params.values == one.params.values
    with pytest.raises(UserError, match="no completed run to fit"):
        fit_trajectories(curves.assign(status="failed"), params="params_total")


def test_weights_and_masks_are_aligned_by_label(runs: pd.DataFrame):
    rng = np.random.default_rng(0)
    weights = pd.Series(rng.uniform(0.1, 10, 24))
    expected = fit(laws.chinchilla, runs, weights=weights.to_numpy()).params
    reordered = weights.sample(frac=1, random_state=1)
    assert fit(laws.chinchilla, runs, weights=reordered).params == expected
    mask = runs["flops_6nd"] > 1e21
    shuffled = fit(laws.chinchilla, runs, holdout=mask.sample(frac=1, random_state=2))
    assert shuffled.held_out is not None
    assert set(shuffled.held_out.labels) == {f"row {at}" for at in runs.index[mask]}
    for wrong in (weights.set_axis(range(1, 25)), weights.iloc[:-1]):
        with pytest.raises(UserError, match="weights: the labels of its index"):
            fit(laws.chinchilla, runs, weights=wrong)


def test_rows_are_chosen_by_an_argument_too(runs: pd.DataFrame):
    condition = "loss<4 and flops_6nd>1e18"
    weights = pd.Series(np.linspace(1, 2, 24))
    expected = fit(laws.chinchilla, where(runs, condition), weights=weights)
    found = fit(laws.chinchilla, runs, where=condition, weights=weights)
    assert found.params == expected.params and len(found.points) < 24
    assert found.recipe.where == expected.recipe.where == (condition,)
    assert f"rows: {condition}" in card(found)


def test_a_cluster_that_is_missing_is_named(runs: pd.DataFrame):
    table = runs.assign(c=["a", "b", None, *"cdefgh" * 3, "i", "j", np.nan])
    with pytest.raises(UserError, match=r"column 'c' is empty \(row 2, row 23\)"):
        fit(laws.chinchilla, table, bootstrap=5, cluster="c")


def test_a_run_without_a_name_is_a_run_of_its_own(runs: pd.DataFrame):
    """One blank name among checkpoints does not make them independent."""
    names = np.repeat([f"m{at}" for at in range(6)], 4).astype(object)
    names[[3, 7]] = None
    (note,) = [
        note
        for note in fit(laws.chinchilla, runs.assign(run=names), bootstrap=5).warnings
        if "checkpoints" in note
    ]
    assert note.startswith("24 rows look like checkpoints of 8 runs (column 'run')")


@pytest.mark.parametrize("named", [{"params": "n", "tokens": "d"}, {}])
def test_a_history_with_a_column_for_each_run_is_told(named: dict[str, str]):
    wide = pd.DataFrame({"Step": [1, 2], "a - loss": [3.0, 2.0], "b - loss": [3.0, 2.0]})
    with pytest.raises(
        UserError, match=r"a column for each run \(a - loss, b - loss\); export a row"
    ):
        fit(laws.chinchilla, wide, **named)


def test_compute_follows_from_size_and_tokens(runs: pd.DataFrame):
    table = pd.concat([runs.assign(tokens=c / 6 / runs.params_total) for c in (1e19, 1e20)])
    loss = laws.chinchilla.predict(TRUTH, params=table.params_total, tokens=table.tokens)
    table = table.assign(loss=loss, flops_6nd=6 * table.params_total * table.tokens)
    given, derived = (
        isoflop(each, bootstrap=0).params.values
        for each in (table, table.drop(columns="flops_6nd"))
    )
    assert derived == given
