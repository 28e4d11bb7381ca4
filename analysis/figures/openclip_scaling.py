"""Zero-shot error of CLIP models against compute, along the best ones (Cherti et al. 2023).

    error = beta C^alpha        C in multiply-adds over all samples

least squares of the logs through the models that no model of less compute beats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.datasets import load
from analysis.figures._reproduction import Reproduction, Row
from analysis.plotting.style import FITTED, INK, MUTED, house_style, log_ticks

if TYPE_CHECKING:
    import pandas as pd

OPENAI = "CLIP-WIT"
CASES = (  # set, its errors, models, printed slope
    ("imagenet1k", "error_top1", "LAION", -0.11),
    ("imagenet1k", "error_top1", OPENAI, -0.16),
    ("mscoco_captions", "error_image_r5", "LAION", -0.08),
    ("mscoco_captions", "error_image_r5", OPENAI, -0.05),
)
SETS = {"imagenet1k": "ImageNet", "mscoco_captions": "COCO"}
PRINTED = 0.005  # half of the last digit printed


def reproduce() -> Reproduction:
    """The slope of each set and corpus."""
    models = load("openclip_scaling")
    rows, drawn = [], []
    for which, error, corpus, published in CASES:
        own = models[models["evaluation"] == which]
        is_openai = own["corpus"] == OPENAI
        own = own[is_openai] if corpus == OPENAI else own[~is_openai]
        best = frontier(own, error)
        slope, level = np.polyfit(np.log(best["gmacs"]), np.log(best[error]), 1)
        rows.append(Row(f"{which}, {corpus}: alpha", published, float(slope), PRINTED))
        drawn.append((which, corpus, own, error, best, slope, level))
    return Reproduction(
        title="Error of CLIP models falls as a power of compute",
        source="Cherti et al. 2023, arXiv 2212.07143, Fig. 1; LAION-AI/scaling-laws-openclip",
        rows=tuple(rows),
        notes=(
            "the line is through the best models alone: it is a frontier, not a law of a run",
            "OpenAI's models are three, so that their lines have next to no freedom",
        ),
        figure=_draw(drawn),
    )


def frontier(models: pd.DataFrame, error: str) -> pd.DataFrame:
    """The models that none of at most their compute beats."""
    ordered = models.dropna(subset=[error]).sort_values(["gmacs", error])
    return ordered[ordered[error] < ordered[error].cummin().shift(fill_value=np.inf)]


def _draw(drawn: list[Any]) -> Any:
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(6.5, 5.6), layout="constrained")
        for axes, (which, corpus, own, error, best, slope, level) in zip(
            figure.subplots(2, 2).ravel(), drawn, strict=True
        ):
            axes.plot(own["gmacs"], own[error], "o", ms=3, color="none", markeredgecolor=MUTED)
            axes.plot(best["gmacs"], best[error], "o", ms=4, color=FITTED)
            span = np.array([own["gmacs"].min(), own["gmacs"].max()])
            axes.plot(span, np.exp(level) * span**slope, color=INK, lw=1.0)
            axes.set(xscale="log", yscale="log", xlabel="compute, GMACs", ylabel="error",
                     title=f"{SETS[which]}, {corpus}: {slope:.3f}")  # fmt: skip
            log_ticks(axes.yaxis, *axes.get_ylim())
        return figure
