from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest
import tiny

from experiments.__main__ import main
from experiments.config.overrides import override
from experiments.training.coordinate_check import (
    fixed_sides,
    measure,
    probe,
    resize,
    rule_rows,
)
from experiments.training.hypers import hypers
from experiments.training.step import recipe
from models.module import Spec
from models.transformer import activations, apply, init
from scaling.common.errors import UserError
from scaling.machines.program import PLAIN
from scaling.parametrization import tables
from scaling.parametrization.tables import Rule

BATCHES = np.random.default_rng(0).integers(0, 256, (2, 4, 17), dtype=np.int32)
PLACES = {
    "embedded", "attention/query", "attention/key", "attention/value", "attention/logits",
    "attention/out", "mlp/in", "mlp/out", "stream", "logits",
}  # fmt: skip


@pytest.fixture(scope="module")
def measured():
    config = tiny.config("model.layers=2")
    return list(measure(config, BATCHES, steps=2))


def test_every_place_of_every_layer_seed_and_step_is_measured(measured):
    sizes = [row for row in measured if row.quantity == "size"]
    assert {row.place for row in sizes} == PLACES
    outside = len({"embedded", "logits"})
    assert len(sizes) == (outside + (len(PLACES) - outside) * 2) * 2 * 3
    assert len(sizes) == len([row for row in measured if row.quantity == "change"])
    assert {row.layer for row in sizes if row.place == "stream"} == {0, 1}
    assert {row.layer for row in sizes if row.place == "logits"} == {-1}
    assert {row.seed for row in sizes} == {0, 1}
    assert {row.step for row in sizes} == {0, 1, 2}
    assert {(row.width, row.layers, row.head_dim) for row in measured} == {(16, 2, 8)}
    assert {row.parametrization for row in measured} == {"sp"}


def test_nothing_has_changed_before_the_first_step_and_everything_after_it(measured):
    changes = [row for row in measured if row.quantity == "change"]
    assert {row.value for row in changes if row.step == 0} == {0.0}
    assert min(row.value for row in changes if row.step == 1) > 0
    assert min(row.value for row in measured if row.quantity == "size") > 0


RULE = Rule(0.5, multiplier=2.0, learning_rate=3.0, weight_decay=5.0, epsilon=7.0)
RATE = 0.01
ADAMW = {"init": 1.0, "rate": 2 * 3 * RATE, "epsilon": 7 / 2, "decay": 3 * 5 * RATE}
IN_FORCE = {  # by hand, of w = 2 theta
    "adamw": ADAMW,
    "schedule_free_adamw": ADAMW,  # its first step is that of its z
    "lion": {"init": 1.0, "rate": 2 * 3 * RATE, "decay": 3 * 5 * RATE},
    # the rate is that of Adam over epsilon, and the gradient passes the multiplier twice
    "sgd": {"init": 1.0, "rate": 4 * 3 / 7 * RATE, "decay": 3 * 5 * RATE},
}


@pytest.mark.parametrize("name", IN_FORCE)
def test_each_rule_in_force_is_measured_by_itself(name, monkeypatch):
    """Whatever the run's own decay, epsilon and clipping are."""
    own = ("weight_decay=0.3", "epsilon=0.01", "clip_norm=0.001", f"learning_rate={RATE}")
    assignments = (f"optimizer.{text}" for text in (f"name={name}", *own))
    untied, constant = "model.embeddings=untied", "schedule.name=constant"
    science = tiny.config(untied, constant, *assignments)
    sp = tables.TABLES["sp"]
    changed = replace(sp, rows={**sp.rows, "readout": lambda w, s: RULE})
    monkeypatch.setitem(tables.TABLES, "sp", changed)
    made, leaves = recipe(science), hypers(science.science)
    found = list(rule_rows(made, 0, jax.device_get(jax.jit(partial(probe, made))(leaves))))
    readout = {row.quantity: row.value for row in found if row.place == "readout"}
    assert readout == pytest.approx(IN_FORCE[name] | {"multiplier": 2.0}, rel=1e-4)
    assert not [row for row in found if row.quantity == "decay" and row.role == "gain"]


def test_rules_that_a_weight_has_not_have_no_row(measured):
    rules = {(row.place, row.quantity) for row in measured if row.role}
    assert ("mlp/in", "decay") in rules
    assert ("final_norm/gain", "rate") in rules
    assert ("final_norm/gain", "decay") not in rules
    assert ("final_norm/gain", "init") not in rules
    assert {row.place for row in measured if row.quantity == "factor"} == {
        "attention", "residual", "tied",
    }  # fmt: skip


def test_activations_are_those_of_the_forward_pass_however_it_is_compiled():
    model = replace(tiny.config("model.layers=2").science.model, kv_heads=1)
    tokens = BATCHES[0, :, :-1]
    scanned = replace(PLAIN, layers="scan")
    programs = [PLAIN, scanned, replace(scanned, remat="block")]
    specs = [Spec(model, program=program) for program in programs]
    found = []
    for spec in specs:
        params = jax.jit(partial(init, spec, 16))(jax.random.key(0))
        taps, logits = jax.jit(lambda p, s=spec: (activations(s, p, tokens), apply(s, p, tokens)))(
            params
        )
        np.testing.assert_array_equal(taps["logits"], logits)
        blocks = [
            taps.get(f"blocks_{i}") or jax.tree.map(lambda x, i=i: x[i], taps["blocks"])
            for i in (0, 1)
        ]
        found.append((taps["embedded"], blocks))
    for other in found[1:]:
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), found[0], other)


def test_a_model_that_is_not_asked_for_its_activations_computes_none():
    spec = Spec(tiny.config().science.model)
    params = jax.jit(partial(init, spec, 16))(jax.random.key(0))
    plain = jax.make_jaxpr(partial(apply, spec))(params, BATCHES[0, :, :-1])
    asked = jax.make_jaxpr(partial(activations, spec))(params, BATCHES[0, :, :-1])
    assert str(plain).count("dot_general") < str(asked).count("dot_general")
    assert len(plain.out_avals) == 1


def test_a_wider_model_has_larger_or_more_heads():
    config = tiny.config()
    larger = resize(config, "head_dim", width=32).science.model
    more = resize(config, "heads", width=32).science.model
    assert (larger.heads, larger.head_dim, larger.ffn) == (2, 16, 64)
    assert (more.heads, more.kv_heads, more.head_dim) == (4, 4, 8)
    assert resize(config, "heads", layers=5).science.model == replace(
        config.science.model, layers=5
    )
    with pytest.raises(
        UserError, match=r"^width 20: model\.heads=2 times 1\.25 is no whole number"
    ):
        resize(config, "heads", width=20)


def test_a_side_that_a_study_keeps_is_kept():
    """So does a base that says it, of a study with one width."""
    narrow, wide, even = (
        tiny.config(f"model.width={width}", f"model.ffn={ffn}", f"model.heads={heads}")
        for width, ffn, heads in ((16, 64, 2), (32, 64, 4), (32, 128, 4))
    )
    assert fixed_sides([narrow, wide]) == {"ffn"}
    assert not fixed_sides([narrow, even]) and not fixed_sides([narrow])
    based = tiny.config("parametrization.base_width=8", "parametrization.base_ffn=16")
    kept = override(based, ["parametrization.base_ffn=32", "parametrization.base_attention=16"])
    assert not fixed_sides([based]) and fixed_sides([kept]) == {"ffn", "attention"}
    grown = resize(narrow, "head_dim", fixed_sides([narrow, wide]), width=32).science.model
    assert (grown.ffn, grown.head_dim) == (64, 16)


def test_the_command_measures_and_the_check_judges(tmp_path, study_file, cache, capsys):
    """A rate that is not the table's: both commands as a user types them."""
    from analysis.__main__ import main as analyse

    rate = ["--set", "parametrization.learning_rate_powers.hidden=-1"]
    places = ["--out", str(tmp_path / "out"), "--cache", str(cache)]
    arguments = ["coordinates", study_file, *places, *rate, "--seeds", "2", "--steps", "1"]
    assert main([*arguments, "--widths", "16,64"]) == 0
    table = tmp_path / "out" / "coordinates.csv"
    assert str(table) in capsys.readouterr().out
    assert analyse(["coordinate-check", str(table)]) == 1
    assert "broken rule: hidden learning rate\n" in capsys.readouterr().out
    assert table.with_suffix(".png").is_file()
    assert main([*arguments, "--widths", "16", "--depths", "2"]) == 2
    assert "not both" in capsys.readouterr().err
    for widths in ("64", "64,128,64"):
        assert main([*arguments, "--widths", widths]) == 2
        said = f"--widths {widths}: give two sizes or more, each once"
        assert said in capsys.readouterr().err
    assert main([*arguments[:-1], "0"]) == 2
    assert "--steps 0: must be at least 1" in capsys.readouterr().err
