"""Copies of items planted in training text are found, whole, in part, and dressed up."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import tiny

from experiments.data.sources import Document
from experiments.evaluation.copies import overlaps, window_hashes
from scaling.common.console import main


def words(seed: int, count: int = 60) -> str:
    rng = random.Random(seed)
    made = (f"{rng.choice('bdfgk')}{rng.choice('aeiou')}{rng.randrange(999)}" for _ in range(count))
    return " ".join(made)


ITEMS = [Document(f"item {k}", words(k).encode()) for k in range(6)]


def test_planted_copies_are_found_and_nothing_else_is() -> None:
    """A copy; one in other case and punctuation; half of one; one without spaces; none."""
    text = [item.content.decode() for item in ITEMS]
    planted = [
        words(100) + text[0] + words(101),
        text[1].upper().replace(" ", ", "),
        " ".join(text[2].split()[:30]) + words(102),
        text[3].replace(" ", ""),
        *(words(seed, 500) for seed in range(200, 230)),
    ]
    found = overlaps(ITEMS, (each.encode() for each in planted))
    shares = [(each.words, each.characters) for each in found]
    assert shares[0][0] > 0.95  # its first and last word run into others
    assert shares[0][1] == shares[1][1] == shares[3][1] == 1
    assert shares[1][0] == 1
    assert shares[2][0] == pytest.approx((30 - 13) / (60 - 13 + 1), abs=0.03)
    assert shares[3][0] == 0
    assert shares[4] == shares[5] == (0, 0)


def test_items_shorter_than_a_window_are_not_judged() -> None:
    (short,) = overlaps([Document("a", b"few words")], [b"few words"])
    assert np.isnan([short.words, short.characters]).all()
    assert short.most == 0


@pytest.mark.parametrize("length", [1, 2, 3, 13, 50])
def test_hashes_are_equal_for_equal_windows_alone(length: int) -> None:
    ids = np.random.default_rng(0).integers(3, size=400).astype(np.uint64)
    hashes = window_hashes(ids, length)
    assert len(hashes) == 400 - length + 1
    windows = [tuple(ids[i : i + length]) for i in range(len(hashes))]
    assert len(set(hashes.tolist())) == len(set(windows))
    assert len(set(zip(hashes.tolist(), windows, strict=True))) == len(set(windows))


def test_the_command_fails_where_an_item_is_in_the_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = tiny.write_texts(tmp_path / "texts")
    longest = max((file.read_text() for file in texts.iterdir()), key=len)
    questions = tmp_path / "questions.jsonl"
    rows = [{"question": longest[:400]}, {"question": words(5)}]
    given = ["overlap", "quickstart", "--set", "data.source=files", "--set", f"data.path={texts}",
             "--items", f"files:{questions}", "--field", "question"]  # fmt: skip
    for some, code in ((rows, 1), (rows[1:], 0)):
        questions.write_text("".join(json.dumps(row) + "\n" for row in some))
        assert main(given) == code
        said = capsys.readouterr().out
        assert f"items in the training text: {code} of {len(some)}" in said
        assert ("questions.jsonl:1" in said) == bool(code)
