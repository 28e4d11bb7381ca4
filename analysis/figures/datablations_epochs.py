"""Chinchilla's law on runs of few epochs: two choices of runs, two laws (Muennighoff 2023).

Huber 1e-3 of log residuals, on the runs of the data-constrained study. One fit ties alpha = beta on
at most 2.5 epochs; the other holds E = 1.69 on at most two. The exponents of data differ by a
tenth, and so does the optimal size, on nearly the same runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.datasets import load
from analysis.figures._reproduction import Reproduction, Row
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.plotting.numbers import quantity
from analysis.plotting.style import FITTED, HELD, MUTED, house_style, log_ticks, round_ticks
from scaling.laws.chinchilla import allocation, chinchilla

if TYPE_CHECKING:
    import pandas as pd

TIED: Mapping[str, float] = {"A": 6.4526014, "B": 8.022968, "E": 0.63987476, "alpha": 0.3595363}
FIXED: Mapping[str, float] = {"A": 4.2209926, "B": 8.796665, "alpha": 0.22246543,
                              "beta": 0.39888707}  # fmt: skip
LOGGED = ("A", "B", "E")  # printed as logarithms
SHORT = {"tied": 2e-3, "fixed": 1e-3}  # by which their optimiser stops short
STOPS = "theirs stops short of the minimum"
COMPUTE = np.geomspace(1e18, 1e23, 60)


def reproduce() -> Reproduction:
    """The constants of both fits beside those that the authors' notebook prints."""
    runs = load("datablations")
    few, two = runs[runs["epochs"] <= 2.5], runs[runs["epochs"] <= 2]
    tied = fit(chinchilla.tied(beta="alpha"), few)
    fixed = fit(chinchilla.given(E=1.69), two)
    optima = {"tied": _size(tied, 1e21), "fixed": _size(fixed, 1e21)}
    return Reproduction(
        title="One law, two choices of runs of few epochs",
        source="Muennighoff et al. 2023, arXiv 2305.16264; huggingface/datablations, notebook",
        rows=(
            Row("runs of at most 2.5 epochs", 62, float(len(few)), 0),
            Row("runs of at most 2 epochs", 59, float(len(two)), 0),
            *_rows("alpha = beta", TIED, tied, SHORT["tied"]),
            Row(
                "alpha = beta: objective", 0.0012, tied.objective, 5e-5, "printed to four decimals"
            ),
            *_rows("E = 1.69", FIXED, fixed, SHORT["fixed"]),
        ),
        notes=(
            f"at 1e21 FLOPs the tied law asks for {quantity(optima['tied'])} parameters and the "
            f"one of E = 1.69 for {quantity(optima['fixed'])}",
            f"a = beta / (alpha + beta) is 0.5 where they are tied, and "
            f"{fixed.params['beta'] / (fixed.params['alpha'] + fixed.params['beta']):.2f} where "
            "E is held: a constant that is held decides the allocation",
        ),
        figure=_draw(few, tied, fixed),
    )


def _rows(name: str, printed: Mapping[str, float], found: FitResult, tolerance: float) -> list[Row]:
    ours = {k: float(np.log(v)) if k in LOGGED else v for k, v in found.params.items()}
    return [
        Row(f"{name}: {'ln ' if k in LOGGED else ''}{k}", value, ours[k], tolerance, STOPS)
        for k, value in printed.items()
    ]


def _size(found: FitResult, flops: float) -> float:
    return float(allocation(found.params, flops)[0])


def _draw(few: pd.DataFrame, tied: FitResult, fixed: FitResult) -> Any:
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(7.0, 3.6), layout="constrained")
        losses, sizes = figure.subplots(1, 2)
        x = few["flops_6nd"].to_numpy()
        for found, color, marker, name in (
            (tied, FITTED, "o", "alpha = beta"), (fixed, HELD, "^", "E = 1.69"),
        ):  # fmt: skip
            said = found.law.predict(found.estimates, params=few["params_total"].to_numpy(),
                                     tokens=few["tokens"].to_numpy())  # fmt: skip
            losses.plot(x, 100 * (few["loss"] / said - 1), marker, ms=4, color="none",
                        markeredgecolor=color, label=name)  # fmt: skip
            sizes.plot(COMPUTE, allocation(found.params, COMPUTE)[0], color=color,
                       ls="-" if marker == "o" else "--", label=name)  # fmt: skip
        losses.axhline(0, color=MUTED, lw=0.7)
        losses.set(xscale="log", xlabel="compute 6ND, FLOPs", ylabel="loss over law, less 1, %")
        log_ticks(losses.xaxis, *losses.get_xlim())
        sizes.set(xscale="log", yscale="log", xlabel="compute 6ND, FLOPs", ylabel="N*, parameters")
        round_ticks(sizes)
        losses.legend()
        sizes.legend()
        return figure
