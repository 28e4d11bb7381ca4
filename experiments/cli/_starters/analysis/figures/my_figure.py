"""A published figure drawn again: the loss against compute, and the constants of its law refitted.

    windtunnel figure my_figure

The runs are made from the published constants and a noise of 0.2 %. Put the released runs in their
place: `analysis.datasets.load("NAME")`, or a table of your own by `analysis.load_table("FILE")`.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from analysis.figures._reproduction import Reproduction, Row
from analysis.fitting.fit import fit
from analysis.plotting.style import house_style, log_log
from scaling.laws.chinchilla import chinchilla

PUBLISHED = chinchilla.constants("besiroglu2024")
TOLERANCE = {"E": 0.05, "alpha": 0.02, "beta": 0.02}  # what such noise may do to a constant


def runs() -> pd.DataFrame:
    """One row for each run: params, tokens, loss."""
    params, ratio = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e8, 1e10, 9), [5, 20, 80]))
    loss = chinchilla.predict(PUBLISHED.values, params=params, tokens=ratio * params)
    noise = np.exp(np.random.default_rng(0).normal(0, 2e-3, loss.size))
    return pd.DataFrame({"params": params, "tokens": ratio * params, "loss": loss * noise})


def reproduce() -> Reproduction:
    """The constants beside ours, and the picture."""
    table = runs()
    ours = fit(chinchilla, table, params="params", tokens="tokens")
    with house_style():
        figure, axes = plt.subplots(layout="constrained")
        axes.plot(6 * table["params"] * table["tokens"], table["loss"], "o")
        log_log(axes, "compute, FLOPs 6ND", "loss, nats/token")
    return Reproduction(
        title="Loss against compute",
        source=PUBLISHED.source,
        rows=tuple(
            Row(name, PUBLISHED.values[name], ours.params[name], tolerance)
            for name, tolerance in TOLERANCE.items()
        ),
        notes=("the runs are made from the published constants",),
        figure=figure,
    )
