"""Bits of knowledge of the people of data.source=biographies, by the loss of names and of facts.

With N people, p1 and p2 the mean nats of a name and of all five facts given the name,

    bits = N log2(N0 / e^p1) + N log2(S0 / e^p2)        (Allen-Zhu and Li 2024, arXiv 2404.05405)

which is the most knowledge, `biographies.bits`, where p1 = ln N and p2 = 0, and 0 for a model that
knows the lists of words and nobody. A model that does not know these has less. The means are over
`SAMPLE` people, each with one order of the facts; every person is in the training text.
"""

from __future__ import annotations

import math
from random import Random

import numpy as np

from experiments import data
from experiments.config.run import Science
from experiments.data.sources import SEPARATOR, biographies
from experiments.evaluation.task import Evaluation, Model
from scaling.common.errors import UserError

SAMPLE = 256
SOURCE = "biographies"


def evaluate(model: Model, mixture: data.Mixture, science: Science) -> Evaluation:
    found = [each.config for each in mixture.texts.values() if each.config.source == SOURCE]
    if len(found) != 1 or mixture.tokenizer.content:
        raise UserError("needs one corpus of source biographies, and data.tokenizer=bytes")
    settings = biographies.settings_of(found[0].path)
    people = biographies.people(settings)[:SAMPLE]
    length = science.batch.seq_len + 1
    windows = np.zeros((len(people), length), np.int32)
    names, facts = (np.zeros((len(people), length - 1), np.bool_) for _ in range(2))
    for k, person in enumerate(people):
        text, places = _scored(person, Random(f"{settings.seed}/{k}/order"))
        if len(text) > length:
            raise UserError(
                f"a biography has {len(text)} bytes: raise batch.seq_len={length - 1} to "
                f"{len(text) - 1} or more"
            )
        windows[k, : len(text)] = np.frombuffer(text, np.uint8)
        names[k, : len(person.name) + 1] = True
        for start, end in places:
            facts[k, start - 1 : end - 1] = True
    p1 = -float(np.mean(model.log_probabilities(windows, names)))
    p2 = -float(np.mean(model.log_probabilities(windows, facts)))
    ratio = math.log(biographies.NAMES) - p1, math.log(biographies.VALUES) - p2
    return Evaluation(
        {
            "name_nats": p1,
            "fact_nats": p2,
            "bits": settings.people * sum(ratio) / math.log(2),
            "most_bits": biographies.bits(settings),
        }
    )


def _scored(person: biographies.Person, random: Random) -> tuple[bytes, list[tuple[int, int]]]:
    """A biography after a separator, and the places of its facts, each with the full stop."""
    text, places = SEPARATOR + f"{person.name}.".encode(), []
    for kind in random.sample(list(person.facts), len(person.facts)):
        before, after = (f" {each}".encode() for each in biographies.SENTENCES[kind].split("{}"))
        text += before
        start = len(text)
        text += person.facts[kind].encode() + b"." + after.strip()
        places.append((start, len(text)))
    return text, places
