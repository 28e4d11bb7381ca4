"""Principal components of eight benchmarks over 148 models, and their growth (Ruan 2024).

Missing accuracies are filled in by a model of one component, fitted again until they stand still.
The components are of the centred accuracies. Within a family the first is linear in ln C.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.datasets import load
from analysis.datasets.observational_scaling import BENCHMARKS
from analysis.figures._reproduction import Reproduction, Row
from analysis.plotting.style import FITTED, MUTED, RAMP, house_style
from scaling.laws._law import Array

if TYPE_CHECKING:
    import pandas as pd

FIRST, THREE, LINEAR = 0.80, 0.97, 0.94  # shares of the variance, and R2 within a family
PRINTED = 0.005  # half of the last digit printed
GROWN = "the table has 148 models, the paper had about 80"
LEAST = 4  # models of a family
REPEATS = 200


def reproduce() -> Reproduction:
    """Shares of variance, and the median R2 of the first component in ln C over families."""
    models = load("observational_scaling")
    filled = complete(models[list(BENCHMARKS.values())].to_numpy(float))
    centred = filled - filled.mean(0)
    _, size, axes = np.linalg.svd(centred, full_matrices=False)
    share = size**2 / (size**2).sum()
    first = centred @ axes[0] * np.sign(axes[0].sum())
    fits = _families(models.assign(first=first))
    above = float(np.mean([r2 > LINEAR for r2 in fits.values()]))
    return Reproduction(
        title="A few components explain the benchmarks of many models",
        source="Ruan et al. 2024, arXiv 2405.10938, Fig. 2 and 3; table from ryoungj/ObsScaling",
        rows=(
            Row("share of the first component", FIRST, float(share[0]), None, GROWN),
            Row("share of the first three", THREE, float(share[:3].sum()), PRINTED),
            Row(
                "R2 of the first in ln C, median over families",
                LINEAR,
                float(np.median(list(fits.values()))),
                None,
                "printed as a lower bound of nearly all families",
            ),
        ),
        notes=(
            f"{len(fits)} families of {LEAST} or more models with tokens; in "
            f"{100 * above:.0f} % of them R2 is above {LINEAR}",
            f"{np.isnan(models[list(BENCHMARKS.values())].to_numpy(float)).mean():.1%} of the "
            "accuracies are filled in",
        ),
        figure=_draw(models.assign(first=first), share, fits),
    )


def complete(values: Array) -> Array:
    """The table with its gaps filled by the mean and one component, to a fixed point."""
    gaps = np.isnan(values)
    filled = np.where(gaps, np.nanmean(values, 0), values)
    for _ in range(REPEATS):
        mean = filled.mean(0)
        u, size, axes = np.linalg.svd(filled - mean, full_matrices=False)
        guess = mean + size[0] * np.outer(u[:, 0], axes[0])
        filled = np.where(gaps, guess, values)
    return filled


def _families(models: pd.DataFrame) -> dict[str, float]:
    """R2 of the first component in ln C, of each family with enough models of known tokens."""
    found = {}
    for name, own in models[models["flops_6nd"] > 0].groupby("family"):
        if len(own) >= LEAST and own["flops_6nd"].nunique() > 2:
            found[str(name)] = float(np.corrcoef(np.log(own["flops_6nd"]), own["first"])[0, 1] ** 2)
    return found


def _draw(models: pd.DataFrame, share: Array, fits: dict[str, float]) -> Any:
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(4.5, 5.6), layout="constrained")
        above, below = figure.subplots(2, height_ratios=(1, 2))
        above.bar(np.arange(1, len(share) + 1), share, color=FITTED)
        above.set(xlabel="principal component", ylabel="share of the variance")
        known = models[models["flops_6nd"] > 0]
        other = known[~known["family"].isin(list(fits))]
        below.plot(other["flops_6nd"], other["first"], "o", ms=3, color="none",
                   markeredgecolor=MUTED)  # fmt: skip
        for k, name in enumerate(fits):
            own = known[known["family"] == name].sort_values("flops_6nd")
            below.plot(own["flops_6nd"], own["first"], "o-", ms=3, lw=0.8,
                       color=RAMP[k % len(RAMP)])  # fmt: skip
        below.set(xscale="log", xlabel="compute 6ND, FLOPs", ylabel="first component")
        return figure
