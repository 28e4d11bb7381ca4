"""The best mixture of a sweep of mixtures, for the mean loss on all its texts.

Regressions of analysis/inference/mixing/, cross-validated, beside the mixtures that were trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.inference.mixing.regressions import (
    Accuracy,
    BestMixture,
    Compared,
    Proxies,
    best_mixture,
    compared_of,
    cross_validated,
    predicted_of,
    predictor,
    proxies_of,
)
from analysis.plotting.numbers import ranged
from analysis.plotting.style import FITTED, MUTED, house_style
from analysis.readings._finding import Picture, TextTable
from analysis.tables.study import StudyRecords
from experiments.record import Status
from scaling.common.answers import Ranged
from scaling.common.errors import UserError

if TYPE_CHECKING:
    from analysis.tables.columns import Array

RESAMPLES = 30
NAMES = ("law", "ridge", "trees")


@dataclass(frozen=True)
class Mixtures:
    """Each regression's errors and best mixture, and the trained mixtures from the best up."""

    proxies: Proxies
    judged: Mapping[str, Accuracy]
    each_text: Mapping[str, Accuracy]  # of the law
    best: Mapping[str, BestMixture]
    trained: tuple[Compared, ...]
    predicted: Mapping[str, float]  # of the trained ones, by the law
    notes: tuple[str, ...]

    @property
    def predictions(self) -> Mapping[str, float]:
        """The least loss by each regression, and the weights at which it lies."""
        return {
            f"{name}: {what}": float(value)
            for name, best in self.best.items()
            for what, value in (
                ("loss", best.loss),
                *zip(self.proxies.texts, best.weights, strict=True),
            )
        }

    def __str__(self) -> str:
        law = self.judged["law"]
        said = (
            f"the mixing law errs by {100 * law.error:.2f} % on runs left out, Spearman "
            f"{law.spearman:.2f} [{law.low:.2f}, {law.high:.2f}]"
        )
        if len(self.trained) > 1:
            first, *others = self.trained
            over = ", ".join(f"{each.label} {_percent(each.above(first))}" for each in others)
            said += f"; of the trained mixtures '{first.label}' is best, above it: {over}"
        return said

    @property
    def tables(self) -> tuple[TextTable, ...]:
        judged = {f"{name}, all texts": each for name, each in self.judged.items()}
        judged |= {f"law, {text}": each for text, each in self.each_text.items()}
        found = [
            TextTable(
                "Errors on runs left out",
                "8-fold cross-validation; the interval of the rank correlation is over the runs",
                ("regression", "mean |error|, %", "Spearman"),
                tuple(
                    (
                        name,
                        f"{100 * each.error:.2f}",
                        f"{each.spearman:.3f} [{each.low:.3f}, {each.high:.3f}]",
                    )
                    for name, each in judged.items()
                ),
            ),
            TextTable(
                "The best mixture for the mean of all texts",
                f"95 % intervals: the runs weighed anew, {RESAMPLES} times",
                ("by", *self.proxies.texts),
                tuple((name, *_weights(each)) for name, each in self.best.items()),
            ),
        ]
        if self.trained:
            found.append(
                TextTable(
                    "Mixtures that were trained",
                    "paired by seed; the best of them is chosen by its own luck",
                    (
                        *("mixture", "seeds", "loss, nats/token", "by the law", "above the best"),
                        *self.proxies.texts,
                    ),
                    tuple(
                        (
                            each.label,
                            str(len(each.losses)),
                            f"{each.mean:.4f}",
                            f"{self.predicted[each.label]:.4f}",
                            _percent(each.above(self.trained[0])),
                            *(f"{weight:.3f}" for weight in each.weights),
                        )
                        for each in self.trained
                    ),
                )
            )
        return tuple(found)

    def pictures(self) -> tuple[Picture, ...]:
        return (
            Picture(
                "mixtures",
                lambda: draw(self),
                "Predicted and measured loss of each mixture.",
                "One mark for each run, a panel for each text. The law is fitted to all of them: "
                "the table has its errors on runs left out.",
                str(self),
            ),
        )

    def save(self, folder: Path) -> tuple[Path, ...]:
        return ()


def read(study: StudyRecords) -> Mixtures | None:
    """The regressions on the finished proxies; None before there is any."""
    if study.fit_runs.empty:
        return None
    proxies = proxies_of(study.fit_runs)
    shares, notes = proxies.target(()), []
    judged, best = {}, {}
    for name in NAMES:
        try:
            judged[name] = cross_validated(proxies, name, shares)
        except UserError as missing:  # the package of the trees
            notes.append(str(missing))
            continue
        best[name] = best_mixture(proxies, name, shares, RESAMPLES)
    each = {text: cross_validated(proxies, "law", proxies.target((text,))) for text in
            proxies.targets}  # fmt: skip
    runs = study.runs[study.runs["status"] == str(Status.COMPLETED)]
    trained = compared_of(runs, proxies, shares)
    predicted = predicted_of(trained, proxies, shares)
    return Mixtures(proxies, judged, each, best, trained, predicted, tuple(notes))


def _weights(best: BestMixture) -> tuple[str, ...]:
    low, high = best.interval()
    rows = zip(best.weights, low, high, strict=True)
    return tuple(f"{value:.2f} [{a:.2f}, {b:.2f}]" for value, a, b in rows)


def _percent(above: Ranged) -> str:
    value, low, high = (100 * each for each in above)
    return ranged((value, low, high), ".2f", " %")


def draw(found: Mixtures) -> Any:
    """A panel for each text: measured loss against that of the law."""
    from matplotlib.figure import Figure

    proxies = found.proxies
    count = len(proxies.targets)
    with house_style():
        figure = Figure(figsize=(1.9 * count, 2.4), layout="constrained")
        for axes, text in zip(figure.subplots(1, count, squeeze=False)[0], proxies.targets,
                              strict=True):  # fmt: skip
            shares: Array = proxies.target((text,))
            measured = proxies.losses @ shares
            predicted = predictor(proxies, "law", shares)(proxies.weights)
            axes.plot(
                predicted, measured, marker="o", linestyle="none", color=FITTED, fillstyle="none",
                markersize=3,
            )  # fmt: skip
            ends = [measured.min(), measured.max()]
            axes.plot(ends, ends, color=MUTED, lw=0.8)
            axes.set_title(text, loc="left", fontsize=9)
            axes.set_xlabel("law, nats/token")
        figure.axes[0].set_ylabel("measured, nats/token")
        return figure
