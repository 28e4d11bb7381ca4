from __future__ import annotations

import sys
from pathlib import Path

import pytest
import tiny

from experiments.config.identity import identity
from experiments.plan import study as studies
from experiments.plan.study import Study
from experiments.record import Part
from scaling.common.errors import UserError


@pytest.fixture
def write(tmp_path):
    def write(text: str):
        path = tmp_path / "mine.py"
        path.write_text(text)
        return str(path)

    return write


def test_packaged_studies_are_found_by_name_or_as_the_tree_shows_them():
    assert {"quickstart", "isoflop"} <= set(studies.names())
    assert studies.load("quickstart") == studies.load("studies/quickstart")


UNFITTED = ("lr_transfer", "critical_batch")  # their answer foretells no other runs


@pytest.mark.parametrize("name", studies.names())
def test_packaged_study_is_a_sound_plan(name):
    """Distinct runs, rungs from 0 by compute, and what is held out dearer than what is fitted."""
    study = studies.load(name)
    assert study.name == name
    fit, held_out = study.part(Part.FIT), study.part(Part.HELD_OUT)
    assert fit
    assert held_out or name in UNFITTED
    assert len({run.run_id for run in study.runs}) == len(study.runs)
    rungs = sorted({run.rung for run in fit})
    assert rungs == list(range(len(rungs)))
    assert {run.rung for run in held_out} <= {len(rungs)}
    cheapest = [min(r.ledger["flops_6nd"] for r in fit if r.rung == rung) for rung in rungs]
    assert cheapest == sorted(cheapest)
    dearest = max(run.ledger["flops_6nd"] for run in fit)
    assert all(run.ledger["flops_6nd"] > dearest for run in held_out)


def test_settings_go_to_the_study_and_fields_to_every_run(write):
    path = write(tiny.STUDY_FILE.format(path="texts"))
    study = studies.load(path, ["seed=3", "model.ffn=64", "execution.steps_per_dispatch=5"])
    assert {run.config.science.seed for run in study.runs} == {3}
    assert {run.config.science.model.ffn for run in study.runs} == {64}
    assert {run.config.execution.steps_per_dispatch for run in study.runs} == {5}
    assert study.settings == {
        "path": "texts",
        "seed": 3,
        "model.ffn": "64",
        "execution.steps_per_dispatch": "5",
    }
    assert studies.load(path).settings == {"path": "texts", "seed": 0}


def test_a_later_assignment_replaces_an_earlier_one(write):
    path = write(tiny.STUDY_FILE.format(path="texts"))
    study = studies.load(path, ["seed=3", "model.ffn=3", "seed=4", "model.ffn=64"])
    assert (study.settings["seed"], study.runs[0].config.science.model.ffn) == (4, 64)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("scael=gpu", r"--set scael: no such field; did you mean 'scale'"),
        ("scale=gpuu", r"--set scale=gpuu: did you mean 'gpu'"),
        ("model.widht=3", r"did you mean 'model\.width'"),
        ("seed=x", r"--set seed=x: expected int"),
        ("seed", r"write it as name=value"),
    ],
)
def test_unknown_or_ill_typed_setting_is_one_line(assignment, message):
    with pytest.raises(UserError, match=message):
        studies.load("isoflop", [assignment])


def test_unknown_study_names_the_nearest():
    with pytest.raises(UserError, match=r"no study 'quikstart'; did you mean 'quickstart'\?"):
        studies.load("quikstart")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def study(:\n", r"mine\.py:1: invalid syntax"),
        ("x = 1\n", r"mine\.py: it defines no function 'study'"),
        (
            "def study(scale: str):\n    pass\n",
            r"--set scale=\.\.\.: the study '.*mine\.py' needs this setting",
        ),
        ("x = 1\n\ny = widht\n", r"mine\.py:3: NameError: name 'widht' is not defined"),
        ("import nowhere.else_\n", r"mine\.py:1: ModuleNotFoundError: No module named 'nowhere'"),
        (
            "import json\n\ndef study():\n    json.loads('{')\n",
            r"mine\.py:4: JSONDecodeError: Expecting",
        ),
        ("def study():\n    raise ValueError('one\\ntwo')\n", r"mine\.py:2: ValueError: one$"),
        ("def study():\n    pass\n", r"mine\.py: its function 'study' gives a NoneType, no Study"),
        (
            "from scaling.errors import UserError\n"
            "def study():\n    raise UserError('rungs: give at least two')\n",
            r"^rungs: give at least two$",
        ),
    ],
)
def test_mistake_in_a_study_file_is_one_line(write, text, message):
    with pytest.raises(UserError, match=message) as caught:
        studies.load(write(text))
    assert "\n" not in str(caught.value)


def test_line_of_a_study_file_is_found_from_a_relative_path_too(write, monkeypatch):
    path = Path(write("def study():\n    return 1 / 0\n"))
    monkeypatch.chdir(path.parent)
    with pytest.raises(UserError, match=r"mine\.py:2: ZeroDivisionError: division by zero$"):
        studies.load("mine.py")


def test_mistake_in_what_a_study_file_imports_is_told_by_its_own_line(write, monkeypatch):
    path = Path(write("from helper_of_a_study import study\n"))
    helper = path.with_name("helper_of_a_study.py")
    helper.write_text("def study():\n    return 1 / 0\n")
    monkeypatch.syspath_prepend(path.parent)
    with pytest.raises(UserError, match=r"helper_of_a_study\.py:2: ZeroDivisionError: division"):
        studies.load(str(path))
    del sys.modules["helper_of_a_study"]
    helper.write_text("x = 1\ndef study(:\n")
    with pytest.raises(UserError, match=r"helper_of_a_study\.py:2: invalid syntax"):
        studies.load(str(path))


def test_study_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"mine\.py: no such study file"):
        studies.load(str(tmp_path / "mine.py"))


def test_study_file_may_be_named_like_a_module_and_hold_dataclasses(write, tmp_path):
    path = tmp_path / "json.py"
    path.write_text(tiny.STUDY_FILE.format(path="texts"))
    assert isinstance(studies.load(str(path)), Study)
    import json

    assert json.loads("1") == 1


def test_run_ids_come_from_the_science_and_bind_to_the_corpus():
    study = tiny.study("texts")
    assert [run.run_id for run in study.runs] == [identity(r.config.science) for r in study.runs]
    bound = study.with_fingerprint("0123456789abcdef")
    assert {run.config.science.data.fingerprint for run in bound.runs} == {"0123456789abcdef"}
    assert not {run.run_id for run in bound.runs} & {run.run_id for run in study.runs}
    moved = tiny.study("elsewhere").with_fingerprint("0123456789abcdef")
    assert [run.run_id for run in moved.runs] == [run.run_id for run in bound.runs]


def test_ledger_counts_the_tokens_really_seen():
    run = tiny.study("texts").override(["budget.tokens=100"]).runs[0]
    assert run.ledger["tokens"] == 128
    assert run.ledger["flops_6nd"] == 6 * run.ledger["params_total"] * 128
