"""Evaluations of Pythia's checkpoints: counts, and the checkpoints that all models share."""

from __future__ import annotations

from paths import needs_tables

from analysis.datasets import load

pytestmark = needs_tables("pythia_evals")


def test_every_model_has_the_schedule():
    table = load("pythia_evals")
    assert len(table) == 10843 and table["model"].nunique() == 16
    assert (table["tokens"] == table["step"] * 2_097_152).all()
    lambada = table.query("task == 'lambada_openai' and metric == 'ppl' and shots == 'zero'")
    late = lambada.query("on_schedule and step >= 3000")
    steps = late.groupby("model")["step"].nunique()
    assert len(steps) == 16 and steps.eq(15).all()
    assert late["value"].between(3, 600).all()
    assert (lambada["value"].groupby(lambada["step"]).min()[[0, 1]] > 1e5).all()
