"""Members of a population, placed on several devices, train as alone."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import records
import tiny
from curves import batches
from quick import cases

from experiments import record
from experiments.record import Status
from experiments.runs.job import Job
from experiments.training.hypers import Hypers, hypers
from experiments.training.populations.device_mesh import mesh
from experiments.training.populations.programs import Programs, programs
from experiments.training.populations.throughput import measure
from experiments.training.step import TrainState, recipe
from experiments.training.trainer import train, train_population

K, STEPS, CHUNK, TOLERANCE = 8, 100, 25, 1e-5
COUNTS = cases((1, 2, 4, 8), quick=(1, 8))
SICK = 3
RECIPE = recipe(tiny.config())
LENGTHS = (100, 100, 93, 100, 60, 100, 75, 100)


def member(k: int) -> Hypers:
    rate, tokens = 5e-4 * (k + 1), LENGTHS[k] * 64
    return hypers(tiny.config(f"optimizer.learning_rate={rate}", f"budget.tokens={tokens}").science)


def stream(k: int) -> np.ndarray:
    """The batches of member k, [STEPS, B, T+1]."""
    return np.concatenate([batches(seed) for seed in range(5 * k, 5 * k + 5)])[:STEPS]


def curve(compiled: Programs, members: list[Hypers], streams: list[np.ndarray]) -> Any:
    """The last state and the losses [K, STEPS] of a population; [STEPS] of one run."""
    compiled_alone = programs(RECIPE)
    leaves = compiled.join(members)
    state = compiled.join(
        [compiled.place(compiled_alone.init(own), k) for k, own in enumerate(members)]
    )
    losses = []
    for start in range(0, STEPS, CHUNK):
        part = compiled.join([own[start : start + CHUNK] for own in streams])
        state, metrics = compiled.chunk(state, leaves, part)
        losses.append(np.asarray(metrics["loss"]))
    return state, np.concatenate(losses, axis=-1)


@cache
def population(count: int, sick: bool = False) -> tuple[TrainState, np.ndarray]:
    members = [member(k) for k in range(K)]
    if sick:
        members[SICK] = members[SICK].replace(learning_rate=jnp.float32(1e20))
    compiled = programs(RECIPE, K, tuple(jax.devices()[:count]))
    found: tuple[TrainState, np.ndarray] = curve(compiled, members, [stream(k) for k in range(K)])
    return found


@cache
def alone(k: int) -> np.ndarray:
    losses: np.ndarray = curve(programs(RECIPE), [member(k)], [stream(k)])[1]
    return losses


def test_there_are_eight() -> None:
    assert jax.device_count() == 8


@pytest.mark.parametrize("count", COUNTS)
def test_member_has_the_curve_of_its_solo_run(count: int) -> None:
    state, losses = population(count)
    for leaf in jax.tree.leaves(state):
        assert len(leaf.sharding.device_set) == count
        assert leaf.addressable_shards[0].data.shape[0] == K // count
    for k in range(K):
        np.testing.assert_allclose(losses[k], alone(k), rtol=TOLERANCE)
        assert (losses[k, LENGTHS[k] :] == 0).all()
    assert list(np.asarray(state.step)) == list(LENGTHS)
    assert len(set(losses[:, 10])) == K


@pytest.mark.parametrize("count", COUNTS)
def test_diverged_member_changes_no_bit_of_the_others(count: int) -> None:
    (states, losses), healthy = population(count, sick=True), population(count)
    assert bool(states.diverged[SICK])
    assert int(states.step[SICK]) < 10
    for leaf, other in zip(
        jax.tree.leaves((states, losses)), jax.tree.leaves(healthy), strict=True
    ):
        np.testing.assert_array_equal(*(np.delete(x, SICK, 0) for x in (leaf, other)))


@pytest.mark.parametrize("count", [2, 8])
def test_devices_exchange_nothing_and_the_state_is_donated(count: int) -> None:
    compiled = programs(RECIPE, K, tuple(jax.devices()[:count]))
    leaves = compiled.join([member(k) for k in range(K)])
    state = compiled.join([programs(RECIPE).init(member(k)) for k in range(K)])
    part = compiled.join([stream(k)[:CHUNK] for k in range(K)])
    text = compiled.chunk.lower(state, leaves, part).compile().as_text()
    assert f"num_partitions={count}" in text
    exchange = "all-reduce|all-gather|all-to-all|reduce-scatter|collective|send|recv"
    assert not re.findall(rf"= \S+ ({exchange})\S*\(", text)
    compiled.chunk(state, leaves, part)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))


def test_members_are_joined_and_taken_out_unchanged() -> None:
    compiled = programs(RECIPE, 4, tuple(jax.devices()[:2]))
    trees = [{"a": jnp.arange(3.0) + k, "b": jnp.int32(k)} for k in range(4)]
    placed = [compiled.place(tree, k) for k, tree in enumerate(trees)]
    assert [tree["a"].device.id for tree in placed] == [0, 0, 1, 1]
    joined = compiled.join(placed)
    for k, tree in enumerate(trees):
        found = compiled.part(joined, k)
        assert found["a"].device == jax.devices()[0]  # where the solo programs run
        jax.tree.map(np.testing.assert_array_equal, found, tree)


@pytest.mark.parametrize(
    ("members", "devices", "used"),
    [(8, 8, 8), (16, 8, 8), (3, 8, 3), (12, 8, 6), (6, 4, 3), (7, 4, 1), (5, 1, 1)],
)
def test_members_are_shared_out_evenly(members: int, devices: int, used: int) -> None:
    assert mesh(members, jax.devices()[:devices]).size == used


def test_devices_are_measured_from_one_member_on_each() -> None:
    curve = measure(tiny.config(), 3)
    assert sorted(curve) == list(range(1, K + 1))
    assert all(curve[members] == curve[K] for members in range(2, K))


# --- the trainer: records, checkpoints, and another number of devices ---

RUNS = (
    ("evaluation.times=3",),
    ("optimizer.learning_rate=0.001", f"budget.tokens={21 * 64}"),
    ("seed=1", "evaluation.times=2", f"budget.tokens={40 * 64}"),
    ("optimizer.learning_rate=1e30",),
)
ENDS = [Status.COMPLETED] * 3 + [Status.DIVERGED]


def rows(job: Job) -> list[dict[str, float]]:
    return [
        {name: row[name] for name in ("step", "tokens", "loss", "valid_loss") if name in row}
        for row in records.means(job.folder)
    ]


def final_loss(job: Job) -> float | None:
    return record.read(job.folder, record.RunSummary).metrics.loss


def interrupted_after(dispatches: int) -> Any:
    asked = iter(range(1, 1000))
    return lambda: next(asked) == dispatches


def on(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """take(n) leaves this process the first n devices."""
    devices = jax.devices()[:count]
    monkeypatch.setattr(jax, "local_devices", lambda: devices)
    programs.cache_clear()


def test_population_goes_on_on_another_number_of_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = tiny.write_texts(tmp_path / "texts")
    corpus = tiny.OneCorpus(texts, tmp_path / "cache")
    solo, together = (
        [tiny.job(tmp_path / name, *assignments) for assignments in RUNS]
        for name in ("solo", "together")
    )
    for job in solo:
        train(job, corpus)
    states = [Status.STARTED, Status.STARTED, Status.STARTED, Status.DIVERGED]
    # four members on four devices
    assert train_population(together, corpus, interrupted=interrupted_after(2)) == states
    on(monkeypatch, 2)
    left = together[:3]  # three members, two devices: no even share, so one
    states = [Status.STARTED, Status.COMPLETED, Status.STARTED]
    assert train_population(left, corpus, interrupted=interrupted_after(2)) == states
    left = [together[0], together[2]]
    assert train_population(left, corpus) == [Status.COMPLETED] * 2
    assert [record.run_status(job.folder) for job in together] == ENDS
    for ours, theirs in zip(together, solo, strict=True):
        assert len(rows(ours)) == len(rows(theirs))
        for row, other in zip(rows(ours), rows(theirs), strict=True):
            assert row == pytest.approx(other, rel=TOLERANCE)
    final, expected = ([final_loss(job) for job in made[:3]] for made in (together, solo))
    assert final == pytest.approx(expected, rel=TOLERANCE)
