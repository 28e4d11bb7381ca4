"""Every built-in task of items: sound, versioned, of right answers, and the same each time."""

from __future__ import annotations

import re

import pytest

from experiments.evaluation import task
from experiments.evaluation.items import sound, verified, version
from experiments.evaluation.tasks import addition, khop, permutations, programs

NAMES = [name for name in task.names() if task.items(name) is not None]


def test_the_tasks_are_found() -> None:
    assert {"addition", "modular", "brackets", "permutations", "khop", "copies"} <= set(NAMES)
    assert {"syntax", "identifiers"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_items_are_sound_and_the_same_each_time(name: str) -> None:
    found = tuple(task.items(name) or ())
    kept, faults = sound(found)
    assert len(kept) == len(found) == 256 and not faults
    assert version(found) == version(task.items(name) or ())
    right = [item.answer for item in found]
    assert all(40 < right.count(k) < 90 for k in range(3)), "the right choice stands anywhere"
    for item in filter(lambda item: item.verifier, found):
        assert [verified(item, choice) for choice in item.choices].count(True) == 1
        assert verified(item, item.choices[item.answer])


def test_answers_are_right() -> None:
    for item in addition.items():
        a, b = map(int, re.findall(r"\d+", item.prompt.splitlines()[-1]))
        assert int(item.choices[item.answer]) == a + b
    for item in permutations.items():
        a, b = re.findall(r"\d+", item.prompt.splitlines()[-1])
        assert item.choices[item.answer].strip() == "".join(a[int(x) - 1] for x in b)
    for item in programs.items():
        *statements, asked = item.prompt.splitlines()[-1].removeprefix("run ")[:-1].split(";")
        values: dict[str, int] = {}
        exec(";".join(statements), {}, values)
        assert int(item.choices[item.answer]) == values[asked]
    for item in khop.items():
        after = dict(re.findall(r"(\w)>(\w)", item.prompt))
        node, hops = item.prompt[-2], int(item.prompt[-1])
        for _ in range(hops):
            node = after[node]
        assert item.choices[item.answer].strip() == node
