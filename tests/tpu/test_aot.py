"""Programs as libtpu compiles them for four slices: what they exchange, and what they take.

    make test-tpu-aot

A new libtpu may lay a program out otherwise: look at what changed, then --update-golden.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

from experiments.config import BatchConfig, Execution, RunConfig, Science
from experiments.platforms import resolve, step_of
from models.config import Program as Layers
from models.config import TransformerConfig
from scaling.accounting import params_total
from scaling.communication import collectives, totals
from scaling.errors import UserError
from scaling.layout import Layout
from tpu.compiler import NoRoom, Outcome, Program, compiled
from tpu.topologies import topology

pytestmark = [
    pytest.mark.tpu_aot,
    pytest.mark.skipif(find_spec("libtpu") is None, reason="libtpu is not installed"),
]

LAYERS, STEPS = 3, 4
SLICES = {
    "v5e:2x2": Layout("data"),
    "v5e:4x4": Layout("fsdp_tensor", tensor=4),
    "v5p:2x2x2": Layout("fsdp"),
    "v6e:2x4": Layout("sequence", sequence=2),
}
BLOCK = "_blocks/"  # in the source of what is exchanged within a layer


def _config(layout: Layout, sequences: int = 16, seq_len: int = 256) -> RunConfig:
    model = TransformerConfig(
        layers=LAYERS, width=256, heads=4, kv_heads=4, head_dim=64, ffn=1024, vocab_size=1024
    )
    return RunConfig(
        Science(model=model, precision="bfloat16", batch=BatchConfig(sequences, seq_len)),
        Execution(Layers(layers="scan", remat="block"), layout, steps_per_dispatch=STEPS),
    )


def _summary(program: Program) -> dict[str, Any]:
    sent: Counter[str] = Counter()
    for one in program.collectives:
        sent[one.kind] += round(one.sent)
    return {
        "axes": program.axes,
        "microbatch": program.microbatch,
        "arguments": program.arguments,
        "temporaries": program.temporaries,
        "peak": program.peak,
        "sent": dict(sorted(sent.items())),
    }


@pytest.fixture(scope="module")
def programs() -> dict[str, Program]:
    found = {name: compiled(_config(layout), topology(name)) for name, layout in SLICES.items()}
    assert all(isinstance(program, Program) for program in found.values())
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("name", SLICES)
def test_the_program_is_the_one_agreed_to(
    name: str, programs: dict[str, Program], golden: Callable[..., None]
) -> None:
    golden(f"aot_{name.replace(':', '_')}", _summary(programs[name]), rel=0.1)


@pytest.mark.parametrize("name", SLICES)
def test_nothing_is_counted_wrongly_or_laid_out_anew(
    name: str, programs: dict[str, Program]
) -> None:
    program = programs[name]
    assert program.unknown_loops == 0
    assert program.rematerialised == 0
    in_layers = {one.times for one in program.collectives if BLOCK in one.source}
    assert in_layers <= {1, LAYERS}  # of data alone, gradients are summed after the loop
    assert (LAYERS in in_layers) == (name != "v5e:2x2")
    assert all(one.group > 1 or one.kind == "collective-permute" for one in program.collectives)


def test_a_chip_holds_its_part_of_the_state(programs: dict[str, Program]) -> None:
    """Parameters and Adam's two moments in float32; arrays are padded to tiles, by up to 5 %."""
    batch = BatchConfig(16, 256)
    state = 3 * 4 * params_total(_config(Layout()).science.model.dims(256))
    for name, ways in (("v5e:2x2", 1), ("v5p:2x2x2", 8), ("v6e:2x4", 4)):
        program = programs[name]
        split = SLICES[name].over(topology(name).devices).batch_ways
        batches = 4 * STEPS * batch.sequences * (batch.seq_len + 1) / split
        assert program.arguments == pytest.approx(state / ways + batches, rel=0.05)
        assert program.aliased == pytest.approx(state / ways, rel=0.05)


def test_weights_are_gathered_as_the_formulas_say(programs: dict[str, Program]) -> None:
    """In the forward pass and again with remat, in bfloat16; gains are all that is besides."""
    program, config = programs["v5p:2x2x2"], _config(SLICES["v5p:2x2x2"])
    layout = config.execution.layout.over(8)
    dims = config.science.model.dims(config.science.batch.seq_len)
    step = step_of(config.science, resolve(config, "tpu", 8))
    expected = totals(collectives(dims, step, layout), layout)["all_gather", "fsdp"]
    found = sum(one.sent for one in program.collectives if one.kind == "all-gather")
    assert found == pytest.approx(expected, rel=0.02)


def test_a_program_without_room_is_told() -> None:
    found: Outcome = compiled(_config(Layout(), sequences=512, seq_len=2048), topology("v5e:1x1"))
    assert isinstance(found, NoRoom)
    assert "exceeds available HBM (15.75G)" in found.message


def test_heads_that_do_not_divide_are_told() -> None:
    config = _config(Layout("fsdp_tensor", tensor=8))
    with pytest.raises(UserError, match=r"execution.layout.tensor: model.heads=4 does not divide"):
        compiled(config, topology("v5e:2x4"))
