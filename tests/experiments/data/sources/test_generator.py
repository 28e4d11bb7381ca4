"""Generators: the answers are right, and the stated surprise is that of the text."""

from __future__ import annotations

import math
import re
from collections import Counter
from random import Random

import pytest

from experiments.config.data import CorpusConfig
from experiments.data.sources import (
    arithmetic,
    biographies,
    dag,
    documents,
    grammar,
    khop,
    source_of,
    word_problem,
)


def test_arithmetic_is_right() -> None:
    text, nats = arithmetic.document(arithmetic.Settings(modulus=7, lines=200), 0, Random(0))
    lines = text.splitlines()
    for line in lines:
        a, s, b, t, c, answer = re.fullmatch(r"(\d)([+*])(\d)([+*])(\d)=(\d)", line).groups()  # type: ignore[union-attr]
        first = int(a) + int(b) if s == "+" else int(a) * int(b)
        assert (first + int(c) if t == "+" else first * int(c)) % 7 == int(answer)
    assert nats == pytest.approx(200 * (3 * math.log(7) + 2 * math.log(2)))


def test_walks_end_where_the_edges_lead() -> None:
    text, _ = khop.document(khop.Settings(), 0, Random(0))
    for line in text.splitlines():
        edges, asked = line.split(" | ")
        after = dict(edge.split(">") for edge in edges.split())
        for start, hops, end in asked.split():
            for _ in range(int(hops)):
                start = after[start]
            assert start == end


def test_nodes_of_a_dag_are_sums_of_nodes_before_them() -> None:
    text, _ = dag.document(dag.Settings(), 0, Random(0))
    for line in text.splitlines():
        values: dict[str, int] = {}
        for name, said in (each.split("=") for each in line.split()):
            expression, _, total = said.partition(":")
            parts = [values[one] for one in expression.split("+")] if total else [int(said)]
            values[name] = sum(parts) % 10
            assert values[name] == int(total or said)


def test_the_place_of_the_first_object_follows_the_letters() -> None:
    chosen = word_problem.Settings(objects=5, letters=40)
    text, _ = word_problem.document(chosen, 0, Random(0))
    row = list(range(1, 6))
    for letter, answer in zip(text[::2], text[1::2], strict=True):
        row = row[-1:] + row[:-1] if letter == "a" else [row[1], row[0], *row[2:]]
        assert row.index(1) + 1 == int(answer)


def test_words_of_swaps_get_longer_and_go_on_from_where_the_object_stood() -> None:
    """Each letter swaps the first place with another, and moves no third object."""
    text, nats = word_problem.document(word_problem.Settings(words=9, swaps=1), 0, Random(0))
    words = re.findall(r"([a-d]+)=([1-5])", text)
    assert "".join(f"{word}={answer}" for word, answer in words) == text
    assert [len(word) for word, _ in words] == list(range(1, 10))
    assert nats == pytest.approx(45 * math.log(4))
    row = list(range(1, 6))
    for word, answer in words:
        for other in ("abcd".index(letter) + 1 for letter in word):
            row[0], row[other] = row[other], row[0]
        assert row.index(1) + 1 == int(answer)


@pytest.mark.parametrize(
    ("source", "path", "texts"),
    [
        ("arithmetic", "modulus=2&terms=2&lines=1&documents=4000", 2 * 2 * 2),
        ("khop", "nodes=2&hops=2&questions=1&puzzles=1&documents=4000", 2 * 2 * 4),
        ("dag", "nodes=2&lines=1&documents=4000", 100),
        ("grammar", "levels=2&symbols=2&choices=2&length=2&sentences=1&documents=4000", 2 * 2**3),
        ("biographies", "people=1&exposures=4000", math.factorial(5)),
        ("word_problem", "letters=3&documents=4000", 2**3),
        ("word_problem", "words=2&swaps=1&objects=3&documents=4000", 2**3),
    ],
)
def test_the_entropy_is_that_of_the_texts_that_come(source: str, path: str, texts: int) -> None:
    """Every text of a small generator is equally likely: ln(texts) nats each."""
    config = CorpusConfig(source=source, path=path)
    found = Counter(document.content for document in documents(config))
    assert len(found) == texts
    mean = 4000 / texts
    chi2 = sum((count - mean) ** 2 / mean for count in found.values())
    assert chi2 < texts - 1 + 4 * math.sqrt(2 * (texts - 1))
    entropy = source_of(config).entropy
    assert entropy is not None
    length = sum(len(text) + 1 for text in found) / texts
    assert entropy(config) == pytest.approx(math.log(texts) / length, rel=0.03)


def test_biographies_are_of_different_people_who_stay_the_same() -> None:
    settings = biographies.Settings(people=300, exposures=2)
    people = biographies.people(settings)
    assert len({person.name for person in people}) == 300
    for k in (0, 17):
        one, two = (biographies.document(settings, k + 300 * i, Random(i))[0] for i in (0, 1))
        assert one != two
        assert sorted(one.split(". ")) != one
        assert {each.strip(".") for each in one.split(". ")} == {
            each.strip(".") for each in two.split(". ")
        }
    assert math.log2(biographies.VALUES) == pytest.approx(46.59, abs=0.01)
    assert math.log2(biographies.NAMES) == pytest.approx(27.25, abs=0.01)
    assert biographies.bits(biographies.Settings(people=1)) == pytest.approx(
        46.59 + 27.25, abs=0.02
    )


def test_people_of_numbers_have_no_words() -> None:
    (person,) = biographies.people(biographies.Settings(people=1, words=0))
    assert re.fullmatch(r"\d{3} \d{3} \d{3}", person.name)
    assert re.fullmatch(r"\d{3}", person.facts["city"])
    assert re.fullmatch(r"\d{2}", person.facts["field"])


def test_a_grammar_gives_every_sentence_one_derivation() -> None:
    for level in grammar.rules(grammar.Settings()):
        sides = [side for symbol in level for side in symbol]
        assert len(set(sides)) == len(sides) == 12
