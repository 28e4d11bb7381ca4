"""Breaks over the sizes and calibration, of curves and models that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ability_worlds import world

from analysis.inference.abilities.breaks import breaks, calibration, shape


def test_a_line_and_a_jump_have_their_measures() -> None:
    x, jump = np.arange(5.0), np.array([0, 0, 0, 0, 1.0])
    linearity, breakthrough, off = shape(x, np.stack([x, -x, jump]))
    np.testing.assert_allclose(linearity, [4, -4, 2])
    np.testing.assert_allclose(breakthrough[:2], [4, -4])
    assert breakthrough[2] > 1e6
    np.testing.assert_allclose(off, [0, 0, 1], atol=1e-12)


def test_a_jump_of_the_accuracy_alone_is_the_measure_s() -> None:
    answers, *_ = world(0)
    large = answers.params == answers.params.max()
    brittle = replace(answers, hits=np.repeat(large[:, None], answers.hits.shape[1], 1) * 1.0)
    found = {each.measure: each for each in breaks(brittle, np.random.default_rng(0))}
    assert found["accuracy"].breakthrough[0] > 20 * found["p among the choices"].breakthrough[0]
    value, low, high = found["accuracy"].discontinuity
    assert (low, value, high) == pytest.approx((1, 1, 1))
    smooth = found["p among the choices"].discontinuity
    assert smooth[1] < 0 < smooth[2], "no break where there is none"


def test_a_sure_model_that_is_half_right_errs_by_half() -> None:
    answers, *_ = world(0)
    half = np.broadcast_to(np.arange(answers.hits.shape[1]) % 2 * 1.0, answers.hits.shape)
    sure = replace(answers, right=np.where(half, 0.0, -50.0), rival=np.where(half, -50.0, 0.0),
                   wrong=np.where(half, -50.0, 0.0), hits=half)  # fmt: skip
    assert calibration(sure)[0].error == pytest.approx(0.5)
    assert calibration(sure)[0].brier == pytest.approx(0.5)
