"""Routed runs from a known law, read as a study: c, the effective size and a held-out run."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.readings.routed import Routed, read
from analysis.tables.study import StudyRecords
from scaling.common.errors import UserError
from scaling.laws import by_name
from scaling.laws.routed import effective_params

TRUTH = {"a": -0.2, "b": -0.15, "c": 0.02, "d": 1.2, "E_start": 1.0, "E_max": 1e6}
SIZES, EXPERTS = (1e4, 2e4, 4e4, 8e4), (1, 4, 8, 16)
NOISE = 0.001


def study(c: float = TRUTH["c"]) -> StudyRecords:
    rows = []
    noise = iter(np.random.default_rng(1).normal(0, NOISE, len(SIZES) * len(EXPERTS)))
    for rung, params in enumerate(SIZES):
        for experts in EXPERTS:
            loss = by_name("routed").predict({**TRUTH, "c": c}, params=params, experts=experts)
            held_out = (params, experts) == (SIZES[-1], EXPERTS[-1])
            rows.append(
                {
                    "run_id": f"{rung}-{experts}",
                    "status": "completed",
                    "part": "held_out" if held_out else "fit",
                    "rung": rung,
                    "label": "dense" if experts == 1 else "hash",
                    "params_total": params * experts,
                    "params_unique": params,
                    "params_active": params * (1 + 0.01 * (experts > 1)),  # with a router
                    # the record of a held-out run comes after its prediction
                    "model.experts": np.nan if held_out else experts * (experts > 1),
                    "loss_per_byte": float(loss) * np.exp(next(noise)),
                }
            )
    return StudyRecords(
        Path("runs"), "routed", "?", None, "routed", "loss_per_byte", "params_active", "tokens",
        {}, {}, {}, pd.DataFrame(rows),
    )  # fmt: skip


@cache
def found() -> Routed:
    answer = read(study())
    assert answer is not None
    return answer


def test_the_constants_and_the_effective_size_are_those_of_the_law() -> None:
    (router,) = found().routers
    value, low, high = router.c
    assert low <= TRUTH["c"] <= high
    assert low > 0, "its sign is known"
    assert value == pytest.approx(TRUTH["c"], rel=0.25)
    ratio, low, high = router.worth(SIZES[0], 16)
    truth = float(effective_params(TRUTH, SIZES[0], 16)) / SIZES[0]
    assert low <= truth <= high
    assert 2 < ratio < 20


def test_the_runs_collapse_and_the_held_out_one_is_predicted() -> None:
    (router,) = found().routers
    before, after = router.collapse
    assert after < before / 10
    _, low, high = router.predict(router.held_out)
    (measured,) = router.held_out["loss_per_byte"]
    assert low[0] <= measured <= high[0]
    assert list(found().predictions) == ["3-16"]
    assert "nothing tells where E^ saturates" in found().notes[0]
    assert [table.title for table in found().tables][-1] == "Held-out models"


def test_too_few_runs_have_no_answer_and_no_dense_run_is_refused() -> None:
    some = study()
    assert read(replace(some, runs=some.runs.assign(status="missing"))) is None
    with pytest.raises(UserError, match="no run labelled dense"):
        read(replace(some, runs=some.runs[some.runs["label"] != "dense"]))


def test_the_figure_has_two_panels_for_a_router() -> None:
    (picture,) = found().pictures()
    assert len(picture.draw().axes) == 2
