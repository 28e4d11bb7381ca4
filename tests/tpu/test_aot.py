"""Programs as libtpu compiles them: what four slices exchange and take, and every part for one.

    make test-tpu-aot

A new libtpu may lay a program out otherwise: look at what changed, then --update-golden.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import pytest

from experiments.config.run import BatchConfig, Execution, RunConfig, Science
from experiments.devices.resolve import resolve, step_of
from models import part
from models.config import TransformerConfig
from scaling.common import plugins
from scaling.common.errors import UserError
from scaling.counting.formulas import params_total
from scaling.machines.communication import collectives, totals
from scaling.machines.layout import Layout
from scaling.machines.program import Program as Layers
from tpu.aot.compiler import CompiledProgram, NoRoom, Outcome, compiled
from tpu.aot.topologies import topology

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


def _config(layout: Layout, vocab_size: int = 1024) -> RunConfig:
    model = TransformerConfig(
        layers=LAYERS, width=256, heads=4, kv_heads=4, head_dim=64, ffn=1024, vocab_size=vocab_size
    )
    return RunConfig(
        Science(model=model, precision="bfloat16", batch=BatchConfig(sequences=16, seq_len=256)),
        Execution(Layers(layers="scan", remat="block"), layout, steps_per_dispatch=STEPS),
    )


def _summary(program: CompiledProgram) -> dict[str, Any]:
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
def programs() -> dict[str, CompiledProgram]:
    found = {name: compiled(_config(layout), topology(name)) for name, layout in SLICES.items()}
    assert all(isinstance(program, CompiledProgram) for program in found.values())
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("name", SLICES)
def test_the_program_is_the_one_agreed_to(
    name: str, programs: dict[str, CompiledProgram], golden: Callable[..., None]
) -> None:
    golden(f"aot_{name.replace(':', '_')}", _summary(programs[name]), rel=0.1)


@pytest.mark.parametrize("name", SLICES)
def test_nothing_is_counted_wrongly_or_laid_out_anew(
    name: str, programs: dict[str, CompiledProgram]
) -> None:
    program = programs[name]
    assert program.unknown_loops == 0
    assert program.rematerialised == 0
    assert {one.times for one in program.collectives} == {1, LAYERS}
    assert all(one.group > 1 or one.kind == "collective-permute" for one in program.collectives)


@pytest.mark.parametrize(
    ("name", "ways"), [("v5e:2x2", 1), ("v5e:4x4", 16), ("v5p:2x2x2", 8), ("v6e:2x4", 4)]
)
def test_a_chip_holds_its_part_of_the_state(
    name: str, ways: int, programs: dict[str, CompiledProgram]
) -> None:
    """Parameters and Adam's two moments in float32, given over by one dispatch to the next.

    Sides are padded to tiles of 128; a part of so small a model has shorter ones.
    """
    state = 3 * 4 * params_total(_config(Layout()).science.model.dims(256)) / ways
    padding = 0.01 if ways == 1 else 0.35
    assert state < programs[name].aliased < (1 + padding) * state
    assert programs[name].arguments < 1.02 * programs[name].aliased


def test_weights_are_gathered_as_the_formulas_say(programs: dict[str, CompiledProgram]) -> None:
    """In the forward pass and again with remat, in bfloat16; gains are all that is besides."""
    program, config = programs["v5p:2x2x2"], _config(SLICES["v5p:2x2x2"])
    layout = config.execution.layout.over(8)
    dims = config.science.model.dims(config.science.batch.seq_len)
    step = step_of(config.science, resolve(config, "tpu", 8))
    expected = totals(collectives(dims, step, layout), layout)["all_gather", "fsdp"]
    found = sum(one.sent for one in program.collectives if one.kind == "all-gather")
    assert found == pytest.approx(expected, rel=0.02)


def test_a_program_without_room_is_told() -> None:
    found: Outcome = compiled(_config(Layout(), vocab_size=2**23), topology("v5e:1x1"))
    assert isinstance(found, NoRoom)
    assert "exceeds available HBM (15.75G)" in found.message


def test_heads_that_do_not_divide_are_told() -> None:
    config = _config(Layout("fsdp_tensor", tensor=8))
    with pytest.raises(UserError, match=r"model.heads=4 does not divide by"):
        compiled(config, topology("v5e:2x4"))


MODEL = TransformerConfig(
    layers=2, width=256, heads=4, kv_heads=2, head_dim=64, ffn=512, vocab_size=256
)
PARTS: dict[str, dict[str, Any]] = {
    **{f"mixer {name}": {"pattern": (name,)} for name in plugins.names("models.mixers")},
    **{
        f"ffn {name}": {"pattern": (f"attention+{name}",), "experts": 4 * (name != "mlp")}
        for name in plugins.names("models.ffn")
    },
    **{
        f"router {name}": {"experts": 4, "router": name} for name in plugins.names("models.routers")
    },
    **{f"recursion {name}": {"sharing": "cycle", "recursion": name} for name in part.RECURSIONS},
    "low rank and sparse": {"weights": "low_rank_sparse"},
    "ternary": {"quantized": "ternary"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_compiled_for_a_slice(name: str) -> None:
    """In bfloat16 with remat, parameters over two devices and tensors over two."""
    model = replace(MODEL, **PARTS[name])
    layers = "unrolled" if model.recursion != "none" else "scan"
    science = Science(
        model=model, precision="bfloat16", batch=BatchConfig(sequences=8, seq_len=256)
    )
    execution = Execution(
        Layers(layers=layers, remat="block"),
        Layout("fsdp_tensor", fsdp=2, tensor=2),
        steps_per_dispatch=2,
    )
    assert isinstance(compiled(RunConfig(science, execution), topology("v5e:2x2")), CompiledProgram)
