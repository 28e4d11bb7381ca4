"""Tasks in files: JSON or JSONL of items in the layouts that multiple-choice sets come in.

One row is an object. Its context is `context`, `question`, `query`, `ctx`, `prompt` or `input`; its
choices are `choices`, `endings` or `options`, as a list or as {"text": [...], "label": [...]}, or
the keys of `target_scores`; its answer is `gold`, `answer`, `label`, `answerKey` or `target`, as an
index, a label, or the text of a choice. `target` without choices is a text to generate. A row may
have `id`, `kind` and `verifier`. A JSON file is a list of rows, or an object with `examples`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from experiments.evaluation.items import Item
from scaling.common.errors import UserError

ENDINGS = (".json", ".jsonl")
CONTEXTS = ("context", "question", "query", "ctx", "prompt", "input")
CHOICES = ("choices", "endings", "options", "target_scores")
ANSWERS = ("gold", "answer", "label", "answerKey", "target", "target_scores")
NAMES = ("id", "name", "idx", "ind")
NOTHING = -1  # the answer of an item without one


def is_file(name: str) -> bool:
    """True of the path of a task file, rather than the name of a task."""
    return name.endswith(ENDINGS)


def read_items(path: Path) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """The items of a file, and a line for each row that is none.

    Raises:
        UserError: the file cannot be read, is not JSON, or has no items.
    """
    items, faults = [], []
    for number, row in enumerate(_rows(path), 1):
        name = _first(row, NAMES) if isinstance(row, Mapping) else None
        try:
            items.append(_item(row, str(number if name is None else name)))
        except (UserError, TypeError, ValueError) as error:
            faults.append(f"item {number if name is None else name}: {error}")
    if not items:
        said = f" ({faults[0]})" if faults else ""
        raise UserError(f"{path}: no item{said}; a row has context, choices and gold")
    return tuple(items), tuple(faults)


def _rows(path: Path) -> Iterator[Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot read ({error.strerror}); give a file of items") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8; save it as such") from error
    if path.suffix == ".jsonl":
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield _parsed(line, f"{path}:{number}")
        return
    whole = _parsed(text, str(path))
    rows = whole["examples"] if isinstance(whole, Mapping) and "examples" in whole else whole
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        raise UserError(f"{path}: neither a list of items nor an object with 'examples'")
    yield from rows


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: not JSON ({error.msg}); one object a line in .jsonl") from error


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    """The value of the first of these keys that a row has."""
    return next((row[name] for name in names if name in row), None)


def _item(row: Any, name: str) -> Item:
    if not isinstance(row, Mapping):
        raise UserError("not an object; a row has context, choices and gold")
    context, found, answer = (_first(row, names) for names in (CONTEXTS, CHOICES, ANSWERS))
    if context is None:
        raise UserError(f"no context; name it one of {', '.join(CONTEXTS)}")
    choices, labels = _choices(found)
    kind: Any
    kind, verifier = (_first(row, (name,)) or "" for name in ("kind", "verifier"))
    if found is None and isinstance(answer, str):
        kind, choices, labels = kind or "generation", (answer,), ()
        verifier = verifier or ("first_line" if kind == "generation" else "")
    return Item(
        name, str(context), choices, _index(answer, choices, labels), kind or "choices", verifier
    )


def _choices(found: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The texts and their labels."""
    if isinstance(found, Mapping) and "text" in found:
        labels = _first(found, ("label",)) or ()
        return tuple(map(str, found["text"])), tuple(map(str, labels))
    if isinstance(found, str):
        raise UserError("choices are a text, not a list")
    return tuple(map(str, found or ())), ()


def _index(answer: Any, choices: Sequence[str], labels: Sequence[str]) -> int:
    """The place of the right choice; `NOTHING` where the row names none of them."""
    if isinstance(answer, Mapping):  # scores by choice
        answer = max(answer, key=lambda choice: answer[choice]) if answer else None
    if answer is None or isinstance(answer, bool):
        return NOTHING
    if isinstance(answer, int):
        return answer
    for known in (labels, choices, ascii_uppercase[: len(choices)]):
        if str(answer) in known:
            return list(known).index(str(answer))
    return int(answer) if str(answer).isdecimal() else NOTHING
