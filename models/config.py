"""The shape of a model, each choice by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, Literal, NoReturn

from scaling.common import plugins
from scaling.common.alphabet import parse
from scaling.common.errors import (
    AT_LEAST_ONE,
    POSITIVE,
    Ranges,
    UserError,
    check_choices,
    check_ranges,
    nearest,
)
from scaling.counting.parts import Counts, Dims

LAYER_SIZES = ("layer_heads", "layer_ffn")
SIZES = ("layers", "width", "heads", "kv_heads", "head_dim", "ffn", "vocab_size")
RANGES: Ranges = {
    **dict.fromkeys(SIZES, AT_LEAST_ONE),
    "layers": (1, 10**4, "must be at least 1, and at most 10000"),  # each has a count of its own
    "experts": (0, math.inf, "must be 0 (a dense model) or more"),
    "layers_unique": (0, math.inf, "must be 0 (the fewest) or more"),
    "capacity_factor": POSITIVE,
    "weights_rank": AT_LEAST_ONE,
    "weights_density": (1e-9, 1, "must lie above 0 and at most at 1"),
}


# Routers of a recursion, each of letters d->u
RECURSION_ROUTERS: Mapping[str, tuple[str, ...]] = {
    "token_choice": ("router",),
    "expert_choice": ("router", "auxiliary"),
}


def find_part(folder: str, text: str) -> Any:
    """The part of a name, and of the settings after it, as a pattern writes them: "mine:size=8".

    Raises:
        UserError: there is no such part or setting.
    """
    name, *settings = text.split(":")
    return plugins.find(folder, name, "part", "PART").given(settings)


@dataclass(frozen=True)
class TransformerConfig:
    """A decoder-only transformer. Part of a run's science: any change here is another run."""

    layers: int = 2  # blocks over the depth
    width: int = 64  # features of the residual stream
    heads: int = 4  # of queries
    kv_heads: int = 4  # of keys and values; heads: MHA; 1: MQA; between: GQA
    head_dim: int = 16  # features of a head
    ffn: int = 256  # features inside a feed-forward
    vocab_size: int = 256  # rows of the embedding, at least the tokenizer's [tokens]
    positions: Literal["rope", "learned", "none"] = "rope"  # how a token's place enters
    norm: Literal["rmsnorm", "layernorm"] = "rmsnorm"  # before each mixer, feed-forward and readout
    gains: Literal["vector", "scalar", "none"] = "vector"  # of the norms
    biases: Literal["none", "all"] = "none"  # of the matrices and the layernorms
    mlp: Literal["gelu", "relu", "relu2", "swiglu"] = "gelu"  # activation of a feed-forward
    # of products in the layers, but for routers: weights of one scale and of -1, 0 and 1, inputs of
    # int8 with a scale for each token; gradients pass straight through
    quantized: Literal["none", "ternary"] = "none"
    # of matrices in the layers: A B / 4 + S, S of fixed random support (SLTrain, arXiv:2406.02214)
    weights: Literal["dense", "low_rank_sparse"] = "dense"
    weights_rank: int = 8  # columns of A and rows of B
    weights_density: float = 0.03  # of S: share of its entries that are numbers of the model
    qk_norm: Literal["none", "rmsnorm"] = "none"  # of the queries and keys of a head
    embeddings: Literal["tied", "untied"] = "tied"  # the readout is the embedding, or its own
    embedding_norm: Literal["none", "rmsnorm"] = "none"  # of token plus position
    block: Literal["sequential", "parallel"] = "sequential"  # mixer, then or beside it feed-forward
    # blocks, repeated over the depth: "mixer" or "mixer+feed-forward", names in models/mixers and
    # models/ffn; the default feed-forward is experts if there are any, else mlp. A part's own
    # settings follow its name: "sliding_window:window=64"
    pattern: tuple[str, ...] = ("attention",)
    experts: int = 0  # feed-forward layers to choose from, each of width ffn; 0: one for all tokens
    experts_active: int = 2  # of those, the ones that a token goes to
    router: str = "top_k"  # a file of models/routers
    # slots of an expert over those it needs where all are chosen alike; experts / experts_active
    # drops no token
    capacity_factor: float = 1.25
    # of weights by layers: cycle: by l and l + layers_unique; middle_cycle: so, between a first and
    # last layer of their own; cycle_but_norms: as cycle, but for the norms
    sharing: Literal["none", "cycle", "middle_cycle", "cycle_but_norms"] = "none"
    layers_unique: int = 0  # of the layers, those with weights of their own; 0: the fewest
    # of tokens for layers applied again: all; by a depth for each; the highest scores of a sequence
    recursion: Literal["none", "token_choice", "expert_choice"] = "none"
    # pre: before all of a mixer's and a feed-forward's inputs; peri: of queries, keys and routers
    norms: Literal["pre", "peri"] = "pre"
    layer_heads: tuple[float, ...] = (1.0, 1.0)  # of the first and last layer, over heads: OpenELM
    layer_ffn: tuple[float, ...] = (1.0, 1.0)  # likewise, over ffn; in a line between
    separator: int = -1  # token that ends a document, which no other sees; -1: a window is one

    def __post_init__(self) -> None:
        check_choices("model", self)
        check_ranges("model", self, RANGES)
        if self.heads % self.kv_heads:
            self._refuse("heads", f" is not a multiple of model.kv_heads={self.kv_heads}")
        if self.width % self.heads:  # heads * head_dim may be any number, but this is a slip
            remedy = "set both (and model.head_dim)"
            self._refuse("width", f" is not a multiple of model.heads={self.heads}; {remedy}")
        if self.experts and not 1 <= self.experts_active <= self.experts:
            self._refuse("experts_active", f": must lie between 1 and model.experts={self.experts}")
        if self.positions == "rope" and self.head_dim % 2:
            self._refuse("head_dim", ": rope rotates pairs, make it even")
        if self.quantized != "none" and self.weights != "dense":
            self._refuse("weights", f": no form with model.quantized={self.quantized}")
        self._check_separator()
        self._check_sizes()
        self._check_pattern()
        self._check_sharing()

    def _refuse(self, field: str, reason: str) -> NoReturn:
        raise UserError(f"model.{field}={getattr(self, field)}{reason}")

    def _check_separator(self) -> None:
        """Refuse a separator that is no token, or documents that something joins.

        Raises:
            UserError: it is one of these.
        """
        if not -1 <= self.separator < self.vocab_size:
            ends = f"-1 (a window is one text) or a token below model.vocab_size={self.vocab_size}"
            self._refuse("separator", f": must be {ends}")
        if self.separator >= 0 and self.positions == "learned":
            self._refuse(
                "separator",
                ": rows of learned positions count from the start of a window, not of a document; "
                "set model.positions=rope or none",
            )
        if self.separator >= 0 and self.recursion != "none":
            joined = f"tokens that model.recursion={self.recursion} gathers have no documents"
            self._refuse("separator", f": {joined}; set model.separator=-1")

    def _check_sizes(self) -> None:
        """Refuse sizes by depth that are no two factors, or that layers with shared weights have.

        Raises:
            UserError: it is one of these.
        """
        for name in LAYER_SIZES:
            ends = getattr(self, name)
            if len(ends) != 2 or not all(0 < end < math.inf for end in ends):
                self._refuse(name, ": two positive factors, of the first and last")
            if ends != (1.0, 1.0) and self.sharing != "none":
                self._refuse(name, ": layers that share weights (model.sharing) have one size")

    def _check_pattern(self) -> None:
        """Refuse a pattern of unknown parts, or one that does not divide the depth.

        Raises:
            UserError: it is one of these.
        """
        if not self.pattern or self.layers % len(self.pattern):
            blocks = f"the {len(self.pattern)} blocks of model.pattern"
            self._refuse("layers", f" is not a multiple of {blocks}; set both")
        mixers, feed_forwards = zip(*self.blocks, strict=True)
        for field, folder, names in (
            ("pattern", "models.mixers", mixers),
            ("pattern", "models.ffn", feed_forwards),
            ("router", "models.routers", (self.router,)),
        ):
            found = {name.partition(":")[0] for name in names}
            for name in found.difference(plugins.names(folder)):
                known = nearest(name, plugins.names(folder))
                raise UserError(f"model.{field}={name}: no file of {folder}; {known}")
        for folder, names in (("models.mixers", mixers), ("models.ffn", feed_forwards)):
            for name in dict.fromkeys(names):
                sizes = dict.fromkeys(self.at(layer) for layer in range(self.layers))
                try:
                    part = find_part(folder, name)
                    refusals = [part.refuses(each) for each in sizes]
                except UserError as error:
                    raise UserError(f"model.pattern={name}: {error}") from error
                for refusal in filter(None, refusals):
                    raise UserError(f"model.pattern={name}: {refusal}")
                if self.weights not in part.forms:
                    self._refuse("weights", f": {name} has no form for it; set dense")
                if self.separator >= 0 and part.documents == "joined":
                    remedy = "set model.separator=-1, or take a mixer of attention"
                    self._refuse("separator", f": {name} sees documents as one text; {remedy}")
                if self.norms not in part.norms:
                    self._refuse("norms", f": {name} has no form for it; set norms=pre")

    def _check_sharing(self) -> None:
        """Refuse shared layers that do not fill the depth, and inputs that no part can tell apart.

        Raises:
            UserError: it is one of these.
        """
        ends = 2 * self.ends
        inner, unique = self.layers - ends, self.unique - ends
        if min(inner, unique) < 1 or inner % unique or unique % len(self.pattern):
            self._refuse(
                "layers_unique",
                f": model.sharing={self.sharing} needs {'2 layers and ' * (ends > 0)}a multiple of "
                f"the {len(self.pattern)} blocks of model.pattern that divides {inner} of "
                f"model.layers={self.layers}",
            )
        if ends and len(self.pattern) > 1:
            alone = "its first and last layer share nothing, so model.pattern has one block"
            self._refuse("sharing", f": {alone}; choose cycle")
        if self.norms == "peri" and self.block == "parallel":
            self._refuse("norms", ": no form of a parallel block; set block=sequential")
        if self.recursion == "none":
            return
        if self.sharing not in ("cycle", "middle_cycle") or self.recursions < 2:
            remedy = "model.sharing=cycle or middle_cycle, and more layers than model.layers_unique"
            self._refuse("recursion", f": no layers are applied twice; set {remedy}")
        if any(find_part("models.ffn", name).memory == "handed on" for _, name in self.blocks):
            nothing = "tokens that skip layers hand nothing on to routers of experts"
            self._refuse("recursion", f": {nothing}; set model.experts=0")

    @property
    def unique(self) -> int:
        """Layers with weights of their own."""
        fewest = 2 * self.ends + len(self.pattern)
        return self.layers if self.sharing == "none" else self.layers_unique or fewest

    @property
    def ends(self) -> int:
        """Layers at the start, and as many at the end, that share no weights with others."""
        return int(self.sharing == "middle_cycle")

    @property
    def recursions(self) -> int:
        """Times that shared layers are applied, R."""
        return (self.layers - 2 * self.ends) // (self.unique - 2 * self.ends)

    def tokens_at(self, context: int, r: int) -> int:
        """Tokens of a sequence that are to have recursion r, of R - 1: T (R - r) / R."""
        return math.ceil(context * (self.recursions - r) / self.recursions - 1e-9)

    def slots_at(self, context: int, r: int) -> int:
        """Slots of a sequence in recursion r: model.capacity_factor for each of its tokens."""
        return min(context, math.ceil(self.tokens_at(context, r) * self.capacity_factor - 1e-9))

    @property
    def owners(self) -> tuple[int, ...]:
        """For each layer, the first layer with the same weights."""
        L, G = self.layers, self.unique
        if self.sharing == "middle_cycle":
            return (0, *(1 + i % (G - 2) for i in range(L - 2)), L - 1)
        return tuple(i % G for i in range(L))

    def turn(self, layer: int) -> int:
        """Norms apart: the number of layers before this one with its weights; else 0."""
        return layer // self.unique if self.sharing == "cycle_but_norms" else 0

    @property
    def period(self) -> int:
        """Layers after which the model repeats itself, as a scan does."""
        return len(self.pattern) if self.sharing == "none" else self.unique

    @property
    def repeats_exactly(self) -> bool:
        """True where every `period` layers have weights of one form, so that a scan can do them."""
        return self.alike and self.recursion == "none" and self.sharing in ("none", "cycle")

    @property
    def alike(self) -> bool:
        """True where all layers have the same sizes."""
        return all(getattr(self, name) == (1.0, 1.0) for name in LAYER_SIZES)

    def at(self, layer: int) -> TransformerConfig:
        """The config with the sizes of one layer; heads keep their queries for each key."""
        return self if self.alike else _at(self, layer)

    @property
    def blocks(self) -> tuple[tuple[str, str], ...]:
        """The mixer and the feed-forward of each block of the pattern."""
        default = "experts" if self.experts else "mlp"
        named = (block.partition("+") for block in self.pattern)
        return tuple((mixer, feed_forward or default) for mixer, _, feed_forward in named)

    @property
    def letters(self) -> dict[str, int]:
        """Lengths of the letters of its parts (`scaling.common.alphabet`), besides d and v."""
        sizes = {"h": self.heads, "g": self.kv_heads, "k": self.head_dim, "f": self.ffn}
        return sizes | {"e": self.experts, "r": self.experts}

    @cached_property
    def reads(self) -> frozenset[str]:
        """The `models.part.FIELDS` that its parts read; the pattern may leave its experts open."""
        named = {"experts"} if any("+" not in block for block in self.pattern) else set()
        named |= {"capacity_factor"} if self.recursion != "none" else set()
        folders = ("models.mixers", "models.ffn")
        parts = (
            find_part(*each) for block in self.blocks for each in zip(folders, block, strict=True)
        )
        return frozenset(named.union(*(part.reads for part in parts)))

    def capacity(self, context: int) -> int:
        """The slots of an expert for a sequence: ceil(k T capacity_factor / E), at most T."""
        even = self.experts_active * context / self.experts
        return min(context, math.ceil(even * self.capacity_factor - 1e-9))  # no rounding's slot

    def support(self, outputs: int) -> int:
        """Entries in each row of a sparse matrix with so many columns."""
        return max(1, round(self.weights_density * outputs))

    def dims(self, context: int) -> Dims:
        """The sizes and parts that accounting needs, for sequences of `context` tokens."""
        gain = {"vector": self.width, "scalar": 1, "none": 0}[self.gains]
        norm = gain + self.width * ((self.norm, self.biases) == ("layernorm", "all"))
        # of two norms their input, their normalised input and their output
        norms = Counts("norms", vectors=norm * (1 + (self.block == "sequential")), kept=("d",) * 6)

        def block(layer: int) -> tuple[Counts, ...]:
            c, names = self.at(layer), self.blocks[layer % len(self.pattern)]
            parts = map(find_part, ("models.mixers", "models.ffn"), names)
            found = [part.counts(c, context) for part in parts]
            if c.weights != "dense":
                lengths = {**c.letters, "d": c.width}
                found = [one.factored(lengths, c.weights_rank, c.support) for one in found]
            if not self.alike:
                found = [replace(one, letters=c.letters | one.letters) for one in found]
            handed_on = find_part("models.ffn", names[1]).memory == "handed on"
            return (norms, *found, *([_shared_router(self)] if handed_on else []))

        repeated = len(self.pattern) if self.alike else self.layers
        blocks = tuple(block(layer) for layer in range(repeated))
        if self.recursion != "none":
            blocks = tuple(_recursed(self, context, layer) for layer in range(self.layers))
        return Dims(
            layers=self.layers,
            width=self.width,
            vocab=self.vocab_size,
            context=context,
            tied=int(self.embeddings == "tied"),
            positions=context if self.positions == "learned" else 0,
            vectors=norm + gain * (self.embedding_norm == "rmsnorm"),
            letters=self.letters,
            blocks=blocks,
            layers_unique=self.unique,
            once=("shared router",),
            apart=("norms",) if self.sharing == "cycle_but_norms" else (),
        )


def _recursed(c: TransformerConfig, context: int, layer: int) -> tuple[Counts, ...]:
    """The parts of one layer of a model with recursions, for the tokens that it is applied to."""
    r = 0 if c.ends and layer in (0, c.layers - 1) else (layer - c.ends) // (c.unique - 2 * c.ends)
    slots, again = c.slots_at(context, r), c.owners[layer] != layer
    block = replace(c, recursion="none").dims(slots).blocks[layer % len(c.pattern)]
    parts = [part.of_some(slots, c.tokens_at(context, r), context, again) for part in block]
    if layer == 0:
        routers = ("d->u",) * len(RECURSION_ROUTERS[c.recursion])
        parts.append(Counts("recursion", weights=routers, letters={"u": c.recursions}))
    return tuple(parts)


@cache
def _at(c: TransformerConfig, layer: int) -> TransformerConfig:
    """A copy with the sizes of a layer, which need not divide the width as a user's do.

    The factor of heads has two digits, and key heads are the nearest number that is no less than
    0.9 of the wanted one, as in OpenELM (Mehta et al. 2024, arXiv:2404.14619).
    """
    depth = layer / max(c.layers - 1, 1)
    ends = (c.layer_heads, c.layer_ffn)
    heads, ffn = (first + (last - first) * depth for first, last in ends)
    wanted = round(heads, 2) * c.kv_heads
    kv_heads = math.floor(wanted + 0.5)
    kv_heads = max(1, kv_heads + (kv_heads < 0.9 * wanted))
    own = {"kv_heads": kv_heads, "heads": kv_heads * (c.heads // c.kv_heads)}
    own["ffn"] = max(1, round(ffn * c.ffn))
    found = copy(c)
    for name, value in {**own, **dict.fromkeys(LAYER_SIZES, (1.0, 1.0))}.items():
        object.__setattr__(found, name, value)
    return found


def _shared_router(c: TransformerConfig) -> Counts:
    """The weights of a router that all layers share; of most there are none."""
    router = plugins.find("models.routers", c.router, "router", "ROUTER")
    letters, lengths = [text for _, text in router.shared.values()], c.letters | router.letters(c)
    return Counts(
        "shared router",
        weights=tuple(text for text in letters if parse(text).inputs),
        vectors=sum(
            math.prod(lengths[letter] for letter in parse(text).outputs)
            for text in letters
            if not parse(text).inputs
        ),
        letters=router.letters(c),
    )


Phase = Literal["training", "evaluation"]  # routers may choose otherwise in training
