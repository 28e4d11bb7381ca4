"""The OLMo ladder: its sizes, and the paper's prediction of its 13B target."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from paths import DATA, needs_tables

from analysis.datasets import load
from analysis.fitting.fit import fit
from scaling import laws

pytestmark = needs_tables("olmo_ladder")


def test_sixteen_runs_predict_the_target_as_published():
    runs = load("olmo_ladder").set_index("run_id")
    assert len(runs) == 26 and runs.notna().all(axis=1).sum() == 24
    assert runs.loc["13B-5T", "tokens"] == pytest.approx(5e12, rel=1e-4)
    paper = runs[runs["chinchilla_multiplier"].isin([1, 2, 5, 10])]
    paper = paper[~paper.index.str.endswith("rerun")]
    assert len(paper) == 16
    np.testing.assert_allclose(
        paper["tokens"],
        20 * paper["chinchilla_multiplier"] * paper["params_nonembedding"],
        rtol=3e-3,
    )
    found = fit(laws.chinchilla, paper, params="params_nonembedding")
    target = runs.loc["13B-5T"]
    said = found.predict(params=target["params_nonembedding"], tokens=target["tokens"]).value
    published = pd.read_csv(DATA / "olmo_ladder" / "raw" / "published_step1_c4_main.csv").iloc[0]
    assert abs(said - published["Pred"]) < 0.01  # the authors smooth the last checkpoints
    assert abs(target["loss"] - published["Actual"]) < 1e-3
