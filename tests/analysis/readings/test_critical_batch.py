"""The critical batch of a study, from trajectories that lie on known hyperbolas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import records

from analysis.__main__ import main
from analysis.hyperparameters.law_file import LAW
from analysis.hyperparameters.recommend import recommend
from analysis.readings import critical_batch
from analysis.report.report import write_page
from analysis.tables.study import load_study
from experiments import record
from experiments.record import METRICS, StudyPlan
from scaling.common.errors import UserError

BATCHES = [32 * 2**k for k in range(7)]
B_STAR, POWER = 4000.0, 4.0  # B_crit = 4000 L^-4 tokens: 250 at a loss of 2
ENDS = (1.6, 3.0)
WARMUP = 0.001


def steps_min(loss: np.ndarray) -> np.ndarray:
    return 4e5 * loss**-6.0


def write(
    folder: Path,
    batches: list[int] = BATCHES,
    *,
    validated: bool = True,
    noise: float = 0.0,
    seed: int = 0,
) -> Path:
    """A study: at each batch a run at the best rate, and two that take 1.5 times its steps."""
    rng, entries = np.random.default_rng(seed), []
    loss = np.linspace(*ENDS[::-1], 60)
    for batch in batches:
        for rate, slower in ((0.5, 1.5), (1.0, 1.0), (2.0, 1.5)):
            run_id = f"{batch}-{rate}"
            luck = np.exp(rng.normal(0, noise))
            steps = slower * luck * steps_min(loss) * (1 + B_STAR * loss**-POWER / batch)
            steps = np.rint(steps).astype(int)
            counts = {"params_total": 1000, "tokens": int(batch * steps[-1]), "flops_6nd": 1e9}
            entries.append(records.planned(run_id, **counts))
            rows = [
                records.validation(int(step), float(value), int(step * batch))
                for step, value in zip(steps[:-1], loss[:-1], strict=True)
            ]
            # losses during warm-up are arbitrary: the law ignores them
            early = int(WARMUP * steps[-1] / 2)
            rows.insert(0, records.validation(early, 0.5, early * batch))
            rows = rows if validated else [records.training(1, 3.0, 1.0, batch)]
            record.append_rows(folder / run_id / METRICS, rows)
            summary = records.run_summary(
                run_id,
                metrics={"batch_tokens": batch, "steps": int(steps[-1]), "loss": float(loss[-1])},
                study="critical",
                science={
                    "optimizer": {"learning_rate": rate},
                    "batch": {"sequences": batch},
                    "schedule": {"name": "constant", "warmup_fraction": WARMUP},
                },
                accounting=counts,
            )
            record.write(folder / run_id, summary)
    plan = records.plan("critical", entries, reading="critical_batch")
    record.write(folder, plan)
    return folder


def test_the_hyperbolas_and_their_law_are_found_from_the_best_rate_of_each_batch(tmp_path):
    found = critical_batch.read(load_study(write(tmp_path)))
    assert found is not None and found.notes == ()
    for each in found.hyperbolas:
        assert ENDS[0] < each.loss < ENDS[1]
        assert list(each.batch) == BATCHES
        assert each.critical == pytest.approx(B_STAR * each.loss**-POWER, rel=0.01)
        assert each.steps_min == pytest.approx(float(steps_min(np.array(each.loss))), rel=0.01)
    assert found.exponent[0] == pytest.approx(-POWER, rel=0.01)
    assert found.at(2.0)[0] == pytest.approx(B_STAR / 16, rel=0.01)


def test_intervals_hold_the_truth_of_noisy_runs(tmp_path):
    """20 studies whose runs are off by 3 %. At a nominal 95 %, 16 is three standard errors low."""
    held = 0
    for seed in range(20):
        folder = write(tmp_path / str(seed), noise=0.03, seed=seed)
        found = critical_batch.read(load_study(folder))
        assert found is not None
        _, low, high = found.at(2.0)
        held += low <= B_STAR / 16 <= high
    assert held >= 16


def test_a_best_rate_at_the_end_of_those_tried_is_told(tmp_path):
    write(tmp_path)
    runs = record.read(tmp_path, StudyPlan).runs
    left = tuple(run for run in runs if not run.run_id.endswith("-0.5"))
    assert len(left) == len(runs) - len(BATCHES)
    records.change(tmp_path, StudyPlan, runs=left)  # the best rate is now the least of two
    found = critical_batch.read(load_study(tmp_path))
    assert found is not None
    (note,) = found.notes
    assert "the least or the greatest tried" in note and "32, 64, 128" in note


def test_the_report_shows_the_table_and_the_figure(tmp_path, capsys):
    write(tmp_path, noise=0.02)
    assert main(["report", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "| nats/token |" in out
    assert "it goes as L^-" in out.splitlines()[-1]
    assert (tmp_path / "figures" / "critical_batch.png").exists()
    assert "The critical batch at each loss" in (tmp_path / "report.html").read_text()


def test_the_law_is_handed_on_with_its_interval(tmp_path):
    write(tmp_path, noise=0.02)
    found = write_page(load_study(tmp_path)).finding

    def asked(**run: float) -> dict[str, Any]:
        rows = recommend(fits=[tmp_path / LAW], params_total=1e3, tokens=1e6, **run).rows()
        return next(row for row in rows if row["law"] == "critical")

    row = asked(loss=2.0)
    assert (row["quantity"], row["range"]) == ("batch_critical", "inside")
    value, low, high = found.at(2.0)
    assert (row["value"], row["low"], row["high"]) == pytest.approx((value, low, high), rel=1e-6)
    assert low < value < high
    assert value == pytest.approx(B_STAR / 16, rel=0.1)
    assert asked(loss=1.0)["range"] == "outside"
    assert asked()["missing"] == "needs loss"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batches": BATCHES[:3]}, "4 batches or more must pass the same losses"),
        ({"validated": False}, "validated at its end alone.* evaluation.times"),
    ],
)
def test_runs_that_cannot_answer_are_refused_in_a_line_and_reported(tmp_path, options, message):
    write(tmp_path, **options)
    with pytest.raises(UserError, match=message):
        critical_batch.read(load_study(tmp_path))
    assert write_page(load_study(tmp_path)).finding is None
