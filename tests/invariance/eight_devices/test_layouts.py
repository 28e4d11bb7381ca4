"""One run on several devices, by every ready layout, has the curve of one device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import records
import tiny
from jax.sharding import NamedSharding
from quick import cases
from shared_out import TOLERANCE, curve, differentiate, held, windows

from experiments.record import Status
from experiments.runs.job import Job
from experiments.training.layout_sharding import WHOLE, mesh
from experiments.training.populations.programs import programs
from experiments.training.step import recipe
from experiments.training.trainer import train
from models.mixers import _attention
from scaling.common.errors import UserError
from scaling.machines.layout import Layout

# On 2, 4 and 8 devices; what needs a model of another form is tested beside that model
LAYOUTS = {
    "data 2": ("data", "data=2"),
    "data 8": ("data", "data=8"),
    "fsdp 8": ("fsdp", "fsdp=8"),
    "fsdp 4, ZeRO 1": ("fsdp", "fsdp=4", "zero=1"),
    "fsdp 4, ZeRO 2": ("fsdp", "fsdp=4", "zero=2"),
    "fsdp 2, tensor 2": ("fsdp_tensor", "fsdp=2", "tensor=2"),
    "fsdp 2, tensor 4": ("fsdp_tensor", "fsdp=2", "tensor=4"),
    "hierarchical 2 x 2": ("hierarchical", "data=2", "fsdp=2"),
    "hierarchical 2 x 4": ("hierarchical", "data=2", "fsdp=4"),
    "sequence 8": ("sequence", "fsdp=1", "sequence=8"),
    "sequence 2, fsdp 2": ("sequence", "sequence=2", "fsdp=2"),
}
CURVES = ("fsdp 4, ZeRO 2", "fsdp 2, tensor 4")  # the others' kinds are among these or GRADIENTS
GRADIENTS = ("fsdp 2, tensor 4", "hierarchical 2 x 4", "sequence 8")
PARTS = {  # of the parameters and of the optimizer's state on each device
    "data 8": (1, 1),
    "fsdp 4, ZeRO 1": (1, 1 / 4),
    "fsdp 4, ZeRO 2": (1, 1 / 4),
    "fsdp 8": (1 / 8, 1 / 8),
    "hierarchical 2 x 4": (1 / 4, 1 / 4),
}


def fields(name: str) -> list[str]:
    layout, *axes = LAYOUTS[name]
    return [f"execution.layout.{field}" for field in (f"name={layout}", *axes)]


@pytest.mark.parametrize("name", cases(LAYOUTS, CURVES))
def test_layout_has_the_curve_of_one_device(name: str) -> None:
    alone, (state, losses) = curve()[1], curve(*fields(name))
    assert alone[-1] < alone[0] - 0.1, "the run learns, so that equal curves mean something"
    np.testing.assert_allclose(losses, alone, rtol=TOLERANCE)
    devices = tiny.config(*fields(name)).execution.layout.devices
    for leaf in jax.tree.leaves(state):
        assert len(leaf.sharding.device_set) == devices


@pytest.mark.parametrize("name", cases((*GRADIENTS, "data 8", "fsdp 8", *CURVES[:1]), GRADIENTS))
def test_layout_has_the_gradients_of_one_device(name: str) -> None:
    alone, shared = differentiate(), differentiate(*fields(name))
    for ours, theirs in zip(jax.tree.leaves(shared), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE * float(np.abs(theirs).max()))


@pytest.mark.parametrize(
    "name", cases(("sequence 2, fsdp 2", *GRADIENTS[:1]), ("sequence 2, fsdp 2",))
)
def test_documents_have_the_gradients_of_one_device(name: str) -> None:
    own = ("model.separator=3",)
    assert (windows()[0] == 3).any()
    alone, shared = differentiate(*own), differentiate(*own, *fields(name))
    for ours, theirs in zip(jax.tree.leaves(shared), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=TOLERANCE * float(np.abs(theirs).max()))


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(
            ("execution.program.layers=unrolled", "execution.microbatch=4"), marks=pytest.mark.slow
        ),
        pytest.param(("execution.program.remat=block",), marks=pytest.mark.slow),
        ("execution.program.logits_chunks=4",),
        pytest.param(("optimizer.name=muon",), marks=pytest.mark.slow),
    ],
)
def test_programs_and_optimizers_are_shared_out_too(program: tuple[str, ...]) -> None:
    alone = curve(*(field for field in program if field.startswith("optimizer")))[1]
    losses = curve(*program, *fields("fsdp 2, tensor 2"))[1]
    np.testing.assert_allclose(losses, alone, rtol=TOLERANCE)


@pytest.mark.parametrize("name", cases(PARTS, ("fsdp 4, ZeRO 2",)))
def test_each_device_holds_its_part_of_the_state(name: str) -> None:
    (params, optimizer), (state, _) = PARTS[name], curve(*fields(name))
    # a little more: gains of heads are whole on each
    assert params <= held(state.params) < params + 0.02
    assert optimizer <= held(state.optimizer) < optimizer + 0.02


# --- attention by a kernel, of which each device runs its own sequences and heads ---


@pytest.mark.parametrize("kv_heads", [2, 4])
def test_a_kernel_shared_out_has_the_numbers_of_one_device(
    kv_heads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = partial(_attention.splash, interpret=True)
    monkeypatch.setattr(_attention, "BACKENDS", {**_attention.BACKENDS, "splash": kernel})
    layout = Layout("fsdp_tensor", tensor=4).over(8)
    q, k, v = (
        jax.random.normal(jax.random.key(heads), (4, 128, heads, 8))
        for heads in (4, kv_heads, kv_heads)
    )

    def loss(backend: str, layout: Layout, *heads: jax.Array) -> jax.Array:
        return jnp.sin(_attention.attend(*heads, 0.4, backend, layout)).sum()

    whole = NamedSharding(mesh(layout, jax.devices()), WHOLE)
    found, alone = (
        jax.jit(jax.value_and_grad(partial(loss, *how), argnums=(0, 1, 2)), **options)(q, k, v)
        for how, options in (
            (("splash", layout), {"in_shardings": whole}),
            (("xla", Layout()), {}),
        )
    )
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), found, alone)


# --- the trainer: a run goes on under another layout, on another number of devices ---

RUN = ("evaluation.times=3", "model.heads=4", "model.kv_heads=4", "batch.sequences=8")
WAYS = [
    ("fsdp 8", "data 2"),
    pytest.param(("data 2", None, "hierarchical 2 x 2"), marks=pytest.mark.slow),
]


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """take(n) leaves this process the first n devices."""
    devices = jax.devices()

    def take(count: int) -> None:
        monkeypatch.setattr(jax, "devices", lambda: devices[:count])
        monkeypatch.setattr(jax, "device_count", lambda: count)
        programs.cache_clear()

    yield take
    programs.cache_clear()


def interrupted_after(dispatches: int) -> Callable[[], bool]:
    asked = iter(range(1, 1000))
    return lambda: next(asked) == dispatches


def rows(job: Job) -> list[dict[str, float]]:
    return [
        {name: row[name] for name in ("step", "tokens", "loss", "valid_loss") if name in row}
        for row in records.means(job.folder)
    ]


@pytest.mark.parametrize("way", WAYS)
def test_run_goes_on_under_other_layouts(
    way: Sequence[str | None], tmp_path: Path, only: Callable[[int], None]
) -> None:
    texts = tiny.write_texts(tmp_path / "texts")
    corpus = tiny.OneCorpus(texts, tmp_path / "cache")
    alone = tiny.job(tmp_path / "alone", *RUN)
    only(1)
    assert train(alone, corpus) is Status.COMPLETED
    for name in way:
        layout = fields(name) if name else []
        job = tiny.job(tmp_path / "shared", *RUN, *layout)
        only(job.run.config.execution.layout.devices)
        last = name == way[-1]
        stop = (lambda: False) if last else interrupted_after(1)
        assert train(job, corpus, interrupted=stop) is (
            Status.COMPLETED if last else Status.STARTED
        )
    assert job.run.run_id == alone.run.run_id, "a layout is no part of what a run is"
    assert len(rows(job)) == len(rows(alone))
    for row, other in zip(rows(job), rows(alone), strict=True):
        assert row == pytest.approx(other, rel=TOLERANCE)


def test_axes_that_are_not_the_devices_are_refused(only: Callable[[int], None]) -> None:
    only(8)
    with pytest.raises(UserError, match="fsdp 3 is not the 8 devices there are"):
        recipe(tiny.config("execution.layout.name=fsdp", "execution.layout.fsdp=3"))
