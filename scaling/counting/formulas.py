"""Parameters, tokens and FLOPs under named definitions. There is no unnamed "N" or "C".

Letters: L layers, d width, H query heads, G key-value heads, k head size, F feed-forward width,
V vocabulary, T context, E experts, A of them active for a token. FLOPs are of training, forward and
backward (3 times forward), counted as two per multiply-add, without recomputation. Every `flops_*`
here is per training token; `ledger` multiplies by the tokens and is what a record holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from scaling.parametrization.parametrization import Weight


@dataclass(frozen=True)
class Dims:
    """The sizes of a decoder-only transformer, all that the formulas of this file need.

    Attributes:
        ffn_matrices: 2 for a plain MLP, 3 for a gated one.
        tied: 1 where the embedding is the readout, else 0.
        positions: rows of a learned position table, else 0.
        vectors: all gains and biases of the model, counted one by one.
        experts: feed-forward layers to choose from in each layer; 0: there is one and no router.
        experts_active: those that a token goes to.
        expert_slots: tokens of a sequence that an expert has room for.
        expert_vectors: biases of one expert of every layer; `vectors` has those of all.
    """

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    ffn_matrices: int
    vocab: int
    context: int
    tied: int
    positions: int
    vectors: int
    experts: int = 0
    experts_active: int = 0
    expert_slots: int = 0
    expert_vectors: int = 0


def params_attention(s: Dims) -> int:
    """L d k (2H + 2G)."""
    return s.layers * s.width * s.head_dim * (2 * s.heads + 2 * s.kv_heads)


def params_ffn(s: Dims) -> int:
    """2 L d F, or 3 L d F when gated; with experts E times that, and L d E of the routers."""
    return _params_experts(s, s.experts or 1) + s.layers * s.width * s.experts


def params_ffn_active(s: Dims) -> int:
    """`params_ffn` with A experts for E, and whole routers."""
    return params_ffn(s) - _params_experts(s, s.experts - s.experts_active)


def _params_experts(s: Dims, experts: int) -> int:
    return s.layers * s.ffn_matrices * s.width * s.ffn * experts


def params_nonembedding(s: Dims) -> int:
    """Everything but the embedding, the position table and an untied readout (Kaplan's N)."""
    return params_attention(s) + params_ffn(s) + s.vectors


def params_total(s: Dims) -> int:
    """Every trainable number: non-embedding + (2 - tied) V d + position rows d (Hoffmann's N)."""
    return params_nonembedding(s) + ((2 - s.tied) * s.vocab + s.positions) * s.width


def _inactive(s: Dims) -> int:
    idle = (s.experts - s.experts_active) * s.expert_vectors
    return params_ffn(s) - params_ffn_active(s) + idle


def params_active(s: Dims) -> int:
    """`params_total` without the experts that a token does not go to."""
    return params_total(s) - _inactive(s)


def params_matmul(s: Dims) -> int:
    """The weights that multiply every token: attention, active feed-forward and readout.

    An expert's slots that stay empty are padding: their products are no work of the model's.
    """
    return params_attention(s) + params_ffn_active(s) + s.vocab * s.width


def _attention_square(s: Dims) -> int:
    """QK^T and AV over the whole T x T square, training: 12 L H k T."""
    return 12 * s.layers * s.heads * s.head_dim * s.context


def flops_6nd(s: Dims) -> int:
    """6 N, N active: of a dense model N total (Hoffmann et al. 2022, the approximation)."""
    return 6 * params_active(s)


def flops_6nd_nonembedding(s: Dims) -> int:
    """6 N, N non-embedding (Kaplan et al. 2020), of experts the active ones."""
    return 6 * (params_nonembedding(s) - _inactive(s))


def flops_model(s: Dims) -> int:
    """Every matrix product: 6 N_matmul + 12 L H k T, the whole attention square, readout included.

    The definition that the traced program is held to, and the numerator of MFU.
    """
    return 6 * params_matmul(s) + _attention_square(s)


def flops_model_causal(s: Dims) -> int:
    """`flops_model` with half of the attention square; a causal mask leaves (1 + 1/T) / 2 of it."""
    return 6 * params_matmul(s) + _attention_square(s) // 2


def flops_palm(s: Dims) -> int:
    """6 N + 12 L H k T (Chowdhery et al. 2022, appendix B), N as in `flops_6nd`."""
    return flops_6nd(s) + _attention_square(s)


def flops_porian(s: Dims) -> int:
    """6 N_matmul + 6 L d T (Porian et al. 2024, "attention" variant)."""
    return 6 * params_matmul(s) + 6 * s.layers * s.width * s.context


def flops_deepseek(s: Dims) -> int:
    """72 L d^2 + 12 L d T (DeepSeek LLM 2024): no readout, F = 4 d assumed."""
    return 72 * s.layers * s.width**2 + 12 * s.layers * s.width * s.context


def flops_chinchilla(s: Dims) -> int:
    """Hoffmann et al. 2022, appendix F, per token: embedding and softmax are counted too.

    Forward of one sequence: 2 T V d embedding, in each layer 2 T d k (H + 2G) query, key, value +
    2 T^2 H k logits + 3 H T^2 softmax + 2 T^2 H k reduction + 2 T H k d out + 2 T (2 d F), 3 d F
    when gated, then 2 T d V readout; three times that for training, over T. The paper has G = H.
    """
    weights = 2 * (params_attention(s) + params_ffn_active(s))
    square = s.layers * s.heads * s.context * (4 * s.head_dim + 3)
    return 3 * (4 * s.vocab * s.width + weights + square)


def flops_narayanan(s: Dims) -> int:
    """72 L d^2 (1 + T/(6d) + V/(12 d L)) (Narayanan et al. 2021, no recompute; F = 4 d).

    The paper's 96 L d^2 (1 + T/(6d) + V/(16 d L)) counts the forward pass twice in the layers and
    once in the readout: 6 V d with and without recomputation, so V/(12 d L) of 72 L d^2.
    """
    return flops_deepseek(s) + 6 * s.vocab * s.width


def flops_megatron(s: Dims) -> int:
    """3 L (4 d k (H + G) + 2 H k T + 4 d F) + 6 d V (Megatron-LM's throughput log), 6 d F gated.

    Its attention is causal, as `flops_model_causal`, to which it is equal.
    """
    attention = 4 * s.width * s.head_dim * (s.heads + s.kv_heads)
    attention += 2 * s.heads * s.head_dim * s.context
    mlp = 2 * s.ffn_matrices * s.width * s.ffn
    return 3 * s.layers * (attention + mlp) + 6 * s.width * s.vocab


FLOPS_PER_TOKEN: Mapping[str, Callable[[Dims], int]] = {
    "flops_6nd": flops_6nd,
    "flops_6nd_nonembedding": flops_6nd_nonembedding,
    "flops_model": flops_model,
    "flops_model_causal": flops_model_causal,
    "flops_palm": flops_palm,
    "flops_porian": flops_porian,
    "flops_deepseek": flops_deepseek,
    "flops_chinchilla": flops_chinchilla,
    "flops_narayanan": flops_narayanan,
    "flops_megatron": flops_megatron,
}


def flops_recomputed(s: Dims, remat: Literal["none", "block", "dots"]) -> int:
    """2 (N_attention + N_ffn) + 4 L H k T: the forward pass that block remat does again; of dots
    the second term, the products without weights.

    With it 6 N becomes the 8 N of HFU (Chowdhery et al. 2022, appendix B). A program does a little
    less: nothing asks for the last product of a block again
    (tests/scaling/counting/test_formulas.py).
    """
    square = _attention_square(s) // 3
    block = 2 * (params_attention(s) + params_ffn_active(s)) + square
    return {"none": 0, "block": block, "dots": square}[remat]


def count(weights: Iterable[Weight], experts_active: int = 0) -> dict[str, int]:
    """The second entry: parameters counted from the model's own descriptions of its weights.

    Args:
        experts_active: of the copies of a weight, those that a token meets.
    """
    table = list(weights)
    outside = {"embedding", "position", "readout"}
    total = sum(w.size for w in table)
    nonembedding = sum(w.size for w in table if w.role not in outside)
    idle = sum(w.size // w.copies * (w.copies - experts_active) for w in table if w.copies > 1)
    return {
        "params_total": total,
        "params_nonembedding": nonembedding,
        "params_active": total - idle,
    }


def ledger(dims: Dims, tokens: int) -> dict[str, float]:
    """Everything a record says of N, D and C for one run of `tokens` training tokens."""
    return {
        "params_total": params_total(dims),
        "params_nonembedding": params_nonembedding(dims),
        "params_active": params_active(dims),
        "tokens": tokens,
        **{name: float(rule(dims)) * tokens for name, rule in FLOPS_PER_TOKEN.items()},
    }
