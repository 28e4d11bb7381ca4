"""The gradient of a batch does not depend on how many sequences are taken at once."""

from __future__ import annotations

import numpy as np
import pytest
from curves import batches, program, reference, run, train


@pytest.mark.parametrize("microbatch", [1, 2])
def test_any_microbatch_has_the_curve_of_the_whole_batch(microbatch: int) -> None:
    _, losses = train(program(microbatch=microbatch), run(), batches())
    np.testing.assert_allclose(losses, reference()[1], rtol=1e-5)
