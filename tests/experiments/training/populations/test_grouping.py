from __future__ import annotations

from itertools import pairwise, product
from pathlib import Path

import pytest
import tiny

from experiments.config.overrides import override, paths
from experiments.config.traced import FIELDS
from experiments.training.populations.grouping import (
    ALONE,
    GAIN,
    HOST,
    LARGEST,
    alike,
    doublings,
    largest,
    plan,
    populations,
    signature,
)
from experiments.training.step import recipe

# --- the plan, from curves that are made up ---

FLAT = {1: 1.0, 2: 1.0, 4: 1.0}  # a device that does four for the price of one
LINEAR = {1: 1.0, 2: 2.0, 4: 4.0}  # one that gains nothing
SLOWER = {1: 1.0, 2: 2.5}


@pytest.mark.parametrize(
    ("steps", "curve", "sizes"),
    [
        ([10] * 8, FLAT, [4, 4]),
        ([10] * 7, FLAT, [4, 2, 1]),
        ([10] * 4, LINEAR, [1] * 4),
        ([10] * 4, SLOWER, [1] * 4),
        ([10] * 4, ALONE, [1] * 4),
        ([10] * 4, {1: 1.0, 2: 2 / GAIN + 0.01}, [1] * 4),  # too little to be sure of
        ([10] * 4, {1: 1.0, 2: 2 / GAIN - 0.01}, [2, 2]),
        ([10] * 4, {1: 1.0, 2: 1.2, 4: 3.0}, [2, 2]),  # best in the middle
        ([100, 10, 10], {1: 1.0, 2: 1.5}, [1, 2]),  # a short run beside a long one is waste
        ([100, 90, 10, 9], {1: 1.0, 2: 1.5}, [2, 2]),
        ([], FLAT, []),
    ],
)
def test_plan_costs_the_least(steps, curve, sizes) -> None:
    found = plan(steps, curve)
    if steps == [10] * 7:
        assert sorted(found) == sorted(sizes)  # in any order they cost the same
    else:
        assert found == sizes


def test_plan_is_never_dearer_than_all_alone_and_is_the_best_of_all() -> None:
    curve, steps = {1: 1.0, 2: 1.3, 4: 2.2}, [50, 41, 40, 12, 11, 10, 3]

    def cost(sizes) -> float:
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        factor = {k: s * (GAIN if k > 1 else 1) for k, s in curve.items()}
        return sum(steps[i] * factor[k] for i, k in zip(starts, sizes, strict=True))

    every = [
        sizes
        for n in range(1, len(steps) + 1)
        for sizes in product(curve, repeat=n)
        if sum(sizes) == len(steps)
    ]
    assert cost(plan(steps, curve)) == pytest.approx(min(map(cost, every)))
    assert cost(plan(steps, curve)) < sum(steps)


# --- which runs are alike ---

SAME = (*FIELDS, *(path for path in paths() if path.startswith(tuple(HOST))))
ANOTHER = dict.fromkeys(SAME, "0.25") | {
    "budget.tokens": "999",
    "seed": "9",
    "tuning.values": "9",
    "schedule.power_exponent": "-0.3",
    "evaluation.windows": "8",
    "evaluation.times": "3",
    "execution.unneeded": "freed",
    "data.source": "huggingface",
    "data.path": "elsewhere",
    "data.field": "body",
    "data.tokenizer": "bpe",
    "data.vocab_size": "999",
    "data.epochs": "9",
    "data.duplicates": "keep",
    "data.stages": "9,99",
    "data.unique_tokens": "99",
    "data.repeats": "9",
    "data.fingerprint": "0123456789abcdef",
    "execution.keep": "5",
    "execution.permanent": "8,48",
}
OTHER = (
    ["model.ffn=64"],
    ["batch.sequences=8"],
    ["batch.seq_len=8"],
    ["schedule.name=wsd"],
    ["optimizer.decay=independent"],
    ["optimizer.zeros=kept"],
    ["optimizer.rounded=int8"],
    ["tuning.method=support"],
    ["optimizer.name=lion"],
    ["evaluation.weights=ema"],
    ["schedule.decay_shape=square"],
    ["precision=bfloat16"],
    ["parametrization.name=mup"],
    ["execution.program.remat=block"],
)


@pytest.mark.parametrize("path", SAME)
def test_runs_of_one_signature_share_a_program(path) -> None:
    base = tiny.config("schedule.name=wsd", "model.experts=4", "data.path=texts")
    other = override(base, [f"{path}={ANOTHER[path]}"])
    assert other != base
    assert signature(other) == signature(base)
    assert recipe(other) == recipe(signature(base))


@pytest.mark.parametrize("assignments", OTHER)
def test_runs_of_another_program_have_another_signature(assignments) -> None:
    assert signature(tiny.config(*assignments)) != signature(tiny.config())
    assert recipe(tiny.config(*assignments)) != recipe(tiny.config())


# --- from jobs to populations ---


def jobs(count: int, *assignments: str):
    return [
        tiny.job(Path("runs"), f"seed={i}", f"budget.tokens={64 * (i + 1)}", *assignments)
        for i in range(count)
    ]


def test_groups_hold_like_runs_longest_first() -> None:
    groups = alike([*jobs(3), *jobs(2, "model.ffn=64")])
    assert [len(group) for group in groups.values()] == [3, 2]
    for group in groups.values():
        steps = [job.run.config.science.steps for job in group]
        assert all(a >= b for a, b in pairwise(steps))


def test_a_population_of_the_size_asked_for() -> None:
    (group,) = alike(jobs(5, "execution.runs_per_program=2")).values()
    assert [len(population) for population in populations(group, ALONE, workers=1)] == [2, 2, 1]
    assert [
        job for population in populations(group, ALONE, workers=1) for job in population
    ] == group


def test_every_worker_is_left_with_a_population() -> None:
    (group,) = alike([tiny.job(Path("runs"), f"seed={i}") for i in range(8)]).values()
    assert [len(populations(group, FLAT, workers)) for workers in (1, 2, 4, 8, 16)] == [
        2,
        2,
        4,
        8,
        8,
    ]


@pytest.mark.parametrize(
    ("count", "workers", "platform", "expected"),
    [
        (16, 1, "cpu", 16),
        (16, 2, "cpu", 8),
        (7, 1, "cpu", 1),  # seven small runs do not pay for the compilations
        (7, 1, "accelerator", 7),
        (1, 1, "accelerator", 1),
        (2, 4, "accelerator", 1),
        (500, 1, "accelerator", 500),
    ],
)
def test_what_is_worth_measuring(count, workers, platform, expected) -> None:
    assert largest(jobs(count), workers, platform) == expected


@pytest.mark.parametrize(
    ("most", "devices", "sizes"),
    [
        (1, 1, [1]),
        (2, 1, [1, 2]),
        (7, 1, [1, 2, 4]),
        (8, 1, [1, 2, 4, 8]),
        (500, 1, [1, 2, 4, 8, 16, 32, LARGEST]),
        (1, 8, [1]),
        (5, 8, [1, 8]),  # five members on five of the devices take no longer than eight on eight
        (40, 8, [1, 8, 16, 32]),
        (40, 3, [1, 3, 6, 12, 24]),
        (5000, 8, [1, 8, 16, 32, 64, 128, 256, 8 * LARGEST]),
    ],
)
def test_sizes_to_measure_double_from_one_on_each_device(most, devices, sizes) -> None:
    assert doublings(most, devices) == sizes


def test_what_does_not_fill_the_devices_is_one_smaller_population() -> None:
    """Eight devices: populations of 2 to 8 take the time of one run."""
    curve = dict.fromkeys(range(1, 9), 1.0) | {16: 1.8}
    assert sorted(plan([10] * 21, curve)) == [5, 16]
    assert sorted(plan([10] * 13, curve)) == [5, 8]
    assert plan([10] * 3, curve) == [3]
