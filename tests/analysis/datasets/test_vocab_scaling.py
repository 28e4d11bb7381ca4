"""Checkpoints over vocabularies against the collected table."""

from __future__ import annotations

import numpy as np
import pandas as pd
from paths import DATA, needs_tables

from analysis.datasets import load
from analysis.datasets.vocab_scaling import LEAST_FLOPS

pytestmark = needs_tables("vocab_scaling/raw")


def test_counts_and_losses():
    ours, theirs = load("vocab_scaling"), pd.read_csv(DATA / "vocab_scaling" / "tidy.csv")
    same = {"params_total": "params_total", "tokens": "tokens", "loss_unigram": "loss"}
    for mine, other in same.items():
        np.testing.assert_allclose(ours[mine], theirs[other], rtol=1e-9)
    assert ours.groupby(["run_id", "vocabulary"]).size().eq(20).all()
    assert ours["run_id"].nunique() == 60 and ours["vocabulary"].nunique() == 10
    assert (ours["flops_6nd"] >= LEAST_FLOPS).sum() == 1054  # as many as the paper fits
    assert (ours["loss"] > 0).all()
