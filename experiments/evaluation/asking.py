"""Several tasks asked of a model at once: one pass over all choices, then samples in rounds.

An item with a verifier is sampled until `passes` of its samples pass, or `cap` are drawn. With r
passes after K samples (r - 1) / (K - 1) is the unbiased rate of passing, and an item without enough
passes is censored (PassUntil: Hu et al. 2024, arXiv 2310.03262).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from msgspec import structs

from experiments.data.tokenizer import Tokenizer
from experiments.evaluation import items as item_rules
from experiments.evaluation import task, task_files
from experiments.evaluation.choices import Requests, metrics
from experiments.evaluation.items import Item, verified
from experiments.evaluation.model import Model, Sampler
from experiments.evaluation.sampling import seed_of
from experiments.record import ItemResult
from scaling.common.errors import UserError

ROUND = 8  # samples of an item at once
BATCH = 256  # samples of all items at once


@dataclass(frozen=True)
class Drawing:
    """Settings of the samples: at most `cap` of each item, none where it is 0."""

    cap: int = 0
    passes: int = 3
    sampler: Sampler = Sampler()

    def __str__(self) -> str:
        s = self.sampler
        rule = f"temperature={s.temperature:g} top_k={s.top_k} top_p={s.top_p:g}"
        return f"cap={self.cap} passes={self.passes} {rule}" if self.cap else ""


@dataclass(frozen=True)
class Asked:
    """A task to ask: its sound items, a line for each other, and their version.

    A task without items has None.
    """

    name: str
    items: tuple[Item, ...] | None
    faults: tuple[str, ...] = ()
    version: str = ""


@dataclass(frozen=True)
class Answered:
    """The results of a task, its metrics, the prompts that were cut, and a line for each fault."""

    results: tuple[ItemResult, ...]
    metrics: Mapping[str, float]
    cut: int
    faults: tuple[str, ...]


def asked(name: str) -> Asked:
    """A task by its name, or by the path of a file of items.

    Raises:
        UserError: no such task or file, or the file has no item.
    """
    if not task_files.is_file(name):
        found = task.items(name)
        if found is None:
            return Asked(name, None)
        kept, faults = item_rules.sound(found)
        return Asked(name, kept, faults, item_rules.version(kept))
    path = Path(name)
    found, unread = task_files.read_items(path)
    if path.stem in task.names():
        raise UserError(f"{path}: a built-in task is named {path.stem}; rename the file")
    kept, faults = item_rules.sound(found)
    return Asked(path.stem, kept, (*unread, *faults), item_rules.version(kept))


def answer(
    model: Model, tasks: Sequence[Asked], tokenizer: Tokenizer, seq_len: int,
    drawing: Drawing = Drawing(), context: int = 0,
) -> dict[str, Answered]:  # fmt: skip
    """Ask every task that has items; those that cannot be scored are left out and named.

    Args:
        seq_len: tokens of a window, at most.
        context: tokens of every window; 0: of the longest one.
    """
    found: dict[str, Answered] = {}
    every = Requests(tokenizer, seq_len, "unconditional")
    kept: dict[str, list[Item]] = {}
    for each in tasks:
        faults, cut, kept[each.name] = list(each.faults), every.cut, []
        for item in each.items or ():
            try:
                every.add(item)
                kept[each.name].append(item)
            except UserError as error:
                faults.append(str(error))
        found[each.name] = Answered((), {}, every.cut - cut, tuple(faults))
    results = iter(every.results(every.answered(model, context)))
    for each in tasks:
        own = kept[each.name]
        scored = [next(results) for _ in own]
        numbers = dict(metrics(scored))
        lines = found[each.name].faults
        if drawing.cap:
            scored, more = _sampled(model, own, scored, tokenizer, seq_len, drawing)
            lines = (*lines, *more)
            passed = [np.mean([bool(p) for p in r.passed]) for r in scored if r.passed]
            numbers |= {"passed": float(np.mean(passed))} if passed else {}
        found[each.name] = replace(
            found[each.name], results=tuple(scored), metrics=numbers, faults=lines
        )
    return found


def _sampled(
    model: Model, items: Sequence[Item], results: Sequence[ItemResult], tokenizer: Tokenizer,
    seq_len: int, drawing: Drawing,
) -> tuple[list[ItemResult], list[str]]:  # fmt: skip
    """The results with samples, and a line for each item whose verifier failed."""
    texts: dict[str, list[str]] = {item.name: [] for item in items if item.verifier}
    verdicts: dict[str, list[bool | None]] = {name: [] for name in texts}
    open_items = [item for item in items if item.verifier]
    if not open_items:
        return list(results), []
    faults: dict[str, str] = {}
    prompts, new = _prompts(open_items, tokenizer, seq_len)
    while open_items:
        wanted = [
            (item, k)
            for item in open_items
            for k in range(len(texts[item.name]), min(len(texts[item.name]) + ROUND, drawing.cap))
        ]
        for start in range(0, len(wanted), BATCH):
            part = wanted[start : start + BATCH]
            fill = [*part, *part[:1] * (-len(part) % ROUND)]  # few shapes are compiled
            drawn = model.sample(
                [prompts[item.name] for item, _ in fill],
                [seed_of(item.name, k) for item, k in fill],
                new,
                drawing.sampler,
            )
            for (item, _), tokens in zip(part, drawn, strict=False):
                text = _text(tokens, tokenizer)
                texts[item.name].append(text)
                try:
                    verdicts[item.name].append(verified(item, text))
                except UserError as error:
                    verdicts[item.name].append(None)
                    faults[item.name] = str(error)
        open_items = [
            item
            for item in open_items
            if len(texts[item.name]) < drawing.cap
            and verdicts[item.name].count(True) < drawing.passes
            and item.name not in faults
        ]
    return [
        structs.replace(
            result, samples=tuple(texts[result.item]), passed=tuple(verdicts[result.item])
        )
        if result.item in texts
        else result
        for result in results
    ], list(faults.values())


def _prompts(
    items: Sequence[Item], tokenizer: Tokenizer, seq_len: int
) -> tuple[dict[str, np.ndarray], int]:
    """The tokens of each prompt after a separator, and how many to draw: one beyond the answer."""
    answers = tokenizer.encode([item.choices[item.answer].encode() for item in items])
    new = min(1 + max(map(len, answers)), seq_len - 1)
    encoded = tokenizer.encode([item.prompt.encode() for item in items])
    start = np.array([tokenizer.separator])
    return {
        item.name: np.concatenate([start, prompt])[-(seq_len - new) :].astype(np.int32)
        for item, prompt in zip(items, encoded, strict=True)
    }, new


def _text(tokens: np.ndarray, tokenizer: Tokenizer) -> str:
    """The text of drawn tokens, up to the end of its document."""
    ends = np.flatnonzero(tokens == tokenizer.separator)
    kept = tokens[: ends[0]] if len(ends) else tokens
    return tokenizer.decode(kept).decode("utf-8", errors="replace")
