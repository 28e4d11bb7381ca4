"""Mixtures of a known leverage, read as a study."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.readings.moe_sparsity import GRANULARITY, SPARSITY, Leverage, read
from analysis.tables.study import StudyRecords
from scaling.common.errors import UserError

A, ALPHA, NOISE = 40.0, 0.12, 0.001
CELLS = [(sparsity, cut) for sparsity in (2, 4, 8, 16) for cut in (1, 2, 4)]


def leverage(sparsity: float, cut: float) -> float:
    return 1.1 * sparsity**0.3 * cut**-0.1


def study() -> StudyRecords:
    rng, rows = np.random.default_rng(2), []
    common = {"status": "completed", "part": "fit", "model.width": 16}
    for at, flops in enumerate(np.geomspace(1e10, 1e13, 6)):
        loss = A * flops**-ALPHA * np.exp(rng.normal(0, NOISE))
        own = {"label": "dense", "model.ffn": 64, "model.experts": 0, "model.experts_active": 2}
        rows.append(
            {**common, **own, "run_id": f"d{at}", "flops_model": flops, "loss_per_byte": loss}
        )
    for sparsity, cut in CELLS:
        flops = 1e11 * (1 + 0.01 * cut * sparsity)
        loss = A * (leverage(sparsity, cut) * flops) ** -ALPHA * np.exp(rng.normal(0, NOISE))
        own = {
            "label": "mixture", "model.ffn": 64 // cut, "model.experts": cut * sparsity,
            "model.experts_active": cut, "run_id": f"{sparsity}-{cut}",
        }  # fmt: skip
        rows.append({**common, **own, "flops_model": flops, "loss_per_byte": loss})
    return StudyRecords(
        Path("runs"), "moe_sparsity", "?", None, "moe_sparsity", "loss_per_byte", "params_active",
        "tokens", {}, {}, {}, pd.DataFrame(rows),
    )  # fmt: skip


@cache
def found() -> Leverage:
    answer = read(study())
    assert answer is not None
    return answer


def test_leverage_and_its_exponents_are_those_of_the_design() -> None:
    rows = found().mixtures.to_dict("records")
    inside = 0
    for at, row in enumerate(rows):
        value, low, high = found().of(at)
        truth = leverage(row[SPARSITY], row[GRANULARITY])
        assert value == pytest.approx(truth, rel=0.05)
        inside += low <= truth <= high
    assert inside >= len(CELLS) - 2
    for name, truth in ((SPARSITY, 0.3), (GRANULARITY, -0.1)):
        value, low, high = found().exponents[name]
        assert low < truth < high and value == pytest.approx(truth, abs=0.03)
    assert "16 experts for each active one, granularity 1" in str(found())
    assert [len(table.rows) for table in found().tables] == [len(CELLS), 2]
    (picture,) = found().pictures()
    assert len(picture.draw().axes[0].lines) == 4


def test_too_few_runs_have_no_answer_and_no_dense_run_is_refused() -> None:
    some = study()
    assert read(replace(some, runs=some.runs.assign(status="missing"))) is None
    with pytest.raises(UserError, match="no runs labelled dense"):
        read(replace(some, runs=some.runs[some.runs["label"] != "dense"]))
