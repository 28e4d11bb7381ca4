"""A grid of runs with a known law, for tests that need a fit and not a study."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scaling import laws

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Four sizes by three numbers of tokens, with noise of 0.5 %."""
    size, data = (each.ravel() for each in np.meshgrid([1e7, 3e7, 1e8, 3e8], [1e9, 3e9, 1e10]))
    loss = laws.chinchilla.predict(TRUTH, params=size, tokens=data)
    noise = np.random.default_rng(0).normal(0, 0.005, 12)
    return pd.DataFrame({"params_total": size, "tokens": data, "loss": loss * np.exp(noise)})
