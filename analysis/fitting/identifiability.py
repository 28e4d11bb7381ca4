"""Parameters that the rows cannot determine under any objective, and the reasons.

For additive power laws the design decides: a variable takes too few values, or variables move
together. For any law the sensitivities at the optimum, d ln L / d theta, decide to first order: a
direction along which no row moves is not identified.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from analysis.tables.points import TIGHT, Array, Points, distinct_values, values_needed
from scaling.laws import Law

SPAN = 2.0  # a variable that moves by less hardly determines an exponent
FLAT = 1e-7  # a direction this much weaker than the strongest is lost in the differences below
STEP = 1e-5


def unidentified(
    law: Law, points: Points, estimates: Mapping[str, float]
) -> tuple[tuple[str, ...], list[str]]:
    """Names, in the order of the law, and one line for each reason."""
    design = law.terms and not law.relations
    lost, why = _design(law, points) if design else _flat(law, points, estimates)
    for term in law.terms:
        # a term that hardly falls is a second constant
        lowest = {each.name: each.low for each in law.free}.get(term.exponent)
        names = {term.amplitude, law.constant or term.amplitude}
        if (
            law.constant
            and estimates.get(term.exponent) == lowest is not None
            and names <= set(law.parameters)
        ):
            lost |= names
            why.append(
                f"{term.exponent} is at its lower bound, so {term.amplitude} and {law.constant} "
                "can be exchanged: not identified"
            )
    return tuple(name for name in law.parameters if name in lost), why


def _design(law: Law, points: Points) -> tuple[set[str], list[str]]:
    names: set[str] = set()
    why: list[str] = []
    for term in law.terms:
        count = len(distinct_values(np.log(points.variables[term.variable])))
        if count < values_needed(law):
            lost = {term.amplitude, term.exponent} | ({law.constant} if law.constant else set())
            names |= lost
            held = "is the same in every row" if count == 1 else f"takes only {count} values"
            why.append(f"{term.variable} {held}: {', '.join(sorted(lost))} not identified")
    centred = points.log_x - points.log_x.mean(axis=1, keepdims=True)
    strength = np.linalg.svd(centred, compute_uv=False)
    if not why and strength.min() <= TIGHT * strength.max():
        lost = {name for term in law.terms for name in (term.amplitude, term.exponent)}
        names |= lost
        why.append(
            f"{' and '.join(law.variables)} move together in every row: "
            f"{', '.join(sorted(lost))} can be exchanged and are not identified"
        )
    return names, why


def _flat(law: Law, points: Points, estimates: Mapping[str, float]) -> tuple[set[str], list[str]]:
    sensitivity = sensitivities(law, points, estimates)
    size = np.linalg.norm(sensitivity, axis=0)
    # a term of exactly zero is at its bound
    terms = [name for term in law.terms for name in (term.amplitude, term.exponent)]
    zero = {name for name in terms if estimates.get(name) == 0}
    still = {name for name, each in zip(law.parameters, size, strict=True) if not each > 0}
    dead = still - zero
    live = [at for at, name in enumerate(law.parameters) if name not in still]
    _, strength, directions = np.linalg.svd(sensitivity[:, live] / size[live], full_matrices=False)
    tied: set[str] = set()
    for direction in directions[strength <= FLAT * strength.max()]:
        tied |= {law.parameters[live[at]] for at in np.flatnonzero(np.abs(direction) > 0.1)}
    why = []
    if dead:
        why.append(f"no row depends on {', '.join(sorted(dead))}: not identified")
    if tied:
        why.append(
            f"{', '.join(sorted(tied))} can be exchanged without moving any row: not identified"
        )
    return dead | tied, why


def narrow(
    law: Law, points: Points, estimates: Mapping[str, float], columns: Mapping[str, str]
) -> list[str]:
    """A line for each variable that spans less than a factor of two: the parameters that only it
    determines are those lost where it is held at its mean."""
    lines = []
    for name, values in points.variables.items():
        span = float(values.max() / values.min()) if values.ndim == 1 else np.inf
        if not 1 + TIGHT < span < SPAN:
            continue
        middle = np.full_like(values, np.exp(np.mean(np.log(values))))
        held = replace(points, variables={**points.variables, name: middle})
        lost, _ = _flat(law, held, estimates)
        if lost:
            names = ", ".join(each for each in law.parameters if each in lost)
            lines.append(
                f"{columns[name]} spans a factor of {span:.3g} only, and {names} rest on it: give "
                f"runs over a factor of {SPAN:g} or more"
            )
    return lines


def sensitivities(law: Law, points: Points, estimates: Mapping[str, float]) -> Array:
    """d ln L_i / d theta_j at the estimates, (n, P), by central differences; theta is ln p for the
    parameters that the law searches by their logarithm and p for the others."""
    columns = []
    for each in law.free:
        value = estimates[each.name]
        step = STEP * (1.0 if each.scale == "log" else max(abs(value), 1e-3))
        moved = [
            {**estimates, each.name: value * np.exp(sign) if each.scale == "log" else value + sign}
            for sign in (step, -step)
        ]
        with np.errstate(invalid="ignore", divide="ignore"):
            up, down = (np.log(law.predict(at, **points.variables)) for at in moved)
        columns.append(np.nan_to_num((up - down) / (2 * step)))
    return np.stack(columns, axis=1)
