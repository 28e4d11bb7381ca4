"""Tables of coordinates with known slopes, as `windtunnel coordinates` writes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from scaling.parametrization.theory import THEORIES, Axis

SIZES = (32, 64, 128)
PLACES = ("embedded", "attention/query", "attention/logits", "mlp/in", "stream", "logits")
WEIGHTS = {
    "embedding": "embedding",
    "attention/query": "query",
    "attention/out": "hidden",
    "mlp/in": "hidden",
    "readout": "readout",
    "final_norm/gain": "gain",
}
FACTORS = ("attention", "residual")


def table(
    name: Any = "mup",
    axis: Axis = "width",
    family: Any = "normalised",
    seeds: int = 6,
    noise: float = 0.01,
    heads: bool = True,
    **off: float,
) -> pd.DataFrame:
    """Coordinates by theory, but for powers that are `off["rate mlp/in"]` and the like.

    Of an activation the power of its step too: `off["size2 stream"]`.
    """
    theory, rng = THEORIES[name], np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for size in SIZES:
        shape = {"width": 64, "layers": 2, "head_dim": size if heads else 16} | {axis: size}
        fixed = {"parametrization": name, **shape, "seed": 0, "step": 0, "layer": -1}
        for weight, role in WEIGHTS.items():
            inside = "/" in weight and role != "gain"
            of = theory.of_weight(axis, role, inside)  # type: ignore[arg-type]
            powers = vars(of) | {"rate": theory.rate(of, family, axis)}
            fan_in = size if axis == "width" and role not in ("embedding", "gain") else 7
            for rule, power in powers.items():
                own = off.get(f"{rule} {weight}", 0.0)
                if power is None or (rule == "init" and role == "gain"):
                    continue
                more = {
                    "role": role, "family": family, "fan_in": fan_in, "fan_out": fan_in,
                    "layer": inside - 1,
                }  # fmt: skip
                value = size ** (power + own)
                rows.append(fixed | more | {"quantity": rule, "place": weight, "value": value})
        for factor in FACTORS:
            grows = heads or factor != "attention"
            power = theory.factor(axis, factor) * grows + off.get(f"factor {factor}", 0.0)  # type: ignore[arg-type]
            value = size**power
            rows.append(fixed | {"quantity": "factor", "place": factor, "value": value})
        for place in PLACES:
            layer = -1 if place in ("embedded", "logits") else shape["layers"] - 1
            sound = {
                "size": theory.at_start(axis, place, float(heads))[0],
                "change": (theory.after(axis, place, "change", float(heads)) or (0.0, 0.0))[1],
            }
            for seed in range(seeds):
                for step in (0, 1, 2):
                    for what in ("size", "change"):
                        power = sound[what] + off.get(f"{what}{step} {place}", 0.0)
                        value = size**power * np.exp(noise * rng.normal())
                        value *= what == "size" or step > 0
                        at = {"seed": seed, "step": step, "layer": layer}
                        rows.append(fixed | at | {"quantity": what, "place": place, "value": value})
    return pd.DataFrame(rows)
