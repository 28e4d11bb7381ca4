"""Operations by name: typed settings, and an operation that is added as one file."""

from __future__ import annotations

import numpy as np
import pytest
from plugged import plugged

from experiments import operations
from scaling.common.errors import UserError

PARENTS = [{"w": np.full((2, 2), value, np.float32)} for value in (1.0, 3.0)]
SIGN = """
import numpy as np

def operation(parents, *, scale: float = 1.0):
    return {name: np.float32(scale) * np.sign(array) for name, array in parents[0].items()}
"""


def test_settings_are_of_the_type_that_the_operation_names() -> None:
    made = operations.apply("average", PARENTS, {"weights": (1, np.float64(3))})
    np.testing.assert_array_equal(made["w"], np.full((2, 2), 2.5))


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("averag", {}, r"^operation 'averag': did you mean 'average'\?$"),
        ("average", {"weight": (1.0,)}, r"no setting 'weight'; did you mean 'weights'\?$"),
        ("average", {"weights": 1.0}, r"^operation 'average': weights=1\.0: expected a tuple"),
        ("task_arithmetic", {"scale": "x"}, r"scale='x': expected float$"),
    ],
)
def test_mistake_is_one_line_before_anything_is_trained(name, settings, message) -> None:
    with pytest.raises(UserError, match=message):
        operations.check(name, settings)


def test_an_operation_is_added_as_one_file(tmp_path) -> None:
    with plugged(tmp_path, {"experiments.operations.sign": SIGN}):
        operations.check("sign", {"scale": 2})
        made = operations.apply("sign", PARENTS, {"scale": 2})
    np.testing.assert_array_equal(made["w"], np.full((2, 2), 2.0))
    with pytest.raises(UserError, match=r"^operation 'sign': "):
        operations.check("sign", {})
