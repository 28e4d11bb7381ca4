"""Bytes that a training step moves between devices, by collective and by axis of the mesh.

`models.layout` constrains arrays, and XLA's partitioner inserts the collectives. Weights are
gathered along fsdp where they are used, in the dtype of the products. Their gradients go back the
same way, once for every microbatch. Shares are those of `scaling.machines.per_device`; n tokens of
one device in one microbatch, d width, c bytes of a value.

Times follow Austin et al. 2025, part 3, with V bytes in the whole array, m devices and W bytes/s
out of each. A gather or a scatter takes V (m-1)/m / W, an all-reduce twice that, an all-to-all in a
ring a quarter. None takes less than a microsecond a hop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from scaling.counting.parts import Dims
from scaling.machines import per_device
from scaling.machines.interconnect import Link
from scaling.machines.layout import Layout
from scaling.machines.memory import FLOAT32, Step

CollectiveKind = Literal["all_gather", "reduce_scatter", "all_reduce", "all_to_all", "permute"]

HOP_SECONDS = 1e-6


@dataclass(frozen=True)
class Collective:
    """One kind of exchange along one axis.

    Attributes:
        array: bytes of the whole array: after a gather, before a scatter, on each device for a
            reduction, on all devices together for an exchange or a permutation.
        times: exchanges in a step.
    """

    kind: CollectiveKind
    axis: str
    array: float
    times: float


# Share of the array that one of m devices sends
SENT: Mapping[CollectiveKind, Callable[[int], float]] = {
    "all_gather": lambda m: (m - 1) / m,
    "reduce_scatter": lambda m: (m - 1) / m,
    "all_reduce": lambda m: 2 * (m - 1) / m,
    "all_to_all": lambda m: (m - 1) / m**2,
    "permute": lambda m: 1 / m,
}


def sent(collective: Collective, layout: Layout) -> float:
    """Bytes that one device sends in a step."""
    part = SENT[collective.kind](layout.sizes[collective.axis])
    return collective.times * collective.array * part


def seconds(collective: Collective, link: Link) -> float:
    """Time in a step, with nothing hidden behind other work."""
    kind, array = collective.kind, collective.array
    bandwidth, hops = link.bandwidth, link.hops
    if kind == "permute":
        bandwidth, hops = link.one_way, 1
    bytes_out = array * SENT[kind](link.size)
    if kind == "all_to_all" and not link.switched:
        bytes_out *= link.size / 4  # passed on by those between
    return collective.times * max(bytes_out / bandwidth, HOP_SECONDS * hops)


def collectives(s: Dims, step: Step, layout: Layout) -> list[Collective]:
    """All exchanges of a step."""
    found = (one for rule in RULES for one in rule(s, step, layout))
    return [one for one in found if layout.sizes[one.axis] > 1 and one.times > 0]


def totals(exchanges: list[Collective], layout: Layout) -> dict[tuple[str, str], float]:
    """Bytes that one device sends in a step, by kind and axis."""
    found: Counter[tuple[str, str]] = Counter()
    for one in exchanges:
        found[one.kind, one.axis] += sent(one, layout)  # type: ignore[assignment]
    return dict(found)


def _microbatches(step: Step) -> float:
    return step.sequences / step.microbatch


def _weights(s: Dims, step: Step, layout: Layout) -> tuple[tuple[float, int, int], ...]:
    """Weights of a layer and of the ends: bytes, number of such arrays, gathers of each."""
    layers, c = per_device.layers(s, layout), step.compute_bytes
    again = 1 if step.remat == "none" else 2
    return (
        (c * per_device.params_blocks(s, layout) / layers, layers, again),
        (c * per_device.params_ends(s, layout), 1, 1),
    )


def _fsdp(s: Dims, step: Step, layout: Layout) -> Iterator[Collective]:
    """ZeRO 3 gathers weights for the forward pass, with remat again for the backward one.

    From stage 2 on gradients are scattered, before it reduced. Below 3 new weights are gathered.
    """
    reduce: CollectiveKind = "reduce_scatter" if layout.zero >= 2 else "all_reduce"
    for array, count, gathers in _weights(s, step, layout):
        each = count * _microbatches(step)
        if layout.zero == 3:
            yield Collective("all_gather", "fsdp", array, gathers * each)
        else:
            yield Collective("all_gather", "fsdp", array / step.compute_bytes * FLOAT32, count)
        yield Collective(reduce, "fsdp", array, each)


def _replicas(s: Dims, step: Step, layout: Layout) -> Iterator[Collective]:
    """Gradients are summed over every axis along which their weights are whole.

    Along the expert axis each expert is on one device.
    """
    kept = layout.sizes["fsdp"] if layout.zero >= 2 else 1
    (block, layers, _), (ends, _, _) = _weights(s, step, layout)
    own = step.compute_bytes * per_device.params_experts(s, layout) / layers
    for axis, array in (("data", block), ("expert", block - own), ("sequence", block)):
        yield Collective("all_reduce", axis, array / kept, layers * _microbatches(step))
        yield Collective("all_reduce", axis, ends / kept, _microbatches(step))
    yield Collective("all_reduce", "stage", ends / kept, _microbatches(step))


def _tensor(s: Dims, step: Step, layout: Layout) -> Iterator[Collective]:
    """n d c summed after every part, and again for its input's gradient; with remat three times.

    A part of gathered tokens has as many as its slots. Two more sums are of the
    embedded tokens and of the readout's gradient.
    """
    parts = sum(s.held(part) for part in s.parts if per_device.sums_over_tensor(s, part, layout))
    in_repeat = (3 if step.remat == "block" else 2) * parts
    times = per_device.layers(s, layout) * in_repeat / len(s.blocks) + 2
    yield Collective("all_reduce", "tensor", _stream(s, step, layout), times * _microbatches(step))


def _sequence(s: Dims, step: Step, layout: Layout) -> Iterator[Collective]:
    """c `Counts.gathered` of every token, with remat twice, and the gradients scattered.

    A ring of m sends it on m - 1 times forward, with remat twice, and backward; and m times its
    gradients in float32. `Counts.striped` is exchanged forward, with remat twice, and backward.
    """
    m, again = layout.sizes["sequence"], 1 if step.remat == "none" else 2
    n, c = per_device.tokens(s, step.microbatch, layout) * m, step.compute_bytes
    for part in s.parts:
        array = n * per_device.arrays(s, part, part.gathered, layout) * c
        each = per_device.layers(s, layout) / len(s.blocks) * _microbatches(step)
        if per_device.is_ring(step.attention, part):
            striped = n * per_device.arrays(s, part, part.striped, layout) * c
            yield Collective("permute", "sequence", array, each * (m - 1) * (again + 1))
            yield Collective("permute", "sequence", array / c * FLOAT32, each * m)
            yield Collective("all_to_all", "sequence", striped, each * (again + 1))
        elif array:
            yield Collective("all_gather", "sequence", array, each * again)
            yield Collective("reduce_scatter", "sequence", array, each)


def _expert(s: Dims, step: Step, layout: Layout) -> Iterator[Collective]:
    """d c of every slot to the experts and back, forward and backward: 4 times, 6 with remat."""
    in_layer = 4 if step.remat == "none" else 6
    for part in s.parts:
        slots = part.slots * per_device.tokens(s, step.microbatch, layout) / s.context
        array = slots * s.width * step.compute_bytes * layout.sizes["expert"]
        times = in_layer * per_device.layers(s, layout) / len(s.blocks) * _microbatches(step)
        if array:
            yield Collective("all_to_all", "expert", array, times)


def _stage(s: Dims, step: Step, layout: Layout) -> Iterator[Collective]:
    """n d c / parts to the next stage in each of v parts + stages - 1 steps, and back again.

    With v > 1 rounds the layers' weights are exchanged before, as they are stored. After it XLA
    gathers their gradients.
    """
    parts, stages, rounds = layout.pipeline_parts, layout.sizes["stage"], layout.rounds
    array, steps = _stream(s, step, layout) / parts * stages, rounds * parts + stages - 1
    yield Collective("permute", "stage", array, 2 * steps * _microbatches(step))
    if rounds > 1:
        shares = layout.sizes["fsdp"] if layout.zero == 3 else 1
        weights = FLOAT32 * per_device.params_blocks(s, layout) / shares * stages
        yield Collective("all_to_all", "stage", weights, _microbatches(step))
        yield Collective("all_gather", "stage", weights, _microbatches(step))


def _stream(s: Dims, step: Step, layout: Layout) -> float:
    """Bytes of the residual stream of one device."""
    return per_device.tokens(s, step.microbatch, layout) * s.width * step.compute_bytes


RULES: tuple[Callable[[Dims, Step, Layout], Iterator[Collective]], ...] = (
    _fsdp,
    _replicas,
    _tensor,
    _sequence,
    _expert,
    _stage,
)


def bubble(layout: Layout) -> float:
    """(p - 1) / (v m + p - 1): the share of a step in which one of p stages waits.

    A stage works on m parts in each of v rounds.
    """
    stages, parts = layout.sizes["stage"], layout.pipeline_parts
    return (stages - 1) / (layout.rounds * parts + stages - 1)
