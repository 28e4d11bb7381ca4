"""Columns about the runs of a study: what differs, by short names."""

from __future__ import annotations

from dataclasses import replace

import tiny

from experiments.plan.run import Run
from experiments.plan.varying import short, varying


def run(label: str, *assignments: str) -> Run:
    return replace(Run(tiny.config(), 0).override(assignments), label=label)


def test_labels_and_fields_that_differ():
    runs = [
        run("a", "lr=0.01", "seed=0"),
        run("a", "lr=0.02", "seed=0"),
        run("b", "lr=0.01", "seed=1", "optimizer.name=lion"),
    ]
    assert varying(runs) == {"label": ["a", "a", "b"], "lr": [0.01, 0.02, 0.01]}
    assert varying(runs[:2]) == {"lr": [0.01, 0.02]}
    assert varying(runs[:2], ["optimizer.learning_rate"]) == {}


def test_a_word_of_several_fields_is_no_short_name():
    assert short("optimizer.name") == "optimizer.name"
    assert short("optimizer.weight_decay") == "wd"
    assert short("model.width") == "width"
    assert short("label") == "label"
