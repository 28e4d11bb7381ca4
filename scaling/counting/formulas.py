"""Parameters, tokens and FLOPs under named definitions. There is no unnamed "N" or "C".

Letters: L layers, d width, V vocabulary, T context; N_layers the weights of the layers that a token
meets, M the FLOPs of products without weights. FLOPs are of training, forward and backward (3 times
forward), counted as two per multiply-add, without recomputation. Every `flops_*` here is per
training token; `ledger` multiplies by the tokens; a record holds it.

Published formulas stand as published: those in L, d and T suppose attention in every layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from scaling.common.alphabet import parse
from scaling.counting.parts import Counts, Dims, numbers, weights_active, weights_total
from scaling.parametrization.weight import Weight


def _over_layers(s: Dims, count: Callable[[Counts], int]) -> int:
    """The sum over the parts of all layers."""
    return s.repeats * sum(map(count, s.parts))


def _stored(s: Dims, count: Callable[[Counts], int]) -> int:
    """The sum over the parts of all layers that have weights of their own."""
    return sum(s.stored(part) * count(part) for part in s.parts)


def vectors(s: Dims) -> int:
    """Gains and biases of the whole model."""
    return _stored(s, lambda part: part.vectors) + s.vectors


def params_nonembedding(s: Dims) -> int:
    """Everything but the embedding, the position table and an untied readout (Kaplan's N)."""
    return _stored(s, lambda part: weights_total(s, part)) + vectors(s)


def _ends(s: Dims) -> int:
    """(2 - tied) V d + position rows d."""
    return ((2 - s.tied) * s.vocab + s.positions) * s.width


def params_total(s: Dims) -> int:
    """Every trainable number: non-embedding + (2 - tied) V d + position rows d (Hoffmann's N)."""
    return params_nonembedding(s) + _ends(s)


def params_active(s: Dims) -> int:
    """Every number that a token meets, as often as it meets it: N of the compute 6 N D.

    `params_total` without the experts that it does not go to, and with a layer's weights counted
    in each layer that uses them.
    """
    return _over_layers(s, lambda part: _met(s, part)) + s.vectors + _ends(s)


def params_unique(s: Dims) -> int:
    """Every number that a token meets, once: `params_total` without idle experts."""
    return _stored(s, lambda part: _met(s, part)) + s.vectors + _ends(s)


def _met(s: Dims, part: Counts) -> int:
    """Parameters of a part that a token meets."""
    return weights_active(s, part) + round((part.vectors - part.vectors_idle) * part.share)


def params_matmul_layers(s: Dims) -> int:
    """The weights of the layers that multiply a token: N_layers.

    Empty slots of an expert are padding; their products do not count.
    """
    return _over_layers(s, lambda part: weights_active(s, part))


def params_matmul(s: Dims) -> int:
    """The weights that multiply a token: those of the layers and the readout."""
    return params_matmul_layers(s) + s.vocab * s.width


def state_numbers(s: Dims) -> int:
    """Numbers that one sequence of T tokens keeps to generate the next: 2 L T G k of attention."""
    return _over_layers(s, lambda part: sum(numbers(s, part, letters) for letters in part.state))


def _mixing(s: Dims) -> int:
    """Products without weights, training: 12 L H k T of attention, over its whole square."""
    return 3 * _over_layers(s, lambda part: part.flops_mixing)


def _mixing_causal(s: Dims) -> int:
    """`_mixing` under a causal mask: half of attention's square."""
    return 3 * _over_layers(s, lambda part: part.flops_mixing_causal)


def flops_6nd(s: Dims) -> int:
    """6 N, N active: of a dense model N total (Hoffmann et al. 2022, the approximation)."""
    return 6 * params_active(s)


def flops_6nd_nonembedding(s: Dims) -> int:
    """6 N, N non-embedding (Kaplan et al. 2020), of experts the active ones."""
    return 6 * (params_active(s) - _ends(s))


def flops_model(s: Dims) -> int:
    """Every matrix product: 6 N_matmul + M, of attention its whole square, readout included.

    The definition that tests compare with the traced program, and the numerator of MFU.
    """
    return 6 * params_matmul(s) + _mixing(s)


def flops_model_causal(s: Dims) -> int:
    """`flops_model` with half of attention's square; a causal mask leaves (1 + 1/T) / 2 of it."""
    return 6 * params_matmul(s) + _mixing_causal(s)


def flops_palm(s: Dims) -> int:
    """6 N + M (Chowdhery et al. 2022, appendix B), N as in `flops_6nd`."""
    return flops_6nd(s) + _mixing(s)


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
    softmax = _over_layers(s, lambda part: part.flops_softmax)
    weights = 2 * params_matmul_layers(s)
    return 3 * (4 * s.vocab * s.width + weights + softmax) + _mixing(s)


def flops_narayanan(s: Dims) -> int:
    """72 L d^2 (1 + T/(6d) + V/(12 d L)) (Narayanan et al. 2021, no recompute; F = 4 d).

    The paper's 96 L d^2 (1 + T/(6d) + V/(16 d L)) counts the forward pass twice in the layers and
    once in the readout: 6 V d with and without recomputation, so V/(12 d L) of 72 L d^2.
    """
    return flops_deepseek(s) + 6 * s.vocab * s.width


def flops_megatron(s: Dims) -> int:
    """3 L (4 d k (H + G) + 2 H k T + 4 d F) + 6 d V (Megatron-LM's throughput log), 6 d F gated.

    Of a dense model equal to `flops_model_causal`. Of experts it counts one, and no router.
    """

    def one(part: Counts) -> int:
        sides = (parse(letters) for letters in part.weights)
        return sum(numbers(s, part, i + o) for _, i, o in sides if "r" not in o)

    return 6 * (_over_layers(s, one) + s.width * s.vocab) + _mixing_causal(s)


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
    """2 N_layers + M / 3: the forward pass that block remat does again; of dots the second term.

    With it 6 N becomes the 8 N of HFU (Chowdhery et al. 2022, appendix B). A program does a little
    less: it does not compute the last product of a block again
    (tests/scaling/counting/test_formulas.py).
    """
    mixing = _mixing(s) // 3
    return {"none": 0, "block": 2 * params_matmul_layers(s) + mixing, "dots": mixing}[remat]


def params_by_part(s: Dims) -> dict[str, int]:
    """`params_total`, by the names of its parts."""
    found = {"embedding": s.vocab * s.width, "readout": (1 - s.tied) * s.vocab * s.width}
    found |= {"position": s.positions * s.width, "vectors": s.vectors}
    for part in s.parts:
        more = s.stored(part) * (weights_total(s, part) + part.vectors)
        found[part.name] = found[part.name] + more if part.name in found else more
    return found


def state_by_part(s: Dims) -> dict[str, int]:
    """`state_numbers`, by the names of its parts."""
    found: dict[str, int] = {}
    for part in s.parts:
        more = s.repeats * sum(numbers(s, part, letters) for letters in part.state)
        found[part.name] = found[part.name] + more if part.name in found else more
    return found


def flops_by_part(s: Dims) -> dict[str, int]:
    """`flops_model`, by the names of its parts."""
    found = {"readout": 6 * s.vocab * s.width}
    for part in s.parts:
        more = 3 * s.repeats * (2 * weights_active(s, part) + part.flops_mixing)
        found[part.name] = found[part.name] + more if part.name in found else more
    return found


def count(
    weights: Iterable[Weight],
    experts_active: float = 0,
    uses: Callable[[Weight], int] = lambda w: 1,
) -> dict[str, int]:
    """The second entry: parameters counted from the model's own descriptions of its weights.

    Args:
        experts_active: of the copies of a weight, those that a token meets.
        uses: layers that use a weight, where layers share theirs.
    """
    table = list(weights)
    outside = {"embedding", "position", "readout"}
    met = {w: round(w.size // w.copies * experts_active) if w.copies > 1 else w.size for w in table}
    return {
        "params_total": sum(w.size for w in table),
        "params_nonembedding": sum(w.size for w in table if w.role not in outside),
        "params_active": sum(met[w] * uses(w) for w in table),
        "params_unique": sum(met[w] for w in table),
    }


def ledger(dims: Dims, tokens: int) -> dict[str, float]:
    """N, D and C of one run of `tokens` training tokens, under every definition of a record."""
    return {
        "params_total": params_total(dims),
        "params_nonembedding": params_nonembedding(dims),
        "params_active": params_active(dims),
        "params_unique": params_unique(dims),
        "tokens": tokens,
        **{name: float(rule(dims)) * tokens for name, rule in FLOPS_PER_TOKEN.items()},
    }
