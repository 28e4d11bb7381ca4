from __future__ import annotations

import dataclasses
import json
import math

import pytest
import records
import tiny

from experiments import record
from experiments.config.fields import to_dict
from experiments.config.from_record import read_config
from experiments.config.optimizer import OptimizerConfig
from experiments.config.overrides import override
from experiments.config.run import BatchConfig, BudgetConfig, RunConfig, Science
from experiments.config.schedule import ScheduleConfig
from experiments.record import RunRecord
from scaling.common.errors import UserError


@pytest.mark.parametrize(
    "assignment",
    [
        "batch.sequences=0",
        "batch.seq_len=0",
        "budget.tokens=-1",
        "evaluation.windows=0",
        "evaluation.times=0",
        "schedule.warmup_fraction=1.1",
        "schedule.warmup_fraction=nan",
        "schedule.decay_fraction=-0.1",
        "schedule.final_fraction=2.0",
        "optimizer.learning_rate=0.0",
        "optimizer.learning_rate=inf",
        "optimizer.learning_rate=nan",
        "optimizer.epsilon=0.0",
        "optimizer.clip_norm=inf",
        "optimizer.weight_decay=-1.0",
        "optimizer.weight_decay=inf",
        "optimizer.beta1=1.0",
        "optimizer.beta2=-0.5",
        "init_scale=nan",
        "init_scale=0.0",
        "seed=-1",
        "seed=2147483648",
        "model.width=0",
        "model.kv_heads=0",
        "execution.steps_per_dispatch=0",
        "execution.microbatch=-1",
        "execution.checkpoint_seconds=-1.0",
        "execution.keep=0",
        "execution.keep=0",
        "parametrization.base_width=0",
    ],
)
def test_bad_value_is_one_line_that_names_the_field(assignment):
    path = assignment.partition("=")[0]
    with pytest.raises(UserError) as caught:
        tiny.config(assignment)
    assert path.split(".")[-1] in str(caught.value)
    assert "must" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("science", "message"),
    [
        (
            lambda: Science(schedule=ScheduleConfig(name="lineer")),
            r"schedule\.name=lineer: did you mean 'linear'",
        ),
        (lambda: Science(optimizer=OptimizerConfig(decay="x")), r"optimizer\.decay=x: known: c"),
        (lambda: Science(precision="float23"), r"precision=float23: did you mean 'float32'"),
    ],
)
def test_unknown_name_in_a_study_file_is_caught_too(science, message):
    with pytest.raises(UserError, match=message):
        RunConfig(science())


def test_microbatch_must_divide_the_batch():
    with pytest.raises(UserError, match=r"batch\.sequences=4 .* execution\.microbatch=3"):
        tiny.config("execution.microbatch=3")
    assert tiny.config("execution.microbatch=2").execution.microbatch == 2


def test_matrices_of_few_entries_are_none_for_muon():
    with pytest.raises(UserError, match=r"^optimizer\.name=muon: .*low_rank_sparse\) are none"):
        tiny.config("optimizer.name=muon", "model.weights=low_rank_sparse")


@pytest.mark.parametrize("step", [-8, 0, 12, 49])
def test_permanent_checkpoint_is_of_a_step_where_a_dispatch_ends(step):
    """The tiny run has 50 steps in dispatches of 8."""
    rule = rf"^execution\.permanent={step}: .*steps_per_dispatch=8 up to the last step, 50$"
    with pytest.raises(UserError, match=rule):
        tiny.config(f"execution.permanent=16,{step}")
    assert tiny.config("execution.permanent=8,48,50").execution.permanent == (8, 48, 50)


def test_budget_that_ends_before_a_permanent_checkpoint_is_named():
    with pytest.raises(UserError, match=r"^budget\.tokens=640: .* step 10, .* step 48 .* branch"):
        tiny.config("execution.permanent=8,48", "budget.tokens=640")


def test_steps_are_whole_and_tokens_are_those_really_seen():
    batch = BatchConfig(sequences=4, seq_len=16)
    for tokens, steps in ((1, 1), (64, 1), (95, 1), (97, 2), (6400, 100)):
        science = Science(batch=batch, budget=BudgetConfig(tokens))
        assert (science.steps, science.tokens) == (steps, steps * 64)


BASE = tiny.config("model.heads=4", "execution.microbatch=2", "data.fingerprint=0123456789abcdef")


def test_plain_dicts_hold_every_field_and_survive_json():
    plain = to_dict(BASE)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain == json.loads(json.dumps(dataclasses.asdict(BASE)))
    assert math.isclose(plain["science"]["optimizer"]["learning_rate"], 3e-3)


def test_config_is_read_back_from_its_record(tmp_path):
    config = override(
        RunConfig(),
        ["model.width=32", "execution.permanent=32,64", "parametrization.init_powers.readout=0.5"],
    )
    made = records.run_record(**to_dict(config))
    record.write(tmp_path, made)
    path = tmp_path / record.CONFIG
    assert read_config(path) == config
    fields = {name: value for name, value in made.science.items() if name != "penalties"}
    records.change(tmp_path, RunRecord, science=fields)  # of a version that did not know it
    assert read_config(path) == config
    records.change(tmp_path, RunRecord, science={**fields, "model": {"widht": 3}})
    with pytest.raises(UserError, match=r"model\.widht: no such field now; did you mean"):
        read_config(path)
    record.write(tmp_path, records.plan("tiny", []))
    path.write_bytes((tmp_path / record.STUDY).read_bytes())
    with pytest.raises(UserError, match=r"config\.json: \$: Object contains unknown field"):
        read_config(path)
