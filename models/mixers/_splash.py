"""Causal attention by JAX's splash kernel for TPUs, which skips tiles above the diagonal."""

from __future__ import annotations

import math

import jax
from jax import Array
from jaxtyping import Float

BLOCK = 512  # queries and keys of a tile, at most


def splash(
    q: Float[Array, "B T h k"],
    k: Float[Array, "B T g k"],
    v: Float[Array, "B T g k"],
    scale: float | Array,
    interpret: bool = False,
) -> Float[Array, "B T h k"]:
    """As `models.mixers._attention.attend`; T a multiple of 128.

    Args:
        interpret: run the kernel's body as ordinary operations, on any device and slowly.
    """
    # a slow import, which only a TPU's program pays for
    from jax.experimental.pallas.ops.tpu import splash_attention as lib

    T, H = q.shape[1:3]
    block = math.gcd(T, BLOCK)
    kernel = lib.make_splash_mha(
        lib.MultiHeadMask([lib.CausalMask((T, T))] * H),
        block_sizes=lib.BlockSizes(
            block_q=block,
            block_kv=block,
            block_q_dkv=block,
            block_kv_dkv=block,
            block_q_dq=block,
            block_kv_dq=block,
        ),
        head_shards=1,
        q_seq_shards=1,
        interpret=interpret,
    )
    y = jax.vmap(kernel)((scale * q).swapaxes(1, 2), k.swapaxes(1, 2), v.swapaxes(1, 2))
    return y.swapaxes(1, 2)
