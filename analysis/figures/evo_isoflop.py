"""Compute-optimal DNA models of four architectures: N* and D* against compute (Evo, Fig. S5).

Nguyen et al. 2024 trained Transformer++, Mamba, Hyena and StripedHyena at four budgets on genomes.
Their 16 optima were read from the figure; a straight line in logs goes through each four.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.datasets import load
from analysis.datasets.evo_isoflop import DATASET
from analysis.figures._reproduction import Reproduction, Row
from analysis.plotting.style import SIZE, house_style, log_log, round_ticks, rung_style

if TYPE_CHECKING:
    import pandas as pd

PUBLISHED = {  # exponent of N*, and of D*, of the collectors' fits
    "Transformer++": (0.5518831999583678, 0.5506258241771704),
    "Mamba": (0.3877050339777191, 0.48687110601153105),
    "Hyena": (0.5040350057983791, 0.49868132360325895),
    "StripedHyena": (0.48336884295533095, 0.5387061193279415),
}
SAME = 1e-9
QUANTITIES = (("params", "N*, parameters"), ("tokens", "D*, tokens"))


def reproduce() -> Reproduction:
    """Exponents of N*(C) and D*(C) for each architecture."""
    table = load("evo_isoflop")
    lines = {
        str(name): {what: _line(rows, what) for what, _ in QUANTITIES}
        for name, rows in table.groupby("architecture", sort=False)
    }
    rows = [
        Row(f"{name}: {said} ~ C^p, p", published, float(lines[name][what][0]), SAME)
        for name, both in PUBLISHED.items()
        for (what, said), published in zip(QUANTITIES, both, strict=True)
    ]
    sums = {name: float(both["params"][0] + both["tokens"][0]) for name, both in lines.items()}
    least = min(sums, key=lambda name: sums[name])
    spread = max(_spread(rows) for _, rows in table.groupby("architecture"))
    return Reproduction(
        title="Compute-optimal DNA models",
        source=DATASET.paper,
        rows=tuple(rows),
        notes=(
            "N* and D* are read from separate curves, so their exponents need not add up to 1: "
            f"they add up to {min(sums.values()):.2f} to {max(sums.values()):.2f}, the least for "
            f"{least}",
            f"four optima a line, each off its line by up to {100 * spread:.0f} %: the exponents "
            "are known to about 0.1, and no two architectures are told apart by them",
        ),
        figure=_draw(table, lines),
    )


def _line(rows: pd.DataFrame, what: str) -> Any:
    """Slope and intercept of ln N* or ln D* in ln C."""
    flops = np.log(rows[f"flops_{what}"].to_numpy())
    return np.polyfit(flops, np.log(rows[f"{what}_optimal"].to_numpy()), 1)


def _spread(rows: pd.DataFrame) -> float:
    """The largest residual of a logarithm about the lines of one architecture."""
    worst = []
    for what, _ in QUANTITIES:
        line = np.polyval(_line(rows, what), np.log(rows[f"flops_{what}"]))
        worst.append(np.abs(np.log(rows[f"{what}_optimal"]) - line).max())
    return float(max(worst))


def _draw(table: pd.DataFrame, lines: dict[str, dict[str, Any]]) -> Any:
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(1.6 * SIZE[0], SIZE[1]), layout="constrained")
        for axes, (what, label) in zip(figure.subplots(1, 2), QUANTITIES, strict=True):
            for at, (name, rows) in enumerate(table.groupby("architecture", sort=False)):
                look = rung_style(at, len(lines))
                spent = rows[f"flops_{what}"].to_numpy()
                axes.plot(
                    spent, rows[f"{what}_optimal"], linestyle="none", **look,
                    label=str(name) if what == "params" else None,
                )  # fmt: skip
                span = np.geomspace(spent.min() / 1.2, spent.max() * 1.2, 20)
                axes.plot(
                    span, np.exp(np.polyval(lines[str(name)][what], np.log(span))),
                    color=look["color"], linewidth=1,
                )  # fmt: skip
            log_log(axes, "compute C, FLOPs", label)
            round_ticks(axes)
        figure.legend(loc="outside upper center", ncols=4)
        return figure
