"""Parts of a block: the value by which a mixer, a feed-forward or a router is found and counted.

`models/mixers/<name>.py` and `models/ffn/<name>.py` define `PART`, `models/routers/<name>.py`
defines `ROUTER`; each is found by its file's name. A part counts itself, so that
`scaling.counting` sums parts without knowing any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_type_hints

from models.config import TransformerConfig, find_part
from scaling.common import plugins
from scaling.common.errors import UserError, nearest
from scaling.counting.parts import Counts
from scaling.machines.layout import Layout
from scaling.parametrization.weight import Role

if TYPE_CHECKING:  # a plan counts parts, and needs no JAX for it
    from flax import linen as nn


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
            so that counting imports no JAX. Its weights record their letters and roles. One that
            generates keeps its state by `Module.keep`, as `Counts.state` lists it.
        causal: no output depends on a later token; of experts, under a causal router.
        source: where it was described.
        reads: those of `FIELDS` that change what it computes.
        norms: values of model.norms that it has a form for; under "peri" its module is called with
            the normalised input and with the input itself.
        forms: values of model.weights that its matrices can have: all are made by `Module.dense`.
        rules: of a `Parametrization`, the roles of `RolePowers` and the bases that its weights ask
            for at any gains, biases and scale of attention.
        kernels: by platform, the kernels that it may run with, the preferred one first.
        needs: of each kernel, every need in words and a test of it.
        worth: of a kernel that is not always the better one, a test of whether it is here.
        refuses: the reason why a model cannot have it, or None.
        settings: numbers of its own, a frozen dataclass, which a pattern gives: "mine:size=8".
        of: the part with other settings.
        positions: "read" where its module takes `positions` [B, T], for rotary ones, of tokens that
            were gathered from a sequence.
        documents: "apart" where no output depends on a token of another document of the window:
            its mixer takes `documents` [B, T], the number of each token's, if model.separator is
            set.
        version: of its science: raised when the same config would give another result. From 2 on it
            is part of the identity of the runs that have it, and of no others.
        memory: "handed on" where its module maps (x, what the layer before handed on) to (x, what
            the next one gets), for a router; see `Router.carries`.
    """

    counts: Callable[[TransformerConfig, int], Counts]
    module: Callable[[], Callable[..., nn.Module]]
    causal: bool
    source: str
    reads: tuple[str, ...] = FIELDS
    norms: tuple[str, ...] = ("pre",)
    forms: tuple[str, ...] = ("dense",)
    rules: tuple[str, ...] = ()
    kernels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    needs: Mapping[str, Needs] = field(default_factory=dict)
    worth: Mapping[str, Callable[[KernelSetting], bool]] = field(default_factory=dict)
    refuses: Callable[[TransformerConfig], str | None] = lambda c: None
    settings: Any = None
    of: Callable[[Any], Part] | None = None
    positions: Literal["read", "unread"] = "unread"
    documents: Literal["apart", "joined"] = "joined"
    version: int = 1
    memory: Literal["handed on", "none"] = "none"

    def given(self, assignments: Sequence[str]) -> Part:
        """The part with settings as a pattern writes them, such as "size=8".

        Raises:
            UserError: it has no such setting, or the text is no value of it.
        """
        if not assignments:
            return self
        kinds = {} if self.of is None else get_type_hints(type(self.settings))
        values: dict[str, Any] = {}
        for name, _, text in (each.partition("=") for each in assignments):
            if name not in kinds:
                raise UserError(
                    f"setting '{name}': {nearest(name, kinds) if kinds else 'it has none'}"
                )
            try:
                values[name] = kinds[name](text)
            except ValueError as error:
                raise UserError(f"{name}={text}: expected {kinds[name].__name__}") from error
        assert self.of is not None
        return self.of(replace(self.settings, **values))

    def lacks(self, kernel: str, setting: KernelSetting) -> str | None:
        """The first need of a kernel that is not met."""
        needs = self.needs[kernel].items()
        return next((need for need, met in needs if not met(setting)), None)

    def kernel(self, setting: KernelSetting) -> str:
        """The first kernel of the platform that can run and is worth it; the last always is."""
        able = (k for k in self.kernels[setting.platform] if not self.lacks(k, setting))
        return next(k for k in able if k not in self.worth or self.worth[k](setting))


@dataclass(frozen=True)
class Router:
    """A choice of experts for each token.

    Attributes:
        route: returns the function from `Seen` to `Routed` (models/routers/_routes.py), so that
            counting imports no JAX.
        causal: no choice depends on a later token in training. In evaluation none ever does.
        source: where it was described.
        weights: role and letters of its weights in each layer, by name.
        shared: the same of weights that all layers share.
        letters: lengths of the letters that are its alone.
        version: of its science, as `Part.version`.
        tokens: "read" where it sees the ids of the tokens.
        carries: letters of float32 arrays [B, T, ...] that a layer hands to the next, by name;
            zeros before the first.
        penalties: fields of `PenaltiesConfig` that weigh what it finds.
    """

    route: Callable[[], Callable[[Any], Any]]
    causal: bool
    source: str
    weights: Mapping[str, tuple[Role, str]] = field(
        default_factory=lambda: {"router": ("router", "d->r")}
    )
    shared: Mapping[str, tuple[Role, str]] = field(default_factory=dict)
    letters: Callable[[TransformerConfig], Mapping[str, int]] = lambda c: {}
    version: int = 1
    tokens: Literal["read", "unread"] = "unread"
    carries: Mapping[str, str] = field(default_factory=dict)
    penalties: tuple[str, ...] = ("balance_loss", "router_z_loss")


@dataclass(frozen=True)
class Recursion:
    """A choice of the tokens that go through shared layers again.

    Attributes:
        causal: no choice depends on a later token in training. In evaluation none ever does.
        source: where it was described.
        penalties: fields of `PenaltiesConfig` that weigh what it finds.
    """

    causal: bool
    source: str
    penalties: tuple[str, ...]


# By model.recursion; models/routers/_recursion.py has the choices
RECURSIONS: Mapping[str, Recursion] = {
    "token_choice": Recursion(
        True, "Bae et al. 2025, arXiv:2507.10524", ("balance_loss", "router_z_loss")
    ),
    "expert_choice": Recursion(False, "Bae et al. 2025, arXiv:2507.10524", ("auxiliary_loss",)),
}


def mixer(name: str) -> Part:
    """The mixer of this name and its settings; UserError where there is none."""
    found: Part = find_part("models.mixers", name)
    return found


def feed_forward(name: str) -> Part:
    """The feed-forward of this name and its settings; UserError where there is none."""
    found: Part = find_part("models.ffn", name)
    return found


def versions(model: TransformerConfig) -> dict[str, int]:
    """`Part.version` of the parts and the router of a model, where it was raised, by name."""
    named = {
        f"{folder}.{text.partition(':')[0]}": find_part(folder, text).version
        for block in model.blocks
        for folder, text in zip(("models.mixers", "models.ffn"), block, strict=True)
    }
    if "router" in model.reads:
        named[f"models.routers.{model.router}"] = router(model.router).version
    return {name: version for name, version in named.items() if version > 1}


def rules(model: TransformerConfig) -> frozenset[str]:
    """`Part.rules` of all parts of a model, and the roles of its router's weights."""
    own = router(model.router)
    found = {**own.weights, **own.shared}.values() if "router" in model.reads else ()
    roles = {role for role, _ in found} | ({"router"} if model.recursion != "none" else set())
    roles |= {"bias"} if model.weights != "dense" else set()  # B starts at 0 as one does
    return frozenset(roles).union(*(part.rules for part in _parts(model)))


def _parts(model: TransformerConfig) -> list[Part]:
    return [each for m, f in model.blocks for each in (mixer(m), feed_forward(f))]


def penalties(model: TransformerConfig) -> frozenset[str]:
    """`Router.penalties` of a model, if it has a router, and those of its recursion."""
    found = router(model.router).penalties if "router" in model.reads else ()
    more = RECURSIONS[model.recursion].penalties if model.recursion != "none" else ()
    return frozenset((*found, *more))


def router(name: str) -> Router:
    """The router of this name; UserError where there is none."""
    found: Router = plugins.find("models.routers", name, "router", "ROUTER")
    return found
