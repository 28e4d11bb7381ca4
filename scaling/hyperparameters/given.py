"""What may be stated of a run when advice on it is wanted: the names, and what they mean.

Apart from the laws, so that a command line can offer them without loading any.
"""

from __future__ import annotations

from collections.abc import Mapping

TUNED = "tuned_"  # begins the quantities of a tuned run of the user's own

GIVEN: Mapping[str, str] = {
    "params_total": "trainable parameters, embeddings included",
    "tokens": "training tokens",
    "params_nonembedding": "parameters without embeddings and readout",
    "params_active": "of those, what one token passes through (mixture of experts)",
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
