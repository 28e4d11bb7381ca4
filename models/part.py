"""Parts of a block: the value by which a mixer, a feed-forward or a router is found and counted.

`models/mixers/<name>.py` and `models/ffn/<name>.py` define `PART`, `models/routers/<name>.py`
defines `ROUTER`; each is found by its file's name. A part counts itself, so that
`scaling.counting` sums parts without knowing any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from models.config import TransformerConfig
from scaling.common import plugins
from scaling.counting.parts import Counts
from scaling.machines.layout import Layout

if TYPE_CHECKING:  # a plan counts parts, and needs no JAX for it
    from flax import linen as nn
    from jax import Array


@dataclass(frozen=True)
class KernelSetting:
    """The facts that decide which kernel of a part can run.

    Attributes:
        platform: "cpu", "gpu" or "tpu".
        precision: dtype of the operands of products.
    """

    model: TransformerConfig
    context: int
    precision: str
    platform: str
    layout: Layout


# Fields of a `TransformerConfig` that its parts alone read
FIELDS = (
    "heads",
    "kv_heads",
    "head_dim",
    "qk_norm",
    "ffn",
    "mlp",
    "experts",
    "experts_active",
    "router",
    "capacity_factor",
)
Needs = Mapping[str, Callable[[KernelSetting], bool]]


@dataclass(frozen=True)
class Part:
    """A mixer or a feed-forward.

    Attributes:
        counts: its `Counts` in one layer, by the tokens of a sequence.
        module: returns the linen class, whose instances map x [B, T, d] to [B, T, d]; a function,
            so that counting imports no JAX. Its weights record their letters and roles.
        causal: no output depends on a later token.
        source: where it was described.
        reads: those of `FIELDS` that change what it computes.
        kernels: by platform, the kernels that it may run with, the preferred one first.
        needs: of each kernel, every need in words and a test of it.
    """

    counts: Callable[[TransformerConfig, int], Counts]
    module: Callable[[], type[nn.Module]]
    causal: bool
    source: str
    reads: tuple[str, ...] = FIELDS
    kernels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    needs: Mapping[str, Needs] = field(default_factory=dict)

    def lacks(self, kernel: str, setting: KernelSetting) -> str | None:
        """The first need of a kernel that is not met."""
        needs = self.needs[kernel].items()
        return next((need for need, met in needs if not met(setting)), None)

    def kernel(self, setting: KernelSetting) -> str:
        """The first kernel of the platform that can run; the last one of each always can."""
        able = (k for k in self.kernels[setting.platform] if not self.lacks(k, setting))
        return next(able)


@dataclass(frozen=True)
class Router:
    """A choice of experts for each token.

    Attributes:
        route: (x [B, T, d], logits [B, T, r], experts of a token, slots of an expert) to the
            `Routes` and a mapping of scalars by name: the penalties that the objective may weigh,
            and metrics.
        causal: no choice depends on a later token.
        source: where it was described.
    """

    route: Callable[[Array, Array, int, int], tuple[Any, Mapping[str, Array]]]
    causal: bool
    source: str


def mixer(name: str) -> Part:
    """The mixer of this name; UserError where there is none."""
    found: Part = plugins.find("models.mixers", name, "mixer", "PART")
    return found


def feed_forward(name: str) -> Part:
    """The feed-forward of this name; UserError where there is none."""
    found: Part = plugins.find("models.ffn", name, "feed-forward", "PART")
    return found


def reads(model: TransformerConfig) -> frozenset[str]:
    """The `FIELDS` that the parts of a model read; the pattern may leave its experts open."""
    parts = [each for m, f in model.blocks for each in (mixer(m), feed_forward(f))]
    named = {"experts"} if any("+" not in block for block in model.pattern) else set()
    return frozenset(named.union(*(part.reads for part in parts)))


def router(name: str) -> Router:
    """The router of this name; UserError where there is none."""
    found: Router = plugins.find("models.routers", name, "router", "ROUTER")
    return found
