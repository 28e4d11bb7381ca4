"""Items of tasks: a context, the texts that may follow it, and the right one; or bad ones, named.

Kinds: `choices` asks which of several texts is likeliest, `perplexity` how likely one text is, and
`generation` draws samples and verifies them. An item of any kind with a verifier can be sampled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from scaling.common.errors import UserError, nearest

Kind = Literal["choices", "perplexity", "generation"]
LETTERS = 12  # of a version


@dataclass(frozen=True)
class Item:
    """A prompt and its possible continuations.

    Attributes:
        choices: of `perplexity` and `generation` one, the text that was written.
        answer: index of the right choice.
        verifier: a key of `VERIFIERS`; empty where no sample is drawn.
    """

    name: str
    prompt: str
    choices: tuple[str, ...]
    answer: int
    kind: Kind = "choices"
    verifier: str = ""


def first_line(item: Item, text: str) -> bool:
    """The first line is the right choice, spaces around it aside."""
    return text.partition("\n")[0].strip() == item.choices[item.answer].strip()


def begins(item: Item, text: str) -> bool:
    """The text begins with the right choice."""
    return text.startswith(item.choices[item.answer])


PAIRS = {")": "(", "]": "[", "}": "{", ">": "<"}


def balanced(item: Item, text: str) -> bool:
    """The first line closes every bracket that the last line of the prompt opens, in order."""
    still: list[str] = []
    asked = item.prompt.rpartition("\n")[2] + text.partition("\n")[0].strip()
    for letter in asked:
        if letter in PAIRS.values():
            still.append(letter)
        elif letter in PAIRS and (not still or still.pop() != PAIRS[letter]):
            return False
    return not still


VERIFIERS: Mapping[str, Callable[[Item, str], bool]] = {
    "first_line": first_line,
    "begins": begins,
    "balanced": balanced,
}


def verified(item: Item, text: str) -> bool:
    """The verdict of the item's verifier on a sample.

    Raises:
        UserError: the verifier fails; the item is named.
    """
    try:
        return bool(VERIFIERS[item.verifier](item, text))
    except Exception as error:
        said = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise UserError(f"item {item.name}: verifier {item.verifier} fails: {said}") from error


def fault(item: Item) -> str | None:
    """The reason in words why an item cannot be asked, or None."""
    if item.kind not in get_args(Kind):
        return f"kind '{item.kind}': {nearest(item.kind, get_args(Kind))}"
    if not item.choices:
        return "no choices; give at least two, and the right one"
    if not 0 <= item.answer < len(item.choices):
        return f"answer {item.answer} of {len(item.choices)} choices; give the right one"
    if item.kind == "choices" and len(item.choices) < 2:
        return "one choice; give another, or set kind=perplexity"
    if any(not choice for choice in item.choices):
        return "an empty choice; give each some text"
    if len(set(item.choices)) < len(item.choices):
        return "two equal choices; drop one"
    if item.verifier and item.verifier not in VERIFIERS:
        return f"verifier '{item.verifier}': {nearest(item.verifier, VERIFIERS)}"
    if item.kind == "generation" and not item.verifier:
        return "no verifier of its samples; name one, such as first_line"
    return None


def sound(items: Iterable[Item]) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    """The items that can be asked, and one line for each of the others.

    Of items with one name the first stays.
    """
    kept: dict[str, Item] = {}
    faults = []
    for item in items:
        reason = fault(item)
        if reason is None and item.name in kept:
            reason = "a second item of this name; rename it"
        if reason is None:
            kept[item.name] = item
        else:
            faults.append(f"item {item.name}: {reason}")
    return tuple(kept.values()), tuple(faults)


def version(items: Iterable[Item]) -> str:
    """The first letters of SHA-256 over every field of every item, in order."""
    digest = hashlib.sha256()
    for item in items:
        digest.update(json.dumps(asdict(item), sort_keys=True).encode() + b"\n")
    return digest.hexdigest()[:LETTERS]
