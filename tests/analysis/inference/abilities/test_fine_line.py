"""Similarity of curves of one shape, of mirrored ones, and of sizes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ability_worlds import answered, drawn_items, level, world

from analysis.inference.abilities.fine_line import similar, similarities
from scaling.common.errors import UserError


def test_curves_of_one_shape_are_alike_and_mirrored_ones_are_not() -> None:
    line = np.arange(6.0)
    assert similar(line, 3 * line - 2) == pytest.approx(1)
    assert similar(line, -line) == pytest.approx(0)
    assert np.isnan(similar(line, np.ones(6)))
    params, rng = np.repeat(np.geomspace(1e4, 1e6, 4), 2), np.random.default_rng(0)
    answers, *_ = world(0)
    kept = answers.of(np.arange(len(answers.params)) < 8)
    checkpoints = []
    for step in range(6):
        right, wrong, hits = answered(level(params, 3.0 * step), drawn_items(200, rng), rng)
        checkpoints.append(replace(kept, params=params, right=right, wrong=wrong, hits=hits))
    found = {each.measure: each for each in similarities(checkpoints)}
    assert found["p among the choices"].neighbours > 0.9
    assert found["p among the choices"].seeds > 0.9
    with pytest.raises(UserError, match="2 checkpoints"):
        similarities(checkpoints[:2])
