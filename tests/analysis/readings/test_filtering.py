"""The reading of pools of quality: the best filter by budget, and the half-life of a pool."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import records

from analysis.readings import filtering
from analysis.tables.study import load_study
from experiments import record
from scaling.common.errors import UserError
from scaling.laws import filtering as law

TRUE = {"E": 0.8, "A": 1.5, "b": 0.3, "tau": 3.0}
U, EPOCHS = 65_536, (0.25, 0.5, 1, 4, 16, 64)


def written(folder: Path, of_sources: bool = True) -> Path:
    """A pool whose loss is known, and both pools, better from 16 epochs on."""
    rng, plan = np.random.default_rng(1), []
    runs = [(label, n * U) for label in ("q1", "q2") for n in EPOCHS for _ in range(2)]
    runs += [("q1+q2", n * U) for n in (4, 16) for _ in range(2)]
    for k, (label, tokens) in enumerate(runs):
        loss = law.predict(TRUE, tokens=tokens, unique_tokens=U) * (1.1 if label == "q1" else 1.0)
        loss += 0.0 if label != "q1+q2" else 0.1 if tokens < 16 * U else -0.1
        counts = {"params_total": 1000, "tokens": tokens, "flops_6nd": 6e3 * tokens}
        plan.append(records.planned(f"run{k}", label=label, **counts))
        sources = {"unique_by_source": dict.fromkeys(("q1", "q2"), U)} if of_sources else {}
        summary = records.run_summary(
            f"run{k}",
            metrics={"loss": float(loss + rng.normal(0, 0.001)), **sources},
            study="filtering",
            label=label,
            science={"seed": k % 2},
            accounting=counts,
        )
        record.write(folder / f"run{k}", summary)
    record.write(folder, records.plan("filtering", plan, reading="filtering"))
    return folder


def test_a_known_half_life_and_the_better_filter_are_found(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(filtering, "RESAMPLES", 10)
    found = filtering.read(load_study(written(tmp_path)))
    assert found is not None
    assert found.laws["q2"].estimates["tau"] == pytest.approx(TRUE["tau"], rel=0.1)
    assert [label for label, _ in found.best.values()] == ["q2", "q1+q2"]
    assert found.best[16 * U][1][0] == pytest.approx(0.1, abs=0.005)
    assert "q1+q2 overtakes q2 between 262k and 1.05M" in str(found)
    assert [len(table.rows) for table in found.tables] == [6, 2, 2]
    (picture,) = found.pictures()
    assert picture.draw().axes


def test_unnamed_pools_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no unique_by_source\.q1; label each run by its pools"):
        filtering.read(load_study(written(tmp_path, of_sources=False)))
