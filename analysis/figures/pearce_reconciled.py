"""Kaplan's exponent out of Chinchilla's law: sizes counted without embeddings, at Kaplan's sizes.

    N = n + 47491 n^(1/3)        all parameters N, of them n without embeddings
    L = E + A / N^alpha + B / D^beta,   C = 6 n D

Pearce and Song 2024 (arXiv 2406.12907) let the compute-optimal n of C grow with all its sizes, and
fit a power to it over 768 to 1.5e9 parameters. No run is needed: constants alone make the figure.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.figures._reproduction import Reproduction, Row
from analysis.plotting.style import FITTED, HELD, MUTED, house_style, log_ticks, round_ticks
from scaling.laws._law import Array
from scaling.laws.chinchilla import chinchilla

EMBEDDED = 47491.0  # N - n over n^(1/3), which the authors fit to Chinchilla's sizes
SIZES = np.logspace(2.9, 9.2, 20)
FINE = np.logspace(1, 12, 20_000)
COMPUTE = np.logspace(12.95, 20.7, 100)
CASES = (  # constants, the printed exponent, colour, line
    ("besiroglu2024", 0.78, FITTED, "-"),
    ("hoffmann2022", 0.74, HELD, "--"),
)
PRINTED = 0.005
KAPLAN = 0.73


def reproduce() -> Reproduction:
    """The local exponent of each set of constants, and its limits."""
    rows, drawn, notes = [], [], []
    for name, published, color, line in CASES:
        best = optima(name, SIZES)
        slope = float(np.polyfit(np.log(COMPUTE), np.log(best), 1)[0])
        rows.append(Row(f"{name}: n* ~ C^a, a", published, slope, PRINTED))
        fine = optima(name, FINE)
        exact = float(np.polyfit(np.log(COMPUTE), np.log(fine), 1)[0])
        constants = chinchilla.constants(name).values
        limit = constants["beta"] / (constants["alpha"] + constants["beta"])
        notes.append(f"{name}: 20 sizes give {slope:.3f}, all sizes {exact:.3f}; the limit of "
                     f"large models is beta / (alpha + beta) = {limit:.2f}")  # fmt: skip
        drawn.append((name, best, fine, color, line))
    return Reproduction(
        title="Kaplan's exponent out of Chinchilla's law",
        source="Pearce and Song 2024, arXiv 2406.12907, Fig. 4; constants of the two refits",
        rows=tuple(rows),
        notes=(*notes, f"Kaplan et al. 2020 measured {KAPLAN} of n on this range"),
        figure=_draw(drawn),
    )


def optima(name: str, sizes: Array) -> Array:
    """The size without embeddings of the least loss at each compute, of the given ones."""
    constants = chinchilla.constants(name).values
    every = sizes + EMBEDDED * sizes ** (1 / 3)
    losses = chinchilla.predict(
        constants, params=every[None], tokens=COMPUTE[:, None] / (6 * sizes[None])
    )
    found: Array = sizes[losses.argmin(1)]
    return found


def _draw(drawn: list[Any]) -> Any:
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(7.0, 3.6), layout="constrained")
        sizes, slopes = figure.subplots(1, 2)
        for name, best, fine, color, line in drawn:
            sizes.plot(COMPUTE, best, "o", ms=2.5, color=color)
            sizes.plot(COMPUTE, fine, line, color=color, lw=1.0, label=name)
            local = np.gradient(np.log(fine[::3]), np.log(COMPUTE[::3]))
            slopes.plot(COMPUTE[::3], local, line, color=color, label=name)
        slopes.axhline(KAPLAN, color=MUTED, lw=0.8, ls=":", label="Kaplan 2020")
        sizes.set(xscale="log", yscale="log", xlabel="compute 6nD, FLOPs",
                  ylabel="n*, parameters without embeddings")  # fmt: skip
        round_ticks(sizes)
        slopes.set(xscale="log", xlabel="compute 6nD, FLOPs", ylabel="local exponent of n*")
        log_ticks(slopes.xaxis, *slopes.get_xlim())
        sizes.legend()
        slopes.legend()
        return figure
