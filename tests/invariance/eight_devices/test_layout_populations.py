"""Members of a population, each over several devices by a layout, have the curves of solo runs."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jax
import numpy as np
import pytest
import records
import tiny
from quick import cases
from shared_out import MODEL, TOLERANCE, made, windows

from experiments.record import Status
from experiments.training.hypers import Hypers, hypers
from experiments.training.populations.programs import programs
from experiments.training.step import Recipe, TrainState
from experiments.training.trainer import train, train_population

STEPS, CHUNK = (20, 13, 20), 10  # of each member
EXPERTS = ("model.experts=4", "model.mlp=swiglu")
# On 2, 4 and 8 devices; of three members, two blocks have two and one
LAYOUTS = {
    "data 2": ("name=data", "data=2"),
    "fsdp 2, two blocks": ("name=fsdp", "fsdp=2", "population=2"),
    "fsdp 2, tensor 2, two blocks": ("name=fsdp_tensor", "fsdp=2", "tensor=2", "population=2"),
    "expert 2, fsdp 2, two blocks": ("name=expert", "expert=2", "fsdp=2", "population=2"),
    "sequence 4, two blocks": ("name=sequence", "fsdp=1", "sequence=4", "population=2"),
    "stage 2": ("name=pipeline", "stage=2", "data=1"),
}
QUICK = "fsdp 2, two blocks"


def fields(name: str) -> list[str]:
    return [f"execution.layout.{field}" for field in LAYOUTS[name]]


def science(name: str) -> tuple[str, ...]:
    return EXPERTS if "expert" in name else ()


def member(k: int, model: tuple[str, ...]) -> Hypers:
    own = (f"optimizer.learning_rate={0.002 * (k + 1)}", f"budget.tokens={STEPS[k] * 8 * 16}")
    own = (*(field for field in MODEL if not field.startswith("optimizer")), *own, f"seed={k}")
    return hypers(tiny.config(*own, *model).science)


def train_together(
    plan: Recipe, members: list[Hypers], streams: list[np.ndarray]
) -> tuple[TrainState, np.ndarray]:
    """The last state of the last member, and the losses [K, S]."""
    devices = tuple(jax.devices()[: plan.spec.layout.devices_in_all])
    compiled, alone = programs(plan, len(members), devices), programs(plan, 1, devices)
    state, leaves = compiled.join([alone.init(own) for own in members]), compiled.join(members)
    losses = []
    for start in range(0, max(STEPS), CHUNK):
        part = compiled.join([own[start : start + CHUNK] for own in streams])
        state, metrics = compiled.chunk(state, leaves, part)
        losses.append(np.atleast_2d(np.asarray(metrics["loss"]))[: len(members)])
    last: TrainState = compiled.part(state, len(members) - 1)
    return last, np.concatenate(losses, axis=-1)


def stream(k: int) -> np.ndarray:
    return np.roll(windows(), k, axis=0)


@cache
def alone(k: int, model: tuple[str, ...]) -> tuple[TrainState, np.ndarray]:
    return train_together(made(*model), [member(k, model)], [stream(k)])


@pytest.mark.parametrize(
    "name",
    cases(LAYOUTS, quick=(QUICK,)),
)
def test_member_under_a_layout_has_the_curve_of_its_solo_run(name: str) -> None:
    model = science(name)
    members = [member(k, model) for k in range(3)]
    plan = made(*model, *fields(name))
    last, losses = train_together(plan, members, [stream(k) for k in range(3)])
    for k, steps in enumerate(STEPS):
        np.testing.assert_allclose(losses[k], alone(k, model)[1][0], rtol=TOLERANCE)
        assert (losses[k, steps:] == 0).all()
        assert (losses[k, :steps] > 0).all()
    for ours, theirs in zip(
        jax.tree.leaves(last.params), jax.tree.leaves(alone(2, model)[0].params), strict=True
    ):
        assert len(ours.sharding.device_set) == plan.spec.layout.devices_in_all
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_population_under_a_layout_is_interrupted_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = tiny.OneCorpus(tiny.write_texts(tmp_path / "texts"), tmp_path / "cache")
    layout = ("batch.sequences=8", *fields(QUICK))
    runs = [
        ("seed=1",),
        ("optimizer.learning_rate=0.001", f"budget.tokens={21 * 128}"),
        ("evaluation.times=2",),
        ("optimizer.learning_rate=1e30",),
    ]
    devices = jax.devices()[:4]
    solo = [tiny.job(tmp_path / "solo", "batch.sequences=8", *own) for own in runs]
    together = [tiny.job(tmp_path / "together", *layout, *own) for own in runs]
    for job in solo:
        train(job, corpus)
    monkeypatch.setattr(jax, "devices", lambda: devices)
    monkeypatch.setattr(jax, "device_count", lambda: len(devices))
    programs.cache_clear()
    asked = iter(range(100))
    first = train_population(together, corpus, interrupted=lambda: next(asked) == 1)
    assert first[:1] == [Status.STARTED]
    assert first[3] is Status.DIVERGED
    left = [job for job, status in zip(together, first, strict=True) if status is Status.STARTED]
    assert set(train_population(left, corpus)) == {Status.COMPLETED}
    for ours, theirs in zip(together[:3], solo[:3], strict=True):
        rows, others = records.means(ours.folder), records.means(theirs.folder)
        assert [row["loss"] for row in rows if "loss" in row] == pytest.approx(
            [row["loss"] for row in others if "loss" in row], rel=TOLERANCE
        )
    programs.cache_clear()
