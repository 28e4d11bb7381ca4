"""Facts known before training are said: unread fields, bases, moved designs."""

from __future__ import annotations

import pytest
import tiny

from experiments import studies
from experiments.config.overrides import override
from experiments.config.run import RunConfig
from experiments.plan.grids import configs, grid, product
from experiments.plan.notes import bases, notes, same_science, unread
from experiments.plan.run import Run


def made(base: tuple[str, ...], **fields: list[object]) -> list[Run]:
    rows = grid({path.replace("__", "."): values for path, values in fields.items()})
    return [Run(config, 0) for config in configs(tiny.config(*base), rows)]


@pytest.mark.parametrize(
    ("base", "path", "values", "said"),
    [
        (["optimizer.name=sgd"], "optimizer__beta2", [0.9, 0.95], "under optimizer.name=sgd"),
        ([], "optimizer__momentum", [0.8, 0.9], "under optimizer.name=adamw"),
        ([], "schedule__power_exponent", [-0.5, -0.4], "under schedule.name=linear"),
        ([], "model__experts_active", [1, 3], "under model.experts=0"),
        ([], "evaluation__ema_decay", [0.5, 0.9], "under evaluation.weights=last"),
        ([], "parametrization__base_width", [8, 16], "under parametrization.name=sp"),
        ([], "data__epochs", [1, 2], "which changes no run"),
        ([], "execution__keep", [1, 2], "which changes no result"),
    ],
)
def test_a_sweep_over_what_nothing_reads_is_refused(base, path, values, said) -> None:
    found = same_science(made(tuple(base), **{path: values}))
    assert found is not None
    name = path.replace("__", ".")
    assert found.startswith("runs 1 and 2 of the study are the same science: they differ in")
    assert f"{name}={values[0]} and {values[1]}" in found
    assert said in found
    assert "\n" not in found


def test_runs_of_several_sciences_pass() -> None:
    assert same_science(made((), seed=[0, 1], optimizer__beta2=[0.9, 0.95])) is None


def test_an_unread_field_is_told_where_it_is_set_and_no_run_reads_it() -> None:
    sgd = tiny.config("optimizer.name=sgd", "optimizer.beta2=0.9")
    (line,) = unread([sgd])
    assert line == "optimizer.beta2=0.9, which nothing reads under optimizer.name=sgd"
    assert not list(unread([sgd, override(sgd, ["optimizer.name=adamw"])]))
    usual = tiny.config("optimizer.name=sgd")
    assert not list(unread([usual]))
    (line,) = unread([usual], ["optimizer.beta2"])  # named, at its default
    assert line.startswith("optimizer.beta2=0.95, ")


def test_widths_below_their_base_are_told_where_a_table_scales_with_them() -> None:
    run = override(RunConfig(), ["model.width=32", "parametrization.name=mup"])
    wide, sp = (override(run, [text]) for text in ("model.width=64", "parametrization.name=sp"))
    line, *_ = bases([run, run, wide, sp])
    assert line.startswith("model.width=32 is below parametrization.base_width=64")
    assert not list(bases([sp]))


MUP = ("parametrization.name=mup", "parametrization.base_width=16")


def test_a_side_that_does_not_grow_is_told_until_its_base_is_known() -> None:
    rows = product(grid({"model.width": [16, 64]}), grid({"model.ffn": [64]}))
    found = list(configs(tiny.config(*MUP), rows))
    ffn, attention = bases(found)
    assert ffn.startswith("model.ffn does not grow with model.width")
    assert "a base of 16 to 64; set parametrization.base_ffn" in ffn
    assert attention.startswith("model.heads * head_dim does not grow with model.width")
    known = ["parametrization.base_ffn=64", "parametrization.base_attention=16"]
    assert not list(bases([override(config, known) for config in found]))
    (one, _) = bases(found[1:])  # of one width nothing is compared; the base is said
    assert one.startswith("model.ffn is taken as 16 at parametrization.base_width=16")


def test_an_override_that_moves_a_design_says_by_how_much() -> None:
    assert not [line for line in notes(studies.load("isoflop")) if "design" in line]
    (line,) = [
        line for line in notes(studies.load("isoflop", ["model.mlp=swiglu"])) if "design" in line
    ]
    assert line.startswith(
        "the budgets are those of the design, the runs are not: params_active 1."
    )
    assert "tokens 1 times, flops_6nd 1." in line
    (line,) = [
        line
        for line in notes(studies.load("quickstart", ["budget.tokens=51200"]))
        if "values" in line
    ]
    assert line == "budget.tokens=51200 in all runs, where the design has 18 values"
