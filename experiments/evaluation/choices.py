"""Items of several choices, scored by the likelihood of each choice after the prompt.

    accuracy = mean [ argmax_c ln p(c | prompt) = answer ]
    accuracy_per_byte = mean [ argmax_c ln p(c | prompt) / bytes(c) = answer ]
    loss_per_byte = - mean ln p(answer | prompt) / bytes(answer)        nats per byte

The second corrects for the length of the choices (Gao et al. 2021). The third is smooth in the
model: it separates small models whose accuracy is still that of chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.data.tokenizer import Tokenizer
from experiments.evaluation.task import Evaluation, Model
from experiments.record import ItemResult
from scaling.common.errors import UserError


@dataclass(frozen=True)
class Item:
    """A prompt and its possible continuations."""

    name: str
    prompt: str
    choices: tuple[str, ...]
    answer: int  # index of the right choice


def score(model: Model, items: Sequence[Item], tokenizer: Tokenizer, seq_len: int) -> Evaluation:
    """Score a model on every item.

    A prompt too long for `seq_len` tokens loses its beginning.

    Raises:
        UserError: no items, an answer that is no choice, an empty choice, or one too long.
    """
    if not items:
        raise UserError("a task of choices has no items")
    pairs = [_encode(item, choice, tokenizer, seq_len) for item in items for choice in item.choices]
    windows, scored = (np.stack(arrays) for arrays in zip(*pairs, strict=True))
    found = iter(model.log_probabilities(windows, scored).tolist())
    results = [
        ItemResult(
            item=item.name,
            log_probabilities=(each := tuple(next(found) for _ in item.choices)),
            bytes=tuple(len(choice.encode()) for choice in item.choices),
            answer=item.answer,
            is_right=max(each) == each[item.answer],
        )
        for item in items
    ]
    return Evaluation(_metrics(results), results)


def _encode(
    item: Item, choice: str, tokenizer: Tokenizer, seq_len: int
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Separator, prompt, choice, padding: [T+1] tokens, and the mask of scored predictions: [T]."""
    if not 0 <= item.answer < len(item.choices):
        raise UserError(f"item {item.name}: answer {item.answer} of {len(item.choices)} choices")
    prompt, said = tokenizer.encode([item.prompt.encode(), choice.encode()])
    if not 0 < len(said) <= seq_len:
        raise UserError(
            f"item {item.name}: a choice of {len(said)} tokens; "
            f"it must have 1 to {seq_len} (batch.seq_len)"
        )
    before = np.concatenate([[tokenizer.separator], prompt])[-(seq_len + 1 - len(said)) :]
    tokens = np.full(seq_len + 1, tokenizer.separator, np.int32)
    end = len(before) + len(said)
    tokens[:end] = np.concatenate([before, said])
    counts = np.zeros(seq_len, np.bool_)
    counts[len(before) - 1 : end - 1] = True
    return tokens, counts


def _metrics(results: Sequence[ItemResult]) -> dict[str, float]:
    def per_byte(result: ItemResult) -> NDArray[np.floating]:
        return np.asarray(result.log_probabilities) / result.bytes

    return {
        "accuracy": float(np.mean([each.is_right for each in results])),
        "accuracy_per_byte": float(
            np.mean([per_byte(each).argmax() == each.answer for each in results])
        ),
        "loss_per_byte": -float(np.mean([per_byte(each)[each.answer] for each in results])),
    }
