"""A study of grids of learning rate and batch, from records whose bowls have a known bottom."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
import records

from analysis.__main__ import main
from analysis.hyperparameters import load_law
from analysis.hyperparameters.law_file import LAW
from analysis.readings import hyperparameter_law
from analysis.report.report import write_page
from analysis.tables.study import load_study
from experiments import record
from experiments.record import PREDICTION, PredictionRecord, StudyPart, StudyPlan
from scaling.common.errors import UserError

SIZES, TOKENS = (6000, 24000), (100_000, 200_000, 400_000)
HELD_OUT = (54_000, 800_000)
RATES, BATCHES = [2.0**k for k in range(-9, -3)], [1, 2, 4, 8, 16]
SEQ_LEN = 32
LR = {"coefficient": 0.046, "params_nonembedding": -0.45, "tokens": 0.24}
BATCH = {"coefficient": 0.026, "tokens": 0.66}


def bottom(params: float, tokens: float) -> tuple[float, float]:
    return (
        LR["coefficient"] * params ** LR["params_nonembedding"] * tokens ** LR["tokens"],
        BATCH["coefficient"] * tokens ** BATCH["tokens"],
    )


def loss(params: float, tokens: float, lr: float, batch: float, noise: float) -> float:
    best = bottom(params, tokens)
    x, y = math.log(lr / best[0]), math.log(batch / best[1])
    floor = 1.2 + 8 / params**0.3 + 20 / tokens**0.3
    return floor * math.exp(0.03 * x**2 - 0.02 * x * y + 0.025 * y**2 + noise)


def write(folder: Path, *, held_out: bool, parametrization: str = "sp", noise: float = 0.0) -> Path:
    """The plan and the records of the fit, with those of the held-out cell if `held_out`."""
    rng, entries = np.random.default_rng(0), []
    cells = [(params, tokens, "fit") for params in SIZES for tokens in TOKENS]
    digest = folder / PREDICTION
    for rung, (params, tokens, part) in enumerate([*cells, (*HELD_OUT, "held_out")]):
        sizes = {"params_total": params + 4096, "params_nonembedding": params}
        for lr in RATES:
            for sequences in BATCHES:
                batch = sequences * SEQ_LEN
                seen = round(tokens / batch) * batch  # whole steps: not the same for every batch
                run_id = f"{params}-{tokens}-{lr}-{batch}"
                counts = {**sizes, "tokens": seen, "flops_6nd": 6.0 * params * tokens}
                entries.append(records.planned(run_id, part, rung, **counts))
                found = loss(params, tokens, lr, batch, rng.normal(0, noise))
                if part == "held_out" and not held_out:
                    continue
                sha = hashlib.sha256(digest.read_bytes()).hexdigest() if digest.exists() else None
                science = {
                    "model": {"layers": 2, "width": 16},
                    "parametrization": {"name": parametrization},
                    "optimizer": {"learning_rate": lr, "beta2": 0.95, "weight_decay": 0.0},
                    "schedule": {"name": "linear", "warmup_fraction": 0.1},
                    "batch": {"sequences": sequences, "seq_len": SEQ_LEN},
                    "budget": {"tokens": tokens},
                }
                summary = records.run_summary(
                    run_id,
                    metrics={"batch_tokens": batch, "loss": found},
                    study="grids",
                    part=StudyPart(part),
                    rung=rung,
                    science=science,
                    accounting=counts,
                    prediction_sha256=sha,
                )
                record.write(folder / run_id, summary)
    reading = "hyperparameter_law"
    plan = records.plan("grids", entries, reading=reading, params="params_nonembedding")
    record.write(folder, plan)
    return folder


def test_the_law_is_that_of_the_bowls_and_its_regret_the_least(tmp_path):
    write(tmp_path, held_out=True, noise=1e-4)
    found = hyperparameter_law.read(load_study(tmp_path))
    assert found is not None and found.rate == "lr"
    for name, truth in (("lr", LR), ("batch_tokens", BATCH)):
        for constant, value in truth.items():
            assert found.laws[name].params[constant] == pytest.approx(value, rel=0.02)
            low, high = found.laws[name].interval(constant)
            assert low < high
    lr, batch = bottom(*HELD_OUT)
    assert float(found.advice["lr"].value) == pytest.approx(lr, rel=0.01)
    assert float(found.advice["batch_tokens"].value) == pytest.approx(batch, rel=0.01)
    ours, tuned, *published = found.regrets
    assert ours.excess < 0.002  # the run nearest to the bottom, of a grid by factors of two
    assert tuned.setting.rule == "nearest tuned setting"
    assert "D = 400k" in tuned.setting.remark and "N = 24k" in tuned.setting.remark
    named = {each.setting.rule: each for each in published}
    assert {"steplaw2025", "deepseek2024", "olmo_ladder2024", "bjorck2024"} <= set(named)
    assert ours.excess < named["kaplan2020"].excess
    assert "out of range" in named["steplaw2025"].setting.remark


def test_a_rule_that_is_silent_on_one_setting_takes_the_tuned_one(tmp_path):
    found = hyperparameter_law.read(load_study(write(tmp_path, held_out=True)))
    assert found is not None
    tuned = found.regrets[1].setting
    named = {each.setting.rule: each.setting for each in found.regrets}
    assert named["power_lines2025"].lr == tuned.lr
    assert named["bjorck2024"].batch_tokens == tuned.batch_tokens
    assert named["bjorck2024"].lr == pytest.approx(tuned.lr * 2**-0.32)
    assert named["steplaw2025"].batch_tokens != tuned.batch_tokens


def test_the_regret_is_that_of_the_run_nearest_to_the_advice(tmp_path):
    found = hyperparameter_law.read(load_study(write(tmp_path, held_out=True)))
    assert found is not None
    for each in found.regrets:
        runs = [
            (math.hypot(math.log(lr / each.setting.lr),
                        math.log(b * SEQ_LEN / each.setting.batch_tokens)), lr, b * SEQ_LEN)
            for lr in RATES for b in BATCHES
        ]  # fmt: skip
        away, lr, batch = min(runs)
        losses = [loss(*HELD_OUT, rate, b * SEQ_LEN, 0) for rate in RATES for b in BATCHES]
        assert each.excess == pytest.approx(loss(*HELD_OUT, lr, batch, 0) / min(losses) - 1)
        assert each.distance == pytest.approx(math.exp(away))
        inside = RATES[0] <= each.setting.lr <= RATES[-1]
        inside &= BATCHES[0] * SEQ_LEN <= each.setting.batch_tokens <= BATCHES[-1] * SEQ_LEN
        assert each.off_grid != inside
    assert {each.off_grid for each in found.regrets} == {True, False}


def test_predict_writes_the_advice_before_the_cell_is_trained(tmp_path, capsys):
    write(tmp_path, held_out=False)
    assert main(["predict", str(tmp_path)]) == 0
    assert "written" in (said := capsys.readouterr().out) and "not measured yet" in said
    prediction = record.read(tmp_path, PredictionRecord)
    held_out = {f"{HELD_OUT[0]}-{HELD_OUT[1]}-{r}-{b * SEQ_LEN}" for r in RATES for b in BATCHES}
    assert prediction.run_ids == held_out
    first = next(iter(prediction.quantities.values()))
    assert first["lr_low"] < first["lr"] < first["lr_high"]
    assert first["lr"] == pytest.approx(bottom(*HELD_OUT)[0], rel=0.01)
    law = load_law(tmp_path / LAW)
    assert law.law.rules["batch_tokens"].at({"tokens": 8e5}) == pytest.approx(
        bottom(*HELD_OUT)[1], rel=0.01
    )
    assert "linear" in law.law.schedule
    assert main(["predict", str(tmp_path)]) == 0
    assert "kept" in capsys.readouterr().out
    write(tmp_path, held_out=True)
    assert (
        write_page(load_study(tmp_path)).missing
        == hyperparameter_law.read(load_study(tmp_path)).notes
    )
    (tmp_path / PREDICTION).unlink()
    assert main(["predict", str(tmp_path)]) == 2
    assert "trained before any prediction" in capsys.readouterr().err


def test_the_report_prints_tables_that_paste_and_draws_the_bowls(tmp_path, capsys):
    write(tmp_path, held_out=True)
    assert main(["report", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("| our fitted law ") for line in lines) == 1
    assert "above the best run there" in lines[-1]
    table = [line for line in lines if line.startswith("|")]
    assert all(line.endswith("|") for line in table)
    assert (tmp_path / "figures" / "bowls.svg").exists()
    page = (tmp_path / "report.html").read_text()
    assert "our fitted law" in page and "steplaw2025" in page and "checklist" not in page


def test_a_rate_under_mup_is_another_quantity(tmp_path):
    found = hyperparameter_law.read(
        load_study(write(tmp_path, held_out=True, parametrization="mup"))
    )
    assert found is not None and set(found.laws) == {"lr_mup", "batch_tokens"}
    named = {each.setting.rule: each.setting for each in found.regrets}
    assert named["steplaw2025"].lr == named["nearest tuned setting"].lr  # it gives no base rate
    assert "lr tuned" in named["steplaw2025"].remark


def test_other_parametrizations_are_refused_and_the_report_says_so(tmp_path):
    write(tmp_path, held_out=True, parametrization="ntk")
    with pytest.raises(UserError, match="one of sp, mup, mup_variance; these runs have ntk"):
        hyperparameter_law.read(load_study(tmp_path))
    assert any("ntk" in note for note in write_page(load_study(tmp_path)).missing)


def test_an_unknown_reading_is_named_with_the_nearest(tmp_path):
    write(tmp_path, held_out=False)
    records.change(tmp_path, StudyPlan, reading="hyperparameter_laws")
    said = r"study\.json: reading 'hyperparameter_laws': did you mean 'hyperparameter_law'\?"
    with pytest.raises(UserError, match=said):
        write_page(load_study(tmp_path))
