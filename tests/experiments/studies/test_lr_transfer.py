"""The transfer study: each ablation is the baseline with its one change, at every point."""

from __future__ import annotations

from dataclasses import replace

import pytest

from experiments.studies.lr_transfer import ABLATIONS, SCALES, study
from scaling.common.errors import UserError


@pytest.mark.parametrize("scale", SCALES)
def test_every_ablation_changes_every_run_of_the_baseline(scale):
    plan = study(scale, ablation="all", replicas=1)
    by_label = {
        label: [run for run in plan.runs if run.label == label]
        for label in ("mup", "sp", *ABLATIONS)
    }
    assert {len(found) for found in by_label.values()} == {len(by_label["mup"])}
    assert len({run.run_id for run in plan.runs}) == len(plan.runs)
    for label, found in by_label.items():
        for run, base in zip(found, by_label["mup"], strict=True):
            assert run.rung == base.rung
            # all train on the same tokens with the same widths
            assert run.config.science.model.width == base.config.science.model.width
            assert run.config.science.tokens == base.config.science.tokens
            assert (run.run_id == base.run_id) == (label == "mup")
    assert plan.published == {name: each.published for name, each in ABLATIONS.items()}


def test_ablations_are_chosen_by_name_beside_sp_and_mup():
    plan = study(ablation="cosine,mqa", replicas=2)
    assert {run.label for run in plan.runs} == {"sp", "mup", "cosine", "mqa"}
    assert plan.published == {"cosine": "yes", "mqa": "yes"}
    plain = {run.run_id for run in study(replicas=2).runs}
    assert plain <= {run.run_id for run in plan.runs}  # the same folder goes on
    assert {run.config.science.seed for run in plan.runs} == {0, 1}


def test_sp_and_mup_are_one_at_the_base_width_but_for_attention():
    sp, mup = (
        next(run.config.science for run in study().runs if run.label == label)
        for label in ("sp", "mup")
    )
    assert sp.model.width == mup.parametrization.base_width
    assert mup.parametrization.attention_factor(8) == 1 / 8
    assert sp.parametrization.attention_factor(8) == 8**-0.5


def test_over_depth_the_models_differ_in_layers_alone():
    """And CompleteP at the base depth is muP."""
    plan = study(over="depth", replicas=1)
    models = list(dict.fromkeys(run.config.science.model for run in plan.runs))
    assert [each.layers for each in models] == [2, 4, 8, 16]
    assert {replace(each, layers=2) for each in models} == {models[0]}
    assert {run.label for run in plan.runs} == {"mup", "completep"}
    deep = next(run.config.science for run in plan.runs if run.label == "completep")
    assert deep.parametrization.residual_factor(deep.model) == 1


@pytest.mark.parametrize(
    ("ablation", "message"),
    [
        ("swiglo", "--set ablation=swiglo: swiglo: did you mean 'swiglu'?"),
        ("mqa,", "--set ablation=mqa,: : "),
    ],
)
def test_unknown_ablation_names_the_nearest(ablation, message):
    with pytest.raises(UserError) as error:
        study(ablation=ablation)
    assert message in str(error.value)
