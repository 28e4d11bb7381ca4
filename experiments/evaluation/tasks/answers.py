"""Loss of the answers that a generated document determines, of data.source=word_problem or copies.

    solved = 1 - nats / nats by chance

is 1 for a model that knows all answers and 0 for one that guesses; `solved_late` is that of the
last quarter of the answers, which need the longest state. Documents are fresh: `SAMPLE` draws of
the settings of data.path, by another seed than the training text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from random import Random
from types import ModuleType
from typing import Any

import numpy as np

from experiments import data
from experiments.config.run import Science
from experiments.data.sources import SEPARATOR, copies, word_problem
from experiments.data.sources._generator import settings
from experiments.evaluation.model import Evaluation, Model
from scaling.common.errors import UserError

SAMPLE = 128


def _of_words(s: word_problem.Settings, text: str) -> tuple[list[int], float]:
    return [place for place, each in enumerate(text) if each.isdigit()], math.log(s.objects)


def _of_copies(s: copies.Settings, text: str) -> tuple[list[int], float]:
    places: list[int] = []
    start = 0
    for line in text.splitlines(keepends=True):
        places += range(start + line.index("=") + 1, start + len(line) - 1)
        start += len(line)
    return places, math.log(s.letters)


# Of a source: where the answers of a text stand, and the nats of one by chance
SOURCES: Mapping[str, tuple[ModuleType, Callable[[Any, str], tuple[list[int], float]]]] = {
    "word_problem": (word_problem, _of_words),
    "copies": (copies, _of_copies),
}


def evaluate(model: Model, mixture: data.Mixture, science: Science) -> Evaluation:
    found = [each.config for each in mixture.texts.values() if each.config.source in SOURCES]
    if len(found) != 1 or mixture.tokenizer.content:
        raise UserError("needs one corpus of word_problem or copies, and data.tokenizer=bytes")
    source, answers = SOURCES[found[0].source]
    chosen = settings(source.Settings, found[0].path)
    length = science.batch.seq_len + 1
    windows = np.zeros((SAMPLE, length), np.int32)
    scored, late = (np.zeros((SAMPLE, length - 1), np.bool_) for _ in range(2))
    for k in range(SAMPLE):
        body, _ = source.document(chosen, k, Random(f"{found[0].source}/fresh/{chosen.seed}/{k}"))
        text = SEPARATOR + body.encode()
        if len(text) > length:
            raise UserError(
                f"a document has {len(text)} bytes: raise batch.seq_len={length - 1} to "
                f"{len(text) - 1} or more"
            )
        places, chance = answers(chosen, body)
        windows[k, : len(text)] = np.frombuffer(text, np.uint8)
        # predicted from the byte before, and the separator comes first
        at = np.array(places) + len(SEPARATOR) - 1
        scored[k, at] = True
        late[k, at[3 * len(at) // 4 :]] = True
    nats, nats_late = (
        -float(model.log_probabilities(windows, mask).sum()) / mask.sum() for mask in (scored, late)
    )
    return Evaluation(
        {"nats": nats, "solved": 1 - nats / chance, "solved_late": 1 - nats_late / chance}
    )
