from __future__ import annotations

from pathlib import Path

import pytest
import records
import tiny

from experiments import record
from experiments.__main__ import main
from experiments.record import RunRecord
from experiments.runs.summary import write_config


@pytest.fixture
def run(tmp_path):
    """Write the config.json of a run with these overrides; gives its folder."""

    def run(name: str, *assignments: str) -> str:
        job = tiny.job(tmp_path / name, *assignments, texts="texts")
        write_config(job, ())
        return str(job.folder)

    return run


@pytest.fixture
def diff(capsys):
    def diff(a: str, b: str) -> tuple[int, list[str], str]:
        code = main(["diff", a, b])
        out, err = capsys.readouterr()
        return code, out.splitlines(), err

    return diff


def edit(folder: str, **changes: object) -> None:
    records.change(Path(folder), RunRecord, **changes)


def test_every_field_that_differs_is_a_line(run, diff):
    a = run("a", "execution.microbatch=2")
    b = run("b", "model.width=32", "optimizer.learning_rate=1e-3", "schedule.name=cosine")
    assert diff(a, b) == (
        1,
        [
            "model.width              16      32",
            "optimizer.learning_rate  0.003   0.001",
            "schedule.name            linear  cosine",
        ],
        "",
    )
    assert diff(b, a)[1][0].split() == ["model.width", "32", "16"]


def test_execution_is_no_difference(run, diff):
    same = (0, ["the same science"], "")
    a = run("a", "execution.program.layers=scan", "execution.steps_per_dispatch=3")
    assert diff(a, run("b")) == same
    assert diff(a, a) == same


def test_moved_corpus_is_no_difference_but_an_unknown_one_is(run, diff):
    known = "data.fingerprint=0123456789abcdef"
    assert diff(run("a", known, "data.path=x"), run("b", known, "data.path=y"))[0] == 0
    code, lines, _ = diff(run("c", "data.path=x"), run("d", "data.path=y"))
    assert (code, [line.split() for line in lines]) == (1, [["data.path", "x", "y"]])
    code, lines, _ = diff(run("e", known, "data.path=x"), run("f", "data.path=y"))
    assert [line.split() for line in lines] == [
        ["data.path", "x", "y"],
        ["data.fingerprint", "0123456789abcdef", "''"],
    ]


def test_field_that_one_version_does_not_know(run, diff):
    a, b = run("a"), run("b")
    science = record.read(Path(a), RunRecord).science
    edit(b, science={**science, "dropout": 0.1})
    assert diff(a, b)[:2] == (1, ["dropout  (absent)  0.1"])
    assert diff(b, a)[:2] == (1, ["dropout  0.1  (absent)"])


def test_same_fields_of_another_science_version(run, diff):
    a, b = run("a"), run("b")
    edit(b, run_id="0" * 12)
    code, lines, _ = diff(a, b)
    assert (code, len(lines), lines[0].split()[0]) == (1, 1, "run_id")


def test_mistakes_are_one_line_and_exit_with_2(run, diff, tmp_path):
    a = run("a")
    for folder, text, message in (
        ("none", None, "no such file; give a run's folder"),
        ("torn", '{"schema": 2, "science', "not valid JSON"),
        ("other", '{"schema": 7}', "record schema 7, this version reads"),
        ("study", '{"schema": 2}', "$: Object missing required field `science`"),
    ):
        if text is not None:
            (tmp_path / folder).mkdir()
            (tmp_path / folder / record.CONFIG).write_text(text)
        code, lines, err = diff(a, str(tmp_path / folder))
        assert (code, lines, err.count("\n")) == (2, [], 1)
        assert err.startswith("error: ")
        assert message in err
