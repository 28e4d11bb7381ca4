from __future__ import annotations

import numpy as np
import pytest

from experiments.data.tokenizer import ByteTokenizer
from experiments.evaluation.choices import Item, score
from scaling.common.errors import UserError


class Bigrams:
    """A model whose ln p of the token b after a is -|a - b| / 100, and that of others is known."""

    def loss(self, windows: np.ndarray) -> float:
        raise AssertionError("choices are scored by log-probabilities")

    def log_probabilities(self, windows: np.ndarray, scored: np.ndarray) -> np.ndarray:
        steps = -np.abs(np.diff(windows.astype(float))) / 100
        return np.where(scored, steps, 0).sum(-1)


def asked(*items: Item, seq_len: int = 8):
    return score(Bigrams(), items, ByteTokenizer(), seq_len)


def test_choices_are_scored_after_the_prompt_and_nothing_else() -> None:
    found = asked(Item("one", "a", ("b", "bd", "z"), answer=0))
    assert found.items[0].log_probabilities == pytest.approx((-0.01, -0.03, -0.25))
    assert found.items[0].bytes == (1, 2, 1)
    assert found.items[0].is_right
    assert found.metrics == pytest.approx(
        {"accuracy": 1, "accuracy_per_token": 1, "accuracy_per_byte": 1, "loss_per_byte": 0.01}
    )


def test_length_is_corrected_per_byte() -> None:
    found = asked(Item("two", "a", ("c", "bcd"), answer=1))  # -0.02 against -0.03 over three bytes
    assert found.metrics == pytest.approx(
        {"accuracy": 0, "accuracy_per_token": 1, "accuracy_per_byte": 1, "loss_per_byte": 0.01}
    )


def test_a_long_prompt_loses_its_beginning() -> None:
    long = asked(Item("long", "zzzzzzzzzzzza", ("b", "c"), answer=0))
    assert long.items[0].log_probabilities == pytest.approx((-0.01, -0.02))


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (Item("x", "a", ("b", "c"), answer=2), "item x: answer 2 of 2 choices"),
        (Item("x", "a", ("b", ""), answer=0), "item x: an empty choice"),
        (Item("x", "a", ("b",), answer=0), "item x: one choice"),
        (Item("x", "a", ("b" * 9, "c"), answer=0), "must have 1 to 8"),
    ],
)
def test_an_item_that_cannot_be_scored_is_named(item: Item, text: str) -> None:
    with pytest.raises(UserError, match=text):
        asked(item)
    with pytest.raises(UserError, match="no items"):
        asked()
