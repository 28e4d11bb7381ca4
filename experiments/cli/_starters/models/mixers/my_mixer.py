"""A sequence mixer: a moving average of the last four positions; change the module and its counts.

    windtunnel describe quickstart --set model.pattern=my_mixer
    windtunnel run quickstart --set model.pattern=attention,my_mixer --out runs/hybrid

Letters of shapes: `scaling/common/alphabet.py`. `models/mixers/attention.py` has several kernels.
"""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from models.config import TransformerConfig
from models.module import Module
from models.part import Part
from scaling.counting.parts import Counts

TAPS = 4  # the last positions


class Mixer(Module):
    """W_out sum_c w_c (W_in x)_(t - c), with weights w [c, h, k] of each channel of a head."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """x [B, T, d] -> [B, T, d]."""
        y = self.dense(x, "in", "d->hk")
        # of a sequence that is generated the last positions of the call before, else zeros
        past = self.past("last", jnp.zeros((len(y), TAPS, *y.shape[2:]), y.dtype))
        every = jnp.concatenate([past[:, 1:], y], axis=1)
        self.keep("last", every[:, -TAPS:])
        windows = jnp.stack([every[:, c : c + y.shape[1]] for c in range(TAPS)], axis=2)
        taps = self.weight("taps", "gain", "->chk", c=TAPS)
        y = jnp.einsum("BTchk,chk->BThk", windows, taps) / TAPS
        return self.dense(y, "out", "hk->d")


def counts(c: TransformerConfig, context: int) -> Counts:
    """2 h k d + 4 h k weights; a sequence keeps the last positions when it is generated."""
    return Counts(
        name="my_mixer",
        weights=("d->hk", "->chk", "hk->d"),
        vectors=(c.heads * c.head_dim + c.width) * (c.biases == "all"),
        state=("chk",),
        kept=("hk", "chk", "hk"),
        kept_dots=("hk", "d"),
        letters={"c": TAPS},
    )


PART = Part(
    counts=counts,
    module=lambda: Mixer,
    causal=True,
    source="of my own",
    reads=("heads", "head_dim"),
)
