"""The data-mixing law on 26 mixtures of five domains: published constants, and ours.

The published constants are L_i(r) = exp(c_i) + exp(k_i + t_i r). As the weights add up to 1, k_i
and a shift of t_i are one number; ours has it in t_i. The authors fit 20 of the mixtures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.datasets import load
from analysis.datasets.data_mixing_laws import DOMAINS, STEP
from analysis.figures._reproduction import Reproduction, Row
from analysis.inference.mixing.regressions import MixingLaw, cross_validated, fit_law, proxies_of
from analysis.plotting.style import FITTED, HELD, MARKERS, house_style

if TYPE_CHECKING:
    from analysis.tables.columns import Array

# c, k, t of the text's order of domains; and the mean |error| of the domain in %
PUBLISHED: Mapping[str, tuple[float, float, tuple[float, ...], float]] = {
    "academic": (0.9750, -2.1391, (-10.0864, 2.7140, 2.7106, 2.6083, 1.5866), 0.99),
    "prose": (1.2624, -2.1656, (1.3930, -4.6811, 0.7855, 1.8719, 0.5734), 0.32),
    "dialogue": (1.1375, -7.1017, (6.7135, 6.2643, -31.8621, 6.6423, 6.2053), 0.81),
    "symbolic": (0.4750, -3.6546, (3.3289, 3.6705, 3.1127, -16.4217, 3.1591), 0.86),
    "internet": (1.2402, -1.9510, (1.1897, 0.8697, -0.5184, 1.7122, -3.0870), 0.27),
}


def law(domain: str) -> MixingLaw:
    """The published law of a domain."""
    c, k, t, _ = PUBLISHED[domain]
    return MixingLaw(float(np.exp(c)), np.array(t) + k)


def reproduce() -> Reproduction:
    """Errors of the published constants, and of least squares on the same runs."""
    table = load("data_mixing_laws")
    proxies = proxies_of(table[(table["model"] == "70M") & (table["steps"] == STEP)])
    ones = np.ones(len(proxies.weights))
    theirs, ours, held_out = {}, {}, {}
    for k, domain in enumerate(DOMAINS):
        theirs[domain] = law(domain)(proxies.weights)
        ours[domain] = fit_law(proxies.weights, proxies.losses[:, k], ones)(proxies.weights)
        held_out[domain] = cross_validated(proxies, "law", np.eye(len(DOMAINS))[k])
    measured = dict(zip(DOMAINS, proxies.losses.T, strict=True))
    rows = [
        Row(f"mean |error|, {domain}, %", PUBLISHED[domain][3],
            _error(theirs[domain], measured[domain]), 0.006)
        for domain in DOMAINS
    ] + [
        Row(f"the same, least squares on all 26, {domain}", PUBLISHED[domain][3],
            _error(ours[domain], measured[domain]), None, "theirs is fitted to 20 of the 26")
        for domain in DOMAINS
    ]  # fmt: skip
    return Reproduction(
        title="Data-mixing law: five domains, 26 mixtures",
        source="Ye et al. 2024, arXiv 2403.16952; runs of 70M from yegcjs/mixinglaws",
        rows=tuple(rows),
        notes=(
            "errors in cross-validation, least squares: "
            + ", ".join(f"{name} {100 * each.error:.2f} %" for name, each in held_out.items()),
            "they are larger than in the sample where no other run has a weight so small or so "
            "large: the exponential is not bounded there",
        ),
        figure=_draw(measured, theirs, ours),
    )


def _error(predicted: Array, measured: Array) -> float:
    return float(100 * np.mean(np.abs(predicted / measured - 1)))


def _draw(measured: Any, theirs: Any, ours: Any) -> Any:
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(4.5, 4.0), layout="constrained")
        axes = figure.subplots()
        for domain, mark in zip(measured, MARKERS, strict=False):
            for found, color, fill in ((theirs, HELD, "none"), (ours, FITTED, "full")):
                axes.plot(
                    measured[domain], 100 * (found[domain] / measured[domain] - 1), marker=mark,
                    linestyle="none", color=color, fillstyle=fill, markersize=4,
                    label=domain if found is ours else None,
                )  # fmt: skip
        axes.axhline(0, color="0.6", lw=0.8)
        axes.set(xlabel="measured loss, nats/token", ylabel="predicted above measured, %")
        axes.set_title("open: published constants; filled: least squares", loc="left", fontsize=9)
        figure.legend(loc="outside lower center", ncols=3, fontsize=8)
        return figure
