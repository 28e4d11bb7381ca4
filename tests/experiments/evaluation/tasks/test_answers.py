"""Answers alone are scored, on documents that no training text has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny

from experiments import data
from experiments.config.overrides import override
from experiments.evaluation.model import Uniform
from experiments.evaluation.tasks.answers import evaluate
from scaling.common.errors import UserError

SCIENCE = override(tiny.config(), ["batch.seq_len=32"]).science


PATHS = {
    "word_problem": "letters=12",
    "longer words": "words=4&swaps=1",
    "copies": "length=12&letters=5&lines=1",
}


def mixture(folder: Path, name: str) -> data.Mixture:
    path, source = f"{PATHS[name]}&documents=200", name if name == "copies" else "word_problem"
    return data.Corpora(folder).mixture(data.DataConfig(source=source, path=path))


class Scored:
    """A model that knows every answer, and keeps what was scored."""

    def __init__(self) -> None:
        self.texts: list[list[str]] = []

    def loss(self, windows: np.ndarray) -> float:
        raise NotImplementedError

    def log_probabilities(self, windows: np.ndarray, scored: np.ndarray) -> np.ndarray:
        found = [row[1:][mask].astype(np.uint8) for row, mask in zip(windows, scored, strict=True)]
        self.texts.append([bytes(each).decode() for each in found])
        return np.zeros(len(windows))


@pytest.mark.parametrize(
    ("name", "alphabet"),
    [("word_problem", "12345"), ("longer words", "12345"), ("copies", "abcde")],
)
def test_answers_and_their_last_quarter_are_scored(
    name: str, alphabet: str, tmp_path: Path
) -> None:
    model, corpus = Scored(), mixture(tmp_path, name)
    found = evaluate(model, corpus, SCIENCE).metrics
    assert (found["solved"], found["solved_late"]) == (1.0, 1.0)
    whole, late = model.texts
    assert set("".join(whole)) == set(alphabet)
    for text, end in zip(whole, late, strict=True):
        assert text.endswith(end) and len(end) == len(text) - 3 * len(text) // 4
    assert evaluate(Uniform(5), corpus, SCIENCE).metrics["solved"] == pytest.approx(0, abs=1e-6)


def test_other_text_and_short_sequences_are_refused(tmp_path: Path) -> None:
    short = override(tiny.config(), ["batch.seq_len=16"]).science
    with pytest.raises(UserError, match=r"raise batch\.seq_len=16 to 24 or more"):
        evaluate(Uniform(256), mixture(tmp_path, "word_problem"), short)
    other = data.Corpora(tmp_path).mixture(data.DataConfig(source="dag", path="documents=50"))
    with pytest.raises(UserError, match="needs one corpus of word_problem or copies"):
        evaluate(Uniform(256), other, SCIENCE)
