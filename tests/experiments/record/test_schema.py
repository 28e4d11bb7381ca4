"""Each file of the record comes back as it was written, and a fault in it is one line."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import records
from paths import ROOT

from experiments import record
from experiments.record import (
    File,
    Forecast,
    LawSetting,
    Parent,
    PredictionRecord,
    SearchCandidate,
    SearchCost,
    SearchMethod,
    SearchRecord,
    Status,
    StudyPart,
)
from scaling.common.errors import UserError

LAW = LawSetting(
    law="mine",
    form="lr = a N^b",
    source="own fit",
    quantity="lr",
    asked={"tokens": 1e9},
    value=0.01,
    warnings=("far",),
)
RUN = {
    "part": StudyPart.HELD_OUT,
    "label": "with gains",
    "science": {"model": {"width": 16}, "seed": 0},
    "execution": {"permanent": [8, 16]},
    "laws": {"optimizer.learning_rate": LAW},
    "parents": (Parent(run_id="a", step=8), Parent(run_id="b", step=16)),
    "accounting": {"params_total": 1000, "flops_6nd": 1.5e9},
    "params_by_part": {"attention": 400.0, "mlp": 600.0},
    "flops_by_part": {"attention": 1e9},
}
CANDIDATE = SearchCandidate(
    fields={"seed": 1}, scores={64: None, 128: 2.5}, runs={64: "a", 128: "b"}
)
FORECAST = Forecast(
    run_id="r",
    params_total=1e6,
    tokens=1e7,
    flops_6nd=6e13,
    loss=2.0,
    low=1.9,
    high=2.1,
    bootstrap_low=1.95,
    bootstrap_high=2.05,
)
FILES: dict[str, File] = {
    "config.json": records.run_record("r", **RUN),
    "summary.json": records.run_summary(
        "r",
        Status.DIVERGED,
        {
            "train_loss": 3.0,
            "steps": 8,
            "energy_joules": 12.5,
            "tokens_by_source": {"web": 512},
            "evaluations": {"lambada": 0.5},
        },
        diverged_step=8,
        message="the loss was not finite at step 8",
        prediction_sha256="ab",
        **RUN,
    ),
    "study.json": records.plan(
        "tiny",
        [records.planned("r", "trunk", 1, "with gains", params_total=10, tokens=64)],
        law="chinchilla",
        published={"with gains": "no"},
        settings={"scale": "cpu"},
        corpora={"0123abcd": {"source": "files", "train_tokens": 9}},
    ),
    "prediction.json": PredictionRecord(
        fitted_on=("a", "b"),
        written="2030-01-01T00:00:00+00:00",
        law="chinchilla",
        loss_name="loss",
        level=0.9,
        forecasts=(FORECAST,),
        quantities={"s": {"lr": 0.1}},
    ),
    "search.json": SearchRecord(
        question="Which rate?",
        method="hyperband",
        R=(2, 4),
        finished=False,
        search=SearchMethod(name="s", eta=2, promotion="efficient", sampler="random"),
        space={"seed": "Choice(1, 2)"},
        base={"seed": 0},
        cost={"resumed": SearchCost(units=1.5, tokens=64, flops_model=1e6)},
        best=CANDIDATE,
        candidates=(CANDIDATE,),
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_each_file_comes_back_as_it_was_written(tmp_path, name):
    value = FILES[name]
    record.write(tmp_path, value)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert record.read(tmp_path, type(value)) == value
    assert json.loads((tmp_path / name).read_text())["schema"] == record.SCHEMA


@pytest.mark.parametrize("name", FILES)
def test_an_unknown_or_missing_field_of_any_file_is_one_line(tmp_path, name):
    value = FILES[name]
    record.write(tmp_path, value)
    path = tmp_path / name
    good = {name: field for name, field in json.loads(path.read_text()).items() if name != "crc32"}
    path.write_text(json.dumps({**good, "colour": "red"}))
    with pytest.raises(UserError) as caught:
        record.read(tmp_path, type(value))
    said = f"$: Object contains unknown field `colour`; {value.MEND}"
    assert str(caught.value) == f"{path}: {said}"
    lost = next(field for field in good if field != "schema")
    path.write_text(json.dumps({field: good[field] for field in good if field != lost}))
    with pytest.raises(UserError) as caught:
        record.read(tmp_path, type(value))
    said = f"$: Object missing required field `{lost}`; {value.MEND}"
    assert str(caught.value) == f"{path}: {said}"


@pytest.mark.parametrize(
    ("name", "before", "after", "said"),
    [
        ("config.json", '"step": 8', '"step": "8"', "$.parents[0].step: Expected `int`, got `str`"),
        ("config.json", '"held_out"', '"outside"', "$.part: Invalid enum value 'outside'"),
        ("summary.json", '"steps": 8', '"steps": 8.5', "$.metrics.steps: Expected `int | null`"),
        ("summary.json", '"diverged"', '"started"', "$: status 'started': the run has not ended"),
        ("study.json", '"no"', '"perhaps"', "$.published[...]: Invalid enum value 'perhaps'"),
        ("prediction.json", '"low": 1.9', '"low": null', "$.forecasts[0].low: Expected `float`"),
        ("search.json", '"eta": 2', '"eta": "two"', "$.search.eta: Expected `int`, got `str`"),
    ],
)
def test_an_ill_typed_field_is_one_line_with_its_path(tmp_path, name, before, after, said):
    value = FILES[name]
    record.write(tmp_path, value)
    text = (tmp_path / name).read_text()
    assert before in text
    (tmp_path / name).write_text(text.replace(before, after))
    with pytest.raises(UserError) as caught:
        record.read(tmp_path, type(value))
    assert str(caught.value).startswith(f"{tmp_path / name}: {said}")
    assert "\n" not in str(caught.value)


def test_numbers_of_a_summary_are_flat_and_hold_only_what_was_measured():
    found = FILES["summary.json"]
    assert isinstance(found, record.RunSummary)
    assert found.numbers() == {
        "params_total": 1000,
        "flops_6nd": 1.5e9,
        "train_loss": 3.0,
        "steps": 8,
        "energy_joules": 12.5,
        "tokens_by_source.web": 512,
        "evaluations.lambada": 0.5,
    }


def test_the_record_is_read_without_jax():
    code = "import experiments.record, sys; assert not {'jax', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
