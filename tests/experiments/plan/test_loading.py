from __future__ import annotations

import sys
from pathlib import Path

import pytest
import tiny

from experiments import studies
from experiments.plan.study import Study
from scaling.common.errors import UserError


@pytest.fixture
def write(tmp_path):
    def write(text: str):
        path = tmp_path / "mine.py"
        path.write_text(text)
        return str(path)

    return write


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


def test_a_field_has_one_value(write):
    path = write(tiny.STUDY_FILE.format(path="texts"))
    for twice, said in (
        (["seed=3", "model.ffn=64", "seed=4"], "--set seed=4: seed is 3 already; give it once"),
        (["model.ffn=3", "model.ffn=64"], "--set model.ffn=64: model.ffn is 3 already"),
        (["lr=1", "optimizer.learning_rate=2"], "optimizer.learning_rate is 1 already"),
    ):
        with pytest.raises(UserError, match=said):
            studies.load(path, twice)
    assert studies.load(path, ["seed=3", "seed=3"]).settings["seed"] == 3


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
    with pytest.raises(UserError, match=r"study 'quikstart': did you mean 'quickstart'\?"):
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
        ("study = 3\n", r"mine\.py: it defines no function 'study'"),
        ("import sys\nsys.exit(3)\n", r"mine\.py:2: SystemExit: 3"),
        ("def study(a: 'Nope' = 1):\n    pass\n", r"mine\.py: NameError: name 'Nope'"),
        ("x = 1\n\ny = widht\n", r"mine\.py:3: NameError: name 'widht' is not defined"),
        ("import nowhere.else_\n", r"mine\.py:1: ModuleNotFoundError: No module named 'nowhere'"),
        (
            "import json\n\ndef study():\n    json.loads('{')\n",
            r"mine\.py:4: JSONDecodeError: Expecting",
        ),
        ("def study():\n    raise ValueError('one\\ntwo')\n", r"mine\.py:2: ValueError: one$"),
        ("def study():\n    pass\n", r"mine\.py: its function 'study' gives a NoneType, no Study"),
        (
            "from scaling.common.errors import UserError\n"
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
