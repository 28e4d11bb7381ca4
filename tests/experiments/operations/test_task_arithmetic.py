from __future__ import annotations

import numpy as np
import operated

from experiments.operations import Arrays, Blueprint
from experiments.operations.task_arithmetic import task_arithmetic

BASE, A, B = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
PARENTS: list[Arrays] = [{"w": array} for array in (BASE, A, B)]
PLAN: Blueprint = operated.plan([operated.config()], operated.config())


def made(parents: list[Arrays], scale: float = 1.0) -> np.ndarray:
    return task_arithmetic(parents, PLAN, scale=scale)["w"]


def test_differences_from_the_first_parent_are_added() -> None:
    np.testing.assert_allclose(made(PARENTS), A + B - BASE, atol=1e-6)
    np.testing.assert_allclose(made(PARENTS[:2], 0.5), (A + BASE) / 2, atol=1e-6)
    np.testing.assert_allclose(made(PARENTS[:2]), A, atol=1e-7)


def test_scale_zero_and_no_other_parent_are_the_first_bit_for_bit() -> None:
    for found in (made(PARENTS, 0.0), made(PARENTS[:1])):
        np.testing.assert_array_equal(found, BASE)
