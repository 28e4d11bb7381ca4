"""One compiled program per form and bucket of rows, whatever objects the laws are."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.fit import fit
from analysis.fitting.solvers import formula, programs
from scaling import laws
from scaling.common.errors import UserError
from scaling.laws import Law, amplitude, exponent, offset, real
from scaling.laws.learning_curves import bnsl, quadratic_then_power_law, two_power_laws


def curve(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    x = np.geomspace(1e2, 1e6, rows)
    loss = (1.5 + 30 * x**-0.4) * np.exp(rng.normal(0, 0.01, rows))
    return pd.DataFrame({"x": x, "params": x, "tokens": x[::-1] * 10, "loss": loss})


def mine() -> Law:
    """A new object of one form."""
    return Law(
        "mine", form="L = E + A / x^alpha", variables=("x",),
        space=(offset("E"), amplitude("A"), exponent("alpha")),
        formula=lambda xp, p, x: p["E"] + p["A"] * x["x"] ** -p["alpha"],
    )  # fmt: skip


@pytest.fixture
def empty():
    """The cache as at the start of a process."""
    while programs._programs:
        programs._programs.popitem()[1].free()
    return programs._programs


def compiled() -> int:
    return sum(made.rates._cache_size() for made in programs._programs.values())


def test_buckets_hold_their_rows():
    sizes = [programs.bucket(rows) for rows in range(1, 400)]
    assert sizes == sorted(sizes) and sizes[:8] == [8] * 8
    assert all(rows <= size for rows, size in enumerate(sizes, 1))
    assert all(size <= 1.5 * rows for rows, size in enumerate(sizes, 1) if rows > 8)


def test_tables_of_one_form_share_programs(empty):
    for seed in range(6):
        fit(mine(), curve(17 + seed, seed), bootstrap=10)
        fit(mine().given(E=1.4 + 0.01 * seed), curve(17 + seed, seed))
    assert len(empty) == 2, "one with E fitted, one with E held"
    first = compiled()
    for seed in range(6):
        fit(mine(), curve(18 + seed, seed), bootstrap=10)
    assert compiled() == first


def test_the_cache_is_bounded(empty, monkeypatch):
    monkeypatch.setattr(programs, "PROGRAMS", 2)
    for rows in (6, 12, 24):
        fit(mine(), curve(rows, 0))
        assert len(empty) <= 2


def test_rows_that_fill_a_bucket_change_nothing(monkeypatch, empty):
    runs = curve(19, 1)
    full = fit(mine(), runs, bootstrap=10)
    monkeypatch.setattr(formula, "bucket", lambda rows: rows)
    bare = fit(mine(), runs, bootstrap=10)
    assert full.objective == pytest.approx(bare.objective, rel=1e-12)
    assert full.samples == pytest.approx(bare.samples, rel=1e-7)


def test_a_formula_that_sees_all_rows_is_not_filled_up():
    """One normalised by its own rows would change with rows of no weight."""
    law = Law(
        "centred", form="L = a + b (ln x - mean ln x)", variables=("x",),
        space=(real("a", 2.0, solved=True), real("b", -0.1, solved=True)),
        formula=lambda xp, p, x: p["a"] + p["b"] * (xp.log(x["x"]) - xp.mean(xp.log(x["x"]))),
    )  # fmt: skip
    runs = curve(19, 2)
    result = fit(law, runs, objective="raw_squared")
    centred = np.log(runs["x"]) - np.log(runs["x"]).mean()
    slope = float(np.sum(centred * runs["loss"]) / np.sum(centred**2))
    assert result.params["a"] == pytest.approx(runs["loss"].mean(), rel=1e-9)
    assert result.params["b"] == pytest.approx(slope, rel=1e-9)


FORMS: tuple[Callable[[], Law], ...] = (
    mine,
    lambda: mine().given(E=1.45),
    bnsl,
    two_power_laws,
    quadratic_then_power_law,
    lambda: laws.shifted_power_law,
    lambda: laws.sigmoidal_power_law,
    lambda: laws.kaplan,
    lambda: laws.overtraining,
    lambda: laws.hestness_size,
)


FITS = 300
SHORTEST = (9, 13, 17, 25, 33)  # the shortest tables of five buckets, all of them in 50 fits


def rows(number: int) -> int:
    """Rows of a table: all forms at one length, then all at one of the next bucket."""
    turn, place = divmod(number // len(FORMS), len(SHORTEST))
    return SHORTEST[place] + turn % 4


@pytest.mark.slow
def test_three_hundred_tables_of_ten_forms_take_bounded_memory(empty):
    """A program per form and bucket, all of them made in the first 60 fits; after those memory and
    mappings stay."""
    columns = {"x": "x", "params": "params", "tokens": "tokens", "samples": "x"}

    def used() -> tuple[float, int, int]:
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        maps = Path("/proc/self/maps").read_text().count("\n")
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20, maps, len(empty)

    assert len({programs.bucket(rows(number)) for number in range(FITS)}) == len(SHORTEST)
    marks = {}
    for number in range(FITS):
        law = FORMS[number % 10]()
        # a table that this law cannot fit costs memory too
        with contextlib.suppress(UserError):
            fit(
                law, curve(rows(number), number),
                columns={name: columns[name] for name in law.variables},
            )  # fmt: skip
        marks[number // 60] = used()
    print(f"MiB, mappings and programs by 60 fits: {marks}; {compiled()} functions compiled")
    (memory, maps, _), (last, final, _) = marks[0], marks[4]
    assert {each for _, _, each in marks.values()} == {len(SHORTEST) * len(FORMS)}
    assert last - memory < 100 and final - maps < 500
    assert final < 20_000
