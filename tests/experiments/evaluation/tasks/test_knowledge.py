"""Bits of models that know everything, the lists of words alone, or nothing."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import tiny

from experiments import data
from experiments.config.overrides import override
from experiments.config.run import Science
from experiments.data.sources import SEPARATOR, biographies
from experiments.evaluation.task import Uniform
from experiments.evaluation.tasks.knowledge import evaluate
from scaling.common.errors import UserError

PEOPLE = 40


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> data.Mixture:
    config = data.DataConfig(source="biographies", path=f"people={PEOPLE}&exposures=4")
    return data.Corpora(tmp_path_factory.mktemp("cache")).mixture(config)


@pytest.fixture(scope="module")
def science() -> Science:
    return override(tiny.config(), ["batch.seq_len=128"]).science


class Scored:
    """A model whose log-probability is that of a rule on the scored text of each window."""

    def __init__(self, nats_of_a_name: float, nats_of_the_facts: float) -> None:
        self.nats = iter((nats_of_a_name, nats_of_the_facts))
        self.texts: list[list[str]] = []

    def loss(self, windows: np.ndarray) -> float:
        raise NotImplementedError

    def log_probabilities(self, windows: np.ndarray, scored: np.ndarray) -> np.ndarray:
        found = [row[1:][mask].astype(np.uint8) for row, mask in zip(windows, scored, strict=True)]
        self.texts.append([bytes(each).decode() for each in found])
        assert (windows[:, 0] == SEPARATOR[0]).all()
        return np.full(len(windows), -next(self.nats))


def test_the_name_and_the_facts_are_what_is_scored(mixture, science) -> None:
    model = Scored(0.0, 0.0)
    evaluate(model, mixture, science)
    people = biographies.people(biographies.Settings(PEOPLE, 4))
    names, facts = model.texts
    assert names == [f"{person.name}." for person in people]
    for said, person in zip(facts, people, strict=True):
        assert len(said) == sum(len(value) + 1 for value in person.facts.values())
        assert all(f"{value}." in said for value in person.facts.values())


def test_a_model_that_knows_everybody_has_all_bits(mixture, science) -> None:
    found = evaluate(Scored(math.log(PEOPLE), 0.0), mixture, science).metrics
    assert found["bits"] == pytest.approx(found["most_bits"])


def test_a_model_that_knows_the_words_alone_has_none(mixture, science) -> None:
    model = Scored(math.log(biographies.NAMES), math.log(biographies.VALUES))
    assert evaluate(model, mixture, science).metrics["bits"] == pytest.approx(0, abs=1e-6)


def test_a_model_that_knows_nothing_has_less_than_none(mixture, science) -> None:
    assert evaluate(Uniform(256), mixture, science).metrics["bits"] < 0


def test_other_text_and_short_sequences_are_refused(mixture, science, tmp_path: Path) -> None:
    short = override(tiny.config(), ["batch.seq_len=32"]).science
    with pytest.raises(UserError, match=r"raise batch\.seq_len=32 to"):
        evaluate(Uniform(256), mixture, short)
    other = data.Corpora(tmp_path).mixture(data.DataConfig(source="dag", path="documents=50"))
    with pytest.raises(UserError, match="needs one corpus of source biographies"):
        evaluate(Uniform(256), other, science)
