"""The law fitted to losses that it made itself has the constants that made them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("WINDTUNNEL_PLUGINS", str(Path(__file__).parents[1]))

from analysis import fit
from scaling.laws import by_name

TRUTH = {"E": 1.8, "A": 400.0, "B": 600.0, "alpha": 0.34, "beta": 0.3}


def test_the_constants_are_found_again() -> None:
    law = by_name("my_law")
    params, ratio = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e7, 1e9, 5), [5, 20, 80]))
    table = {"params": params, "tokens": ratio * params}
    loss = law.predict(TRUTH, **table)
    found = fit(law, {**table, "loss": loss}, params="params", tokens="tokens")
    assert found.params == pytest.approx(TRUTH, rel=1e-4)
