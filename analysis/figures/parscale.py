"""Parallel streams: fitted to one, two and four of them, the law predicts eight (ParScale 2025).

    L = E + A / (N (1 + k ln P))^alpha

The authors fit all 48 runs. Here eight streams are held out, predicted and compared, beside the
refit of all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.datasets import load
from analysis.figures._reproduction import Reproduction, Row
from analysis.fitting.fit import fit
from analysis.plotting.style import FITTED, HELD, INK, house_style, log_ticks, rung_style
from scaling.laws.parscale import parscale

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fitting.result import FitResult

CORPORA = {"Stack-V2 Python": ("parscale_stack", 0.99783), "Pile": ("parscale_pile", 0.99868)}
HELD_OUT = 8
TOLERANCE = {"E": 1e-3, "alpha": 5e-4, "k": 5e-4}  # A is as sharp as alpha lets it be
PRINTED = 5e-6


def reproduce() -> Reproduction:
    """The refit of all runs beside the authors', and the blind prediction of eight streams."""
    table = load("parscale")
    rows, notes, drawn = [], [], []
    for corpus, (name, r2) in CORPORA.items():
        runs = table[table["corpus"] == corpus]
        whole = fit(parscale, runs)
        published = parscale.constants(name).values
        rows += [
            Row(f"{corpus}: {each}", published[each], whole.params[each], tolerance)
            for each, tolerance in TOLERANCE.items()
        ]
        rows.append(Row(f"{corpus}: R2", r2, _r2(runs, whole), PRINTED))
        fitted, held = runs[runs["streams"] < HELD_OUT], runs[runs["streams"] == HELD_OUT]
        blind = fit(parscale, fitted)
        said = _at(blind, held)
        off = 100 * (said / held["loss"].to_numpy() - 1)
        notes.append(
            f"{corpus}: fitted without it, eight streams are predicted {np.abs(off).mean():.2f} % "
            f"off in the mean, {off[np.abs(off).argmax()]:+.2f} % at worst; "
            f"k {blind.params['k']:.3f} (all runs: {whole.params['k']:.3f})"
        )
        drawn.append((corpus, fitted, held, blind))
    return Reproduction(
        title="Parallel streams: eight predicted from one, two and four",
        source="Chen et al. 2025, arXiv 2505.10475, section 3; runs from QwenLM/ParScale",
        rows=tuple(rows),
        notes=(
            *notes,
            "eight streams are worth "
            + " and ".join(f"{1 + blind.params['k'] * np.log(8):.2f}" for *_, blind in drawn)
            + " times the parameters, by the blind fits",
        ),
        figure=_draw(drawn),
    )


def _at(found: FitResult, runs: pd.DataFrame) -> Any:
    params, streams = runs["params_nonembedding"].to_numpy(), runs["streams"].to_numpy(float)
    return found.law.predict(found.estimates, params=params, streams=streams)


def _r2(runs: pd.DataFrame, found: FitResult) -> float:
    loss = runs["loss"].to_numpy()
    return float(1 - ((loss - _at(found, runs)) ** 2).sum() / ((loss - loss.mean()) ** 2).sum())


def _draw(drawn: list[Any]) -> Any:
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(7.0, 3.8), layout="constrained")
        panels = figure.subplots(1, 2)
        for axes, (corpus, fitted, held, blind) in zip(panels, drawn, strict=True):
            for at, (streams, own) in enumerate([*fitted.groupby("streams"), (HELD_OUT, held)]):
                is_held = streams == HELD_OUT
                style = {"color": HELD, "marker": "*"} if is_held else rung_style(at, 4)
                sizes = own["params_nonembedding"]
                span = np.geomspace(sizes.min(), sizes.max(), 50)
                law = blind.law.predict(blind.estimates, params=span, streams=float(streams))
                axes.plot(span, law, "--" if is_held else "-", lw=1.0,
                          color=FITTED if is_held else INK)  # fmt: skip
                axes.plot(sizes, own["loss"], ls="none", ms=5, **style,
                          label=f"P = {streams}" + ", held out" * is_held)  # fmt: skip
            axes.set(title=corpus, xscale="log", yscale="log",
                     xlabel="parameters without embeddings", ylabel="loss, nats/token")  # fmt: skip
            log_ticks(axes.xaxis, *axes.get_xlim())
            low, high = axes.get_ylim()
            log_ticks(axes.yaxis, low, high, "{:g}".format)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
        return figure
