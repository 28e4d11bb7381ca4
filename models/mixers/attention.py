"""Multi-head, grouped-query or multi-query causal attention: its counts and its kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.config import TransformerConfig
from models.part import KernelSetting, Needs, Part
from scaling.counting.parts import Counts

if TYPE_CHECKING:
    from flax import linen as nn

ONE_TEXT: Needs = {"model.separator=-1": lambda s: s.model.separator < 0}
WHOLE_SEQUENCES: Needs = {"execution.layout.sequence=1": lambda s: s.layout.sequence <= 1}

# "barrier" joins the axes of sequences and heads, so it is for one device; the others never make a
# key for each query head.
NEEDS = {
    "barrier": {"execution.layout.name=single": lambda s: s.layout.name == "single", **ONE_TEXT},
    "xla": {},
    "cudnn": {
        "a GPU": lambda s: s.platform == "gpu",
        "precision=bfloat16": lambda s: s.precision == "bfloat16",
        "a model.head_dim of at most 128 that 8 divides": lambda s: (
            s.model.head_dim <= 128 and s.model.head_dim % 8 == 0
        ),
        **WHOLE_SEQUENCES,
        **ONE_TEXT,
    },
    "splash": {
        "a TPU": lambda s: s.platform == "tpu",
        "a batch.seq_len that 128 divides": lambda s: s.context % 128 == 0,
        "model.recursion=none, or slots that 128 divides": lambda s: all(
            s.model.slots_at(s.context, r) % 128 == 0
            for r in range(s.model.recursions * (s.model.recursion != "none"))
        ),
        **WHOLE_SEQUENCES,
        **ONE_TEXT,
    },
    "ring": {
        "execution.layout.sequence=2 or more": lambda s: s.layout.sequence > 1,
        "a batch.seq_len that the square of execution.layout.sequence divides": lambda s: (
            s.context % s.layout.sizes["sequence"] ** 2 == 0
        ),
        **ONE_TEXT,
    },
}


LINK = 16  # bytes that a chip's memory moves while a link moves one (scaling/machines/chips.py)


def ring_moves_less(s: KernelSetting) -> bool:
    """True where 6 h T > `LINK` (6 m g k + 4 (h + g) k): the ring moves less than gathering does.

    In numbers for a token on m devices. Gathering writes and reads three times the rows of the
    T x T square that the backward pass keeps. The ring sends one way what a gather sends both ways,
    and gradients of keys and values in float32; it lays queries, keys, values and averages out.
    """
    c, m = s.model, s.layout.sizes["sequence"]
    sent = 6 * m * c.kv_heads * c.head_dim + 4 * (c.heads + c.kv_heads) * c.head_dim
    return 6 * c.heads * s.context > LINK * sent


def counts(c: TransformerConfig, context: int) -> Counts:
    """2 h k d + 2 g k d weights, and per token 4 h k T FLOPs over the whole T x T square.

    The backward pass keeps queries, keys, values, and the average before and after its heads are
    joined: 3 h k + 2 g k. XLA's own derivative keeps the square three times; the one in
    models/mixers/_attention.py keeps its softmax alone.
    """
    head_gain = {"vector": c.head_dim, "scalar": 1, "none": 0}[c.gains]
    biases = (c.heads + 2 * c.kv_heads) * c.head_dim + c.width
    square = c.heads * c.head_dim * context
    return Counts(
        name="attention",
        weights=("d->hk", "d->gk", "d->gk", "hk->d"),
        vectors=2 * head_gain * (c.qk_norm == "rmsnorm") + biases * (c.biases == "all"),
        flops_mixing=4 * square,
        flops_mixing_causal=2 * square,
        flops_softmax=3 * c.heads * context,
        state=("Sgk", "Sgk"),
        kept=("hk", "hk", "hk", "gk", "gk"),
        kept_of_kernel={
            "barrier": ("hS",),
            "xla": ("hS",) * 3,
            **dict.fromkeys(("cudnn", "splash", "ring"), ()),
        },
        kept_dots=("hk", "gk", "gk", "d"),
        gathered=("gk", "gk"),
        striped=("hk", "gk", "gk", "hk"),
    )


def module() -> type[nn.Module]:
    """The linen class."""
    from models.mixers._attention import Attention

    return Attention


PART = Part(
    counts=counts,
    module=module,
    causal=True,
    source="Vaswani et al. 2017, arXiv:1706.03762; groups: Ainslie et al. 2023, arXiv:2305.13245",
    reads=("heads", "kv_heads", "head_dim", "qk_norm"),
    norms=("pre", "peri"),
    positions="read",
    documents="apart",
    forms=("dense", "low_rank_sparse"),
    kernels={
        "cpu": ("barrier", "ring", "xla"),
        "gpu": ("cudnn", "ring", "xla"),
        "tpu": ("splash", "ring", "xla"),
    },
    needs=NEEDS,
    worth={"ring": ring_moves_less},
)
