"""The shape of a model, each choice by name, and how its program is laid out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scaling.common.errors import UserError, check_choices
from scaling.counting.formulas import Dims


@dataclass(frozen=True)
class TransformerConfig:
    """A decoder-only transformer. Part of a run's science: any change here is another run."""

    layers: int = 2
    width: int = 64
    heads: int = 4
    kv_heads: int = 4  # heads: MHA; 1: MQA; between: GQA
    head_dim: int = 16
    ffn: int = 256
    vocab_size: int = 256
    positions: Literal["rope", "learned", "none"] = "rope"
    norm: Literal["rmsnorm", "layernorm"] = "rmsnorm"
    gains: Literal["vector", "scalar", "none"] = "vector"
    biases: Literal["none", "all"] = "none"
    mlp: Literal["gelu", "relu", "relu2", "swiglu"] = "gelu"
    qk_norm: Literal["none", "rmsnorm"] = "none"
    embeddings: Literal["tied", "untied"] = "tied"
    embedding_norm: Literal["none", "rmsnorm"] = "none"  # of token plus position
    block: Literal["sequential", "parallel"] = "sequential"
    experts: int = (
        0  # feed-forward layers to choose from (models/ffn/experts.py), each of width ffn; 0: one
    )
    experts_active: int = 2  # of those, the ones that a token goes to
    # slots of an expert over those it needs where all are chosen alike; experts / experts_active
    # drops no token
    capacity_factor: float = 1.25

    def __post_init__(self) -> None:
        check_choices("model", self)
        for name in ("layers", "width", "heads", "kv_heads", "head_dim", "ffn", "vocab_size"):
            if getattr(self, name) < 1:
                raise UserError(f"model.{name}={getattr(self, name)}: must be at least 1")
        if self.heads % self.kv_heads:
            raise UserError(
                f"model.heads={self.heads} is not a multiple of model.kv_heads={self.kv_heads}"
            )
        if self.width % self.heads:  # heads * head_dim may be any number, but this is a slip
            raise UserError(
                f"model.width={self.width} is not a multiple of model.heads={self.heads}; "
                "set both (and model.head_dim)"
            )
        if self.experts < 0:
            raise UserError(f"model.experts={self.experts}: must be 0 (a dense model) or more")
        if self.experts and not 1 <= self.experts_active <= self.experts:
            raise UserError(
                f"model.experts_active={self.experts_active}: must lie between 1 and "
                f"model.experts={self.experts}"
            )
        if not 0 < self.capacity_factor < math.inf:
            raise UserError(
                f"model.capacity_factor={self.capacity_factor}: must be positive and finite"
            )
        if self.positions == "rope" and self.head_dim % 2:
            raise UserError(f"model.head_dim={self.head_dim}: rope rotates pairs, make it even")

    def capacity(self, context: int) -> int:
        """The slots of an expert for a sequence: ceil(k T capacity_factor / E), at most T."""
        even = self.experts_active * context / self.experts
        return min(context, math.ceil(even * self.capacity_factor - 1e-9))  # no rounding's slot

    def dims(self, context: int) -> Dims:
        """The sizes that accounting needs, for sequences of `context` tokens."""
        gain = {"vector": self.width, "scalar": 1, "none": 0}[self.gains]
        head_gain = {"vector": self.head_dim, "scalar": 1, "none": 0}[self.gains]
        norms = 1 if self.block == "parallel" else 2
        matrices = 3 if self.mlp == "swiglu" else 2
        norm_bias = self.width if (self.norm, self.biases) == ("layernorm", "all") else 0
        qkv_out = (self.heads + 2 * self.kv_heads) * self.head_dim
        attention_bias = qkv_out + self.width
        ffn_bias = (matrices - 1) * self.ffn + self.width
        embedding_gain = gain if self.embedding_norm == "rmsnorm" else 0
        layer = norms * (gain + norm_bias)
        layer += 2 * head_gain if self.qk_norm == "rmsnorm" else 0
        expert = ffn_bias if self.biases == "all" else 0
        layer += attention_bias if self.biases == "all" else 0
        layer += expert * max(self.experts, 1)
        return Dims(
            layers=self.layers,
            width=self.width,
            heads=self.heads,
            kv_heads=self.kv_heads,
            head_dim=self.head_dim,
            ffn=self.ffn,
            ffn_matrices=matrices,
            vocab=self.vocab_size,
            context=context,
            tied=int(self.embeddings == "tied"),
            positions=context if self.positions == "learned" else 0,
            vectors=self.layers * layer + gain + norm_bias + embedding_gain,
            experts=self.experts,
            experts_active=self.experts_active if self.experts else 0,
            expert_slots=self.capacity(context) if self.experts else 0,
            expert_vectors=self.layers * expert if self.experts else 0,
        )


@dataclass(frozen=True)
class Program:
    """How the same function is compiled. Never changes a loss beyond floating-point noise."""

    layers: Literal["unrolled", "scan"] = "unrolled"
    # what of a layer is kept for the backward pass, the rest being worked out again: all, its input
    # alone, or besides that the outputs of its products with weights
    remat: Literal["none", "block", "dots"] = "none"
    # What is "auto" or 0 is for whoever knows the device to resolve
    # (experiments/devices/resolve.py); models want one of the others. "barrier" keeps XLA:CPU's
    # fast matmul in the backward pass (see models/dense.py)
    backward: Literal["auto", "plain", "barrier"] = "auto"
    attention: Literal["auto", "barrier", "xla", "cudnn", "splash"] = (
        "auto"  # models/mixers/attention.py
    )
    # into which the positions are divided, so that only one has its logits in memory at a time
    logits_chunks: int = 0

    def __post_init__(self) -> None:
        check_choices("execution.program", self)


# With nothing made for a device: runs on any, in one process or shared out over many devices.
PLAIN = Program(backward="plain", attention="xla", logits_chunks=1)
