"""The reading of quantization: the law of the cost of rounding, and the gaps of a switch."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import records

from analysis.readings import quantization
from analysis.tables.study import load_study
from experiments import record
from scaling.common.errors import UserError


def write(folder: Path, named: bool = True) -> Path:
    """Costs 3 D^0.5 N^-0.3 e^(-bits / 1.5) of two seeds, and switches that end 0.1 and 0.2 above
    dense, a phased one without a gap at its start."""
    plan = []

    def run(run_id: str, label: str, loss: float, seed: int, n: float, d: float, **begun) -> None:
        counts = {"params_total": n, "tokens": d}
        plan.append(records.planned(run_id, label=label, **counts))
        summary = records.run_summary(
            run_id, metrics={"loss": loss}, label=label, accounting=counts,
            science={"seed": seed}, **begun,
        )  # fmt: skip
        record.write(folder / run_id, summary)

    def made(operation: str, parent: str, **settings) -> dict:
        return {
            "parents": (record.Parent(run_id=parent, step=8),),
            "derivation": record.Derivation(
                operation=operation, settings=settings if named else {}, flops_parents=1.0
            ),
        }

    def trace(run_id: str, *losses: float) -> None:
        rows = [
            record.MetricsRow(step=8 * i, tokens=8 * i, seconds=1.0, metrics={"loss": loss})
            for i, loss in enumerate(losses, 1)
        ]
        record.append_rows(folder / run_id / record.METRICS, rows)

    for seed in (0, 1):
        for n in (100.0, 1000.0):
            for d in (1e4, 1e5):
                name = f"t{seed}-{n:.0f}-{d:.0f}"
                run(name, "trained", 3.0 + seed, seed, n, d)
                for bits in (3, 4):
                    cost = (3 + seed) * d**0.5 * n**-0.3 * math.exp(-bits / 1.5)
                    run(f"r{bits}{name}", "rounded", 3.0 + seed + cost, seed, n, 0.0,
                        **made("quantize", name, bits=bits))  # fmt: skip
        for label, end, first in (
            ("dense, kept", 2.0, 2.5),
            ("ternary, kept", 2.1 + 0.1 * seed, 4.0),
            ("ternary, kept, phased", 2.05, 2.5),
        ):
            name = f"{label.replace(', ', '-')}{seed}"
            run(name, label, end, seed, 100.0, 1.0, **made("continue", f"t{seed}-100-10000"))
            trace(name, first, 2.2)
    record.write(folder, records.plan("quantization", plan, reading="quantization", loss="loss"))
    return folder


def test_law_of_the_cost_and_gaps_of_a_switch(tmp_path: Path) -> None:
    found = quantization.read(load_study(write(tmp_path)))
    assert found is not None
    assert len(found.rounded) == 8
    for name, value in (("gD", 0.5), ("gN", 0.3), ("g", 1.5)):
        assert found.constants[name] == pytest.approx((value, value), rel=1e-6)
    gaps = {switch.label: (switch.first, switch.last) for switch in found.switches}
    first, last = gaps["ternary, kept"]
    assert (first, last) == (pytest.approx((1.5, 1.5)), pytest.approx((0.1, 0.2)))
    assert gaps["ternary, kept, phased"][0] == (0.0, 0.0)
    assert str(found).startswith("the cost of rounding goes as D^0.50 [0.50, 0.50]; at 100 ")
    assert "the best switch is ternary, kept, phased: 0.05" in str(found)
    assert [len(table.rows) for table in found.tables] == [8, 3, 2]
    assert found.pictures()[0].draw().axes


def test_runs_without_bits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the records name no bits"):
        quantization.read(load_study(write(tmp_path, named=False)))
