from __future__ import annotations

import numpy as np

from experiments.operations.task_arithmetic import operation

BASE, A, B = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
PARENTS = [{"w": array} for array in (BASE, A, B)]


def test_differences_from_the_first_parent_are_added() -> None:
    np.testing.assert_allclose(operation(PARENTS)["w"], A + B - BASE, atol=1e-6)
    np.testing.assert_allclose(operation(PARENTS[:2], scale=0.5)["w"], (A + BASE) / 2, atol=1e-6)
    np.testing.assert_allclose(operation(PARENTS[:2])["w"], A, atol=1e-7)


def test_scale_zero_and_no_other_parent_are_the_first_bit_for_bit() -> None:
    for made in (operation(PARENTS, scale=0.0), operation(PARENTS[:1])):
        np.testing.assert_array_equal(made["w"], BASE)
