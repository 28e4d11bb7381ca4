"""Items of several choices, scored by the likelihood of each choice after the prompt.

    accuracy = mean [ argmax_c ln p(c | prompt) = answer ]
    accuracy_per_token, accuracy_per_byte = the same of ln p(c | prompt) / tokens(c), / bytes(c)
    accuracy_unconditional = the same of ln p(c | prompt) - ln p(c)
    loss_per_byte = - mean ln p(answer | prompt) / bytes(answer)        nats per byte

The corrections are for the length of the choices (Gao et al. 2021) and for their own frequency
(Brown et al. 2020). The last is smooth in the model: it separates small models whose accuracy is
still that of chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from experiments.data.tokenizer import Tokenizer
from experiments.evaluation.items import Item, fault
from experiments.evaluation.model import Evaluation, Model
from experiments.record import ItemResult
from scaling.common.errors import UserError

__all__ = ["Item", "Requests", "score"]

Also = Literal["nothing", "unconditional"]
STEP = 32  # windows are padded to a multiple of it: few programs are compiled


def score(
    model: Model,
    items: Sequence[Item],
    tokenizer: Tokenizer,
    seq_len: int,
    context: int | None = None,
) -> Evaluation:
    """Score a model on every item.

    A prompt too long for `seq_len` tokens loses its beginning.

    Args:
        context: tokens of every window, `seq_len` by default; 0: of the longest one.

    Raises:
        UserError: no items, an answer that is no choice, an empty choice, or one too long.
    """
    if not items:
        raise UserError("a task of choices has no items")
    asked = Requests(tokenizer, seq_len)
    for item in items:
        if reason := fault(item):
            raise UserError(f"item {item.name}: {reason}")
        asked.add(item)
    found = asked.results(asked.answered(model, seq_len if context is None else context))
    return Evaluation(metrics(found), found)


@dataclass
class Requests:
    """Windows that items ask for, each once, and the places of every item's own.

    `cut` counts the items whose prompt lost its beginning.
    """

    tokenizer: Tokenizer
    seq_len: int
    also: Also = "nothing"
    cut: int = 0
    _windows: dict[tuple[bytes, int], int] = field(default_factory=dict)
    _asked: list[tuple[Item, list[int], list[int]]] = field(default_factory=list)
    _tokens: list[NDArray[np.int64]] = field(default_factory=list)
    _begins: list[int] = field(default_factory=list)

    def add(self, item: Item) -> None:
        """Ask an item. Raises a UserError for a choice without tokens, or with too many."""
        contents = [item.prompt.encode(), *(choice.encode() for choice in item.choices)]
        prompt, *choices = self.tokenizer.encode(contents)
        for said in choices:
            if not 0 < len(said) <= self.seq_len:
                raise UserError(
                    f"item {item.name}: a choice of {len(said)} tokens; "
                    f"it must have 1 to {self.seq_len} (batch.seq_len)"
                )
        self.cut += any(1 + len(prompt) + len(said) > self.seq_len + 1 for said in choices)
        own = [self._place(prompt, said) for said in choices]
        bare = [self._place(prompt[:0], said) for said in choices if self.also == "unconditional"]
        self._asked.append((item, own, bare))

    def _place(self, prompt: NDArray[np.integer], said: NDArray[np.integer]) -> int:
        """The place of the window: separator, end of the prompt, choice."""
        room = self.seq_len + 1 - len(said)
        before = np.concatenate([[self.tokenizer.separator], prompt])[-room:]
        tokens = np.concatenate([before, said]).astype(np.int64)
        key = tokens.tobytes(), len(before)
        if key not in self._windows:
            self._windows[key] = len(self._tokens)
            self._tokens.append(tokens)
            self._begins.append(len(before))
        return self._windows[key]

    def answered(self, model: Model, seq_len: int = 0) -> NDArray[np.floating]:
        """ln p of the choice of every window, in nats, in one pass.

        Args:
            seq_len: tokens of every window; by default the longest of them, a multiple of `STEP`.
        """
        if not self._tokens:
            return np.zeros(0)
        longest = max(map(len, self._tokens)) - 1
        T = seq_len or min(self.seq_len, -(-longest // STEP) * STEP)
        windows = np.full((len(self._tokens), T + 1), self.tokenizer.separator, np.int32)
        scored = np.zeros((len(self._tokens), T), np.bool_)
        for k, (tokens, begin) in enumerate(zip(self._tokens, self._begins, strict=True)):
            windows[k, : len(tokens)] = tokens
            scored[k, begin - 1 : len(tokens) - 1] = True
        return model.log_probabilities(windows, scored)

    def results(self, found: NDArray[np.floating]) -> list[ItemResult]:
        """The result of each item, from `answered`."""
        made = []
        for item, own, bare in self._asked:
            each = [float(found[k]) for k in own]
            made.append(
                ItemResult(
                    item=item.name,
                    log_probabilities=tuple(each),
                    unconditional=tuple(float(found[k]) for k in bare),
                    bytes=tuple(len(choice.encode()) for choice in item.choices),
                    tokens=tuple(len(self._tokens[k]) - self._begins[k] for k in own),
                    answer=item.answer,
                    is_right=max(each) == each[item.answer] if len(each) > 1 else None,
                )
            )
        return made


def metrics(results: Sequence[ItemResult]) -> Mapping[str, float]:
    """The means over items; accuracies are of items with several choices alone."""
    found: dict[str, float] = {}
    several = [each for each in results if len(each.log_probabilities) > 1]
    if several:
        found["accuracy"] = float(np.mean([each.is_right for each in several]))
        found["accuracy_per_token"] = _accuracy(several, lambda each: _logs(each) / each.tokens)
        found["accuracy_per_byte"] = _accuracy(several, lambda each: _logs(each) / each.bytes)
        if all(each.unconditional for each in several):
            found["accuracy_unconditional"] = _accuracy(
                several, lambda each: _logs(each) - np.asarray(each.unconditional, float)
            )
    scored = [each for each in results if each.log_probabilities]
    if scored:
        per_byte = [(_logs(each) / each.bytes)[each.answer] for each in scored]
        found["loss_per_byte"] = -float(np.mean(per_byte))
    return found


def _logs(result: ItemResult) -> NDArray[np.floating]:
    return np.asarray(result.log_probabilities, float)


def _accuracy(
    results: Sequence[ItemResult], value: Callable[[ItemResult], NDArray[np.floating]]
) -> float:
    return float(np.mean([value(each).argmax() == each.answer for each in results]))
