"""Names by which a user describes a run to the hyperparameter laws, and their meanings.

This file imports no law, so that a command line starts quickly.
"""

from __future__ import annotations

from collections.abc import Mapping

TUNED = "tuned_"  # prefix of the quantities of a run that the user has tuned

GIVEN: Mapping[str, str] = {
    "params_total": "trainable parameters, embeddings included",
    "tokens": "training tokens",
    "params_nonembedding": "parameters without embeddings and readout",
    "params_active": "parameters that one token meets: fewer with experts, more with shared layers",
    "layers": "layers, for the FLOPs of attention",
    "width": "width, for the FLOPs of attention",
    "seq_len": "tokens in a sequence",
    "batch_tokens": "your batch, in tokens",
    "lr": "your peak learning rate",
    "loss": "the loss that you expect, nats/token",
    "tuned_lr": "learning rate of a tuned run",
    "tuned_tokens": "its training tokens",
    "tuned_batch_tokens": "its batch, in tokens",
    "tuned_weight_decay": "its weight decay",
}
