"""Routes of each token by logits that add up over the layers."""

from __future__ import annotations

from models.routers._routes import Routed, Seen
from models.routers._top_k import route_by


def route(seen: Seen) -> Routed:
    """As of top_k, and the logits for the next layer."""
    before = seen.product(seen.memory["logits"], "residual")
    logits = seen.product(seen.x, "router") + before
    return route_by(logits, seen)._replace(memory={"logits": logits})
