"""Kept checkpoints are asked once for each task, and their rows are those of the model itself."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from string import ascii_lowercase

import numpy as np
import pytest
from unprivileged import unprivileged

from experiments.data import Corpora
from experiments.data.documents import split_of
from experiments.evaluation import items
from experiments.evaluation.asking import Drawing, asked
from experiments.record import headers, load_items
from experiments.training.populations.kept import evaluate_kept
from scaling.common.console import main
from scaling.common.errors import UserError

ROWS = [
    {"id": "wind", "question": "the ", "choices": ["wind", "qzxj"], "gold": 0},
    {"id": "law", "ctx": "a ", "endings": ["xxx", "law"], "label": "1", "verifier": "begins"},
    {"id": "arc", "query": "b ", "choices": {"text": ["la", "wi"], "label": ["A", "B"]},
     "answerKey": "B"},
    {"id": "long", "context": "the wind tunnel law of scale", "choices": ["s", "q"], "gold": 0},
    {"id": "bench", "input": "runs ", "target_scores": {"small": 1, "xzq": 0}},
    {"id": "free", "context": "t", "target": "he"},
]  # fmt: skip
BAD = {
    "no gold": {"context": "a", "choices": ["b", "c"]},
    "one": {"context": "a", "choices": ["b"], "gold": 0},
    "empty": {"context": "a", "choices": ["b", ""], "gold": 0},
    "wind": {"context": "twice", "choices": ["b", "c"], "gold": 0},
    "too long": {"context": "a", "choices": ["b" * 17, "c"], "gold": 0},
    "no context": {"choices": ["b", "c"], "gold": 0},
}


@pytest.fixture
def folder(swept, tmp_path: Path) -> Path:
    """One completed run of the tiny study."""
    bound, _ = swept
    run = bound.study.runs[0].run_id
    shutil.copytree(bound.folder / run, tmp_path / "study" / run)
    return tmp_path / "study"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.jsonl"
    rows = [*ROWS, *({"id": name, **row} for name, row in BAD.items())]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def evaluate(folder: Path, cache: Path, *tasks: str, **settings: object) -> list:
    drawing = Drawing(**settings)  # type: ignore[arg-type]
    every = [asked(name) for name in tasks]
    return list(evaluate_kept(folder, every, "last", drawing, Corpora(cache)))


def test_a_file_is_a_task_and_its_bad_items_are_named(folder, mine, cache) -> None:
    (told,) = evaluate(folder, cache, str(mine))
    lost = {line.split(":")[0].removeprefix("item ") for line in told.found.faults}
    assert lost == BAD.keys() and len(told.found.faults) == len(BAD)
    assert told.found.cut == 1, "the prompt of 'long' has more than 16 tokens"
    rows = load_items(folder)
    assert set(rows["item"]) == {row["id"] for row in ROWS}
    right = rows[rows["is_answer"].astype(bool)].set_index("item")["choice"]
    assert right.to_dict() == {"wind": 0, "law": 1, "arc": 1, "long": 0, "bench": 0, "free": 0}
    assert (rows["log_probability"] < 0).all() and (rows["unconditional"] < 0).all()
    (header,) = headers(folder)
    assert header.items == len(ROWS) and header.faults == told.found.faults


def test_a_place_that_cannot_be_written_is_told_before_any_answer(folder, mine, cache) -> None:
    (run,) = folder.iterdir()
    run.chmod(0o500)
    asking = folder, [asked(str(mine))], "last", Drawing(), Corpora(cache)
    begun: list[str] = []
    with unprivileged(), pytest.raises(UserError, match="cannot write here"):
        list(evaluate_kept(*asking, say=begun.append))
    assert not begun
    run.chmod(0o700)


def test_only_the_missing_is_evaluated(folder, mine, cache) -> None:
    assert len(evaluate(folder, cache, str(mine))) == 1
    assert evaluate(folder, cache, str(mine)) == []
    more = evaluate(folder, cache, str(mine), "validation")
    assert [each.task for each in more] == ["validation"]
    number = load_items(folder, ["validation"])["number"]
    run = next(folder.iterdir())
    loss = json.loads((run / "summary.json").read_text())["metrics"]["loss"]
    assert number.to_numpy() == pytest.approx([loss], rel=1e-5)
    mine.write_text(mine.read_text().replace("wind", "gale"))
    assert [each.task for each in evaluate(folder, cache, str(mine))] == ["mine"], "changed"


def test_samples_pass_as_often_as_their_likelihood_says(
    folder, tmp_path, cache, monkeypatch
) -> None:
    """At temperature 1 a text begins with a letter with the probability of all letters."""

    def a_letter(item: items.Item, text: str) -> bool:
        return text[:1] in item.choices

    monkeypatch.setattr(items, "VERIFIERS", {**items.VERIFIERS, "begins": a_letter})
    path = tmp_path / "letters.json"
    shared = {"choices": list(ascii_lowercase), "gold": 0, "verifier": "begins"}
    rows = [{"id": text, "context": text, **shared} for text in ("the w", "of sca", "dat")]
    path.write_text(json.dumps({"examples": rows}))
    evaluate(folder, cache, str(path), cap=400, passes=400)
    found = load_items(folder)
    choices = found[found["kind"] == "choice"]
    p = np.exp(choices["log_probability"]).groupby(choices["item"], observed=True).sum()
    drawn = found[found["kind"] == "sample"]
    rates = drawn["passed"].astype(float).groupby(drawn["item"], observed=True).mean()
    assert (p > 0.1).all() and len(drawn) == 1200
    assert ((rates - p).abs() < 4 * np.sqrt(p * (1 - p) / 400)).all()


def test_a_verifier_that_raises_is_named(folder, tmp_path, cache, monkeypatch) -> None:
    def broken(item: items.Item, text: str) -> bool:
        raise ValueError("no")

    monkeypatch.setattr(items, "VERIFIERS", {**items.VERIFIERS, "begins": broken})
    path = tmp_path / "one.jsonl"
    path.write_text('{"context": "a", "target": "b", "verifier": "begins"}\n')
    (told,) = evaluate(folder, cache, str(path), cap=8)
    assert told.found.faults == ("item 1: verifier begins fails: ValueError: no",)
    assert told.found.results[0].log_probabilities


def test_copies_in_the_training_text_are_counted(folder, texts, tmp_path, cache, capsys) -> None:
    every = [path.read_text() for path in sorted(texts.glob("*.txt"))[:8]]
    rows = [
        {"id": k, "context": text[:60], "choices": [text[60:64], "zz"], "gold": 0}
        for k, text in enumerate(every)
    ]
    rows.append({"id": "new", "context": "z" * 60, "choices": ["q", "zz"], "gold": 0})
    path = tmp_path / "copies_of.json"
    path.write_text(json.dumps(rows))
    arguments = ["evaluate", str(folder), "--tasks", str(path), "--overlap", "count"]
    assert main([*arguments, "--cache", str(cache)]) == 0
    (header,) = headers(folder)
    splits = [split_of(hashlib.sha256(text.encode()).digest(), 0.2) for text in every]
    assert header.overlap == splits.count("train") > 3
    assert f"{header.overlap} items stand in its training text" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "no item"), ("{", "not JSON"), ('"a"', "no item"), ('{"a": 1}\n', "no item")],
)
def test_a_file_without_items_is_refused(tmp_path, text, said) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        asked(str(path))


def test_no_checkpoint_is_refused(folder, cache) -> None:
    shutil.rmtree(next(folder.iterdir()) / "checkpoints")
    with pytest.raises(UserError, match="no kept checkpoint"):
        evaluate(folder, cache, "addition")
