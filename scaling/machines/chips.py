"""Chips: peak rates and capacities, as the maker or a measurement states them.

Bytes and bandwidths are of one chip, and a bandwidth is one way, of sending. A TPU sits in a torus
and has two links in each dimension; a GPU hangs on a switch by all its links. Beyond the `domain`
that the links reach lies the data centre's network, which a host's chips share.

Sources. Book: Austin et al. 2025, How to Scale Your Model (jax-ml.github.io/scaling-book), parts 2
and 12. Cloud: docs.cloud.google.com/tpu/docs. Engineering: Bekman, Machine Learning Engineering,
tables of accelerators. A figure named in `recalled` was found in none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from scaling.common.errors import UserError, nearest

GIB = 2**30


@dataclass(frozen=True)
class Chip:
    """One kind of accelerator.

    Attributes:
        peak: FLOP/s of dense matrix products by the dtype of their operands. For float32 at JAX's
            default precision: TF32 on a GPU, one pass of bfloat16 on a TPU.
        closes: a side of the torus is a ring where its length is a multiple of this; else a line.
        domain: the most chips that links join: a pod, or the GPUs of one node.
        host_network: of one host, into the data centre's network.
    """

    name: str
    platform: Literal["tpu", "gpu"]
    peak: Mapping[str, float]
    hbm_bytes: float
    hbm_bandwidth: float
    link_bandwidth: float
    links: int
    closes: int
    domain: int
    chips_per_host: int
    host_network: float
    source: str
    recalled: tuple[str, ...] = ()

    def flops(self, dtype: str) -> float:
        """Peak FLOP/s of products of this dtype.

        Raises:
            UserError: the chip has no units for it.
        """
        if dtype not in self.peak:
            raise UserError(
                f"precision={dtype}: no peak is known of it on {self.name}, which has "
                f"{', '.join(self.peak)}; set precision to one of them, or choose another chip"
            )
        return self.peak[dtype]

    @property
    def network(self) -> float:
        """Bytes/s of one chip's share of its host's network."""
        return self.host_network / self.chips_per_host

    def torus(self, chips: int) -> tuple[int, ...]:
        """The sides of a slice of TPUs: those of least sum, shortest first."""
        return min(_sides(chips, self.links // 2), key=sum)


def _sides(chips: int, dimensions: int) -> list[tuple[int, ...]]:
    """Every factorisation of a number into this many factors that do not fall."""
    if dimensions == 1:
        return [(chips,)]
    first = (n for n in range(1, chips + 1) if n**dimensions <= chips and chips % n == 0)
    return [
        (n, *rest) for n in first for rest in _sides(chips // n, dimensions - 1) if rest[0] >= n
    ]


_TPU = "book, part 2; cloud"
_GPU = "engineering; book, part 12"

CHIPS: Mapping[str, Chip] = {
    chip.name: chip
    for chip in (
        Chip(
            "v3",
            "tpu",
            {"float32": 1.4e14, "bfloat16": 1.4e14, "int8": 1.4e14},
            hbm_bytes=32 * GIB,
            hbm_bandwidth=9e11,
            link_bandwidth=1e11,
            links=4,
            closes=32,
            domain=1024,
            chips_per_host=8,
            host_network=8 * 6.25e9,
            source=_TPU,
            recalled=("closes",),
        ),
        Chip(
            "v4",
            "tpu",
            {"float32": 2.75e14, "bfloat16": 2.75e14, "int8": 2.75e14},
            hbm_bytes=32 * GIB,
            hbm_bandwidth=1.2e12,
            link_bandwidth=4.5e10,
            links=6,
            closes=4,
            domain=4096,
            chips_per_host=4,
            host_network=4 * 6.25e9,
            source=_TPU,
        ),
        Chip(
            "v5e",
            "tpu",
            {"float32": 1.97e14, "bfloat16": 1.97e14, "int8": 3.94e14},
            hbm_bytes=16 * GIB,
            hbm_bandwidth=8.1e11,
            link_bandwidth=4.5e10,
            links=4,
            closes=16,
            domain=256,
            chips_per_host=8,
            host_network=8 * 3.125e9,
            source=_TPU,
        ),
        Chip(
            "v5p",
            "tpu",
            {"float32": 4.59e14, "bfloat16": 4.59e14, "int8": 9.18e14},
            hbm_bytes=95 * GIB,  # of 96; the runtime takes the rest
            hbm_bandwidth=2.765e12,
            link_bandwidth=9e10,
            links=6,
            closes=4,
            domain=6144,
            chips_per_host=4,
            host_network=4 * 6.25e9,
            source=_TPU,
        ),
        Chip(
            "v6e",
            "tpu",
            {"float32": 9.18e14, "bfloat16": 9.18e14, "int8": 1.836e15},
            hbm_bytes=32 * GIB,
            hbm_bandwidth=1.638e12,
            link_bandwidth=9e10,
            links=4,
            closes=16,
            domain=256,
            chips_per_host=8,
            host_network=8 * 1.25e10,
            source=_TPU,
        ),
        Chip(
            "tpu7x",
            "tpu",
            {"float32": 2.307e15, "bfloat16": 2.307e15, "float8": 4.614e15},
            hbm_bytes=192 * GIB,
            hbm_bandwidth=7.38e12,
            link_bandwidth=1e11,  # 1.2e12 both ways over six links
            links=6,
            closes=4,
            domain=9216,
            chips_per_host=4,
            host_network=4 * 1.25e10,
            source="cloud",
            recalled=("closes",),
        ),
        Chip(
            "a100",
            "gpu",
            {"float32": 1.56e14, "bfloat16": 3.12e14, "int8": 6.24e14},
            hbm_bytes=80e9,
            hbm_bandwidth=2.0e12,
            link_bandwidth=2.5e10,
            links=12,
            closes=1,
            domain=8,
            chips_per_host=8,
            host_network=8 * 2.5e10,
            source=_GPU,
            recalled=("float32", "host_network"),
        ),
        Chip(
            "h100",
            "gpu",
            {"float32": 4.945e14, "bfloat16": 9.89e14, "float8": 1.979e15, "int8": 1.979e15},
            hbm_bytes=80e9,
            hbm_bandwidth=3.35e12,
            link_bandwidth=2.5e10,
            links=18,
            closes=1,
            domain=8,
            chips_per_host=8,
            host_network=8 * 5e10,
            source=_GPU,
            recalled=("float32",),
        ),
        Chip(
            "h200",
            "gpu",
            {"float32": 4.945e14, "bfloat16": 9.89e14, "float8": 1.979e15, "int8": 1.979e15},
            hbm_bytes=141e9,
            hbm_bandwidth=4.8e12,
            link_bandwidth=2.5e10,
            links=18,
            closes=1,
            domain=8,
            chips_per_host=8,
            host_network=8 * 5e10,
            source=_GPU,
            recalled=("float32", "host_network"),
        ),
        Chip(
            "b200",
            "gpu",
            {
                "float32": 1.125e15,
                "bfloat16": 2.25e15,
                "float8": 4.5e15,
                "int8": 4.5e15,
                "float4": 9e15,
            },
            hbm_bytes=180e9,
            hbm_bandwidth=8e12,
            link_bandwidth=5e10,
            links=18,
            closes=1,
            domain=8,
            chips_per_host=8,
            host_network=8 * 5e10,
            source=_GPU,
            recalled=("float32", "host_network"),
        ),
    )
}


def chip(name: str) -> Chip:
    """The chip of this name.

    Raises:
        UserError: there is none.
    """
    if name not in CHIPS:
        raise UserError(f"chip {name!r}: {nearest(name, CHIPS)}")
    return CHIPS[name]


# How the drivers' names begin, the longer one first where one begins another
DEVICE_KINDS: Mapping[str, str] = {
    "TPU v3": "v3",
    "TPU v4": "v4",
    "TPU v5 lite": "v5e",
    "TPU v5e": "v5e",
    "TPU v5": "v5p",
    "TPU v6": "v6e",
    "TPU7x": "tpu7x",
    "NVIDIA A100": "a100",
    "NVIDIA H100": "h100",
    "NVIDIA H200": "h200",
    "NVIDIA B200": "b200",
}


def of_device(kind: str) -> Chip:
    """The chip that JAX calls by this `device_kind`.

    Raises:
        UserError: it is none of the table.
    """
    for start, name in DEVICE_KINDS.items():
        if kind.startswith(start):
            return CHIPS[name]
    raise UserError(
        f"execution.layout.name=auto: nothing is known of a device {kind!r}; choose a layout by "
        "name, such as fsdp"
    )
