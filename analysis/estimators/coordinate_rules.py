"""Rules in force against the theory of their parametrization, and the names of those that differ.

Each rule of a weight was measured by itself and without noise, as was each factor of the forward
pass. Its slope over the sizes is a power, and theory has another for a rule with a mistake:
1/2 away or more, as a rule. A rule is broken where they differ by more than `TOLERANCE`.

A multiplier acts on the init, the rate and the epsilon alike, and a rate on the decay. Of two
explanations the one with fewer broken rules is taken, so a cause is named and its effects are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scaling.parametrization.theory import GROUPS, Axis, Theory

if TYPE_CHECKING:
    import pandas as pd

TOLERANCE = 0.1  # of a measured power; orthogonal updates of small matrices have 0.04
RULES = ("init", "multiplier", "rate", "epsilon", "decay")
NAMES = {"rate": "learning rate", "decay": "weight decay"}
FACTORS = {
    "attention": "attention scale",
    "residual": "residual multiplier",
    "tied": "tied readout factor",
}


@dataclass(frozen=True)
class Power:
    """A power as measured and by theory.

    Attributes:
        rule: "rate" and the like, or the name of a factor.
        place: the weight, or the factor.
        label: its role, queries among the hidden.
    """

    rule: str
    place: str
    label: str
    in_block: bool
    measured: float
    theory: float
    family: str = "normalised"

    @property
    def off(self) -> float:
        return self.measured - self.theory

    def __str__(self) -> str:
        return f"{self.place} {NAMES.get(self.rule, self.rule)}"


def powers(table: pd.DataFrame, axis: Axis, theory: Theory) -> list[list[Power]]:
    """The powers of each weight, and each factor alone, that theory speaks of."""
    rules = table[table["quantity"].isin(RULES)]
    found = [
        list(_of_weight(weight, axis, theory)) for _, weight in rules.groupby("place", sort=False)
    ]
    for name, rows in table[table["quantity"] == "factor"].groupby("place", sort=False):
        share = growth(rows, axis, "head_dim") if name == "attention" else 1.0
        theirs = theory.factor(axis, str(name)) * share  # type: ignore[arg-type]
        measured = growth(rows, axis, "value")
        found.append([Power("factor", str(name), FACTORS[str(name)], False, measured, theirs)])
    return found


def growth(rows: pd.DataFrame, axis: Axis, column: str) -> float:
    """d ln(column) / d ln(size)."""
    sizes, values = (np.log(rows[name].to_numpy(np.float64)) for name in (axis, column))
    return float(np.polyfit(sizes, values, 1)[0])


def _of_weight(rows: pd.DataFrame, axis: Axis, theory: Theory) -> Iterator[Power]:
    first = rows.iloc[0]
    role, in_block = first["role"], first["layer"] >= 0
    wider = growth(rows, axis, "fan_in") if first["fan_in"] > 0 else 0.0
    few = (rows["fan_out"] < rows["fan_in"]).all()
    wider_out = growth(rows, axis, "fan_out") if few else None
    of = theory.of_weight(axis, role, bool(in_block), wider, wider_out)
    expected: Mapping[str, float | None] = {
        **vars(of),
        "rate": theory.rate(of, first["family"], axis),
    }
    # of a side that does not grow, theory has an init and a rate alone
    grown = [wider] if wider_out is None else [wider, wider_out]
    fixed = (
        axis == "width" and role in ("query", "hidden") and any(abs(g - 1) > 1e-6 for g in grown)
    )
    label = "hidden" if role == "query" else role
    for rule, values in rows.groupby("quantity", sort=False):
        if values[axis].nunique() < 2 or (fixed and rule not in ("init", "rate")):
            continue
        power = expected[str(rule)]
        theirs = -np.inf if power is None else power  # none at all: any is too much
        measured = growth(values, axis, "value")
        yield Power(
            str(rule), first["place"], label, bool(in_block), measured, theirs, first["family"]
        )


def broken(weights: Sequence[Sequence[Power]], axis: Axis) -> dict[str, list[Power]]:
    """The names of the broken rules, each with the powers that show it; of a forward pass first."""
    found = [power for weight in weights for power in _blamed(weight)]
    judged = [power for weight in weights for power in weight]

    def of(rule: str, all_of_them: Sequence[Power]) -> list[Power]:
        return [power for power in all_of_them if power.rule == rule]

    order = ("init", "multiplier", "factor", "rate", "epsilon", "decay")
    return {
        name: group
        for rule in order
        for name, group in _groups(of(rule, found), of(rule, judged), axis)
    }


def _blamed(weight: Sequence[Power]) -> list[Power]:
    """The fewest rules that explain one weight."""
    by_rule = {power.rule: power for power in weight}
    plain = _unexplained(by_rule, 0.0)
    multiplier = by_rule.get("multiplier")
    if not plain or multiplier is None or abs(multiplier.off) <= TOLERANCE:
        return plain
    with_it = [multiplier, *_unexplained(by_rule, multiplier.off)]
    return min(plain, with_it, key=len)


def _unexplained(rules: Mapping[str, Power], multiplier: float) -> list[Power]:
    """The rules that are off by more than a multiplier that is off explains."""
    passes = 2 if "rate" in rules and rules["rate"].family == "gradient" else 1  # back and forth
    rate = rules["rate"].off - passes * multiplier if "rate" in rules else 0.0
    left = {
        name: abs(rules[name].off - explained) > TOLERANCE
        for name, explained in (
            ("init", multiplier),
            ("rate", passes * multiplier),
            ("epsilon", -multiplier),
            ("decay", rate),
        )
        if name in rules
    }
    left |= {name: abs(power.off) > TOLERANCE for name, power in rules.items() if name == "factor"}
    return [rules[name] for name, is_off in left.items() if is_off]


def _groups(
    found: Sequence[Power], judged: Sequence[Power], axis: Axis
) -> Iterator[tuple[str, list[Power]]]:
    """Names for the broken powers of one rule: by role, and by weight where others of it are right.

    Over depth the rules of all blocks have one name; so has an epsilon that is wrong everywhere.
    """
    if not found:
        return
    rule = NAMES.get(found[0].rule, found[0].rule)
    labels = dict.fromkeys(power.label for power in judged)
    if rule == "factor":
        for power in found:
            yield power.label, [power]
    elif axis == "layers" and all(power.in_block for power in found):
        yield f"{rule} in the blocks", list(found)
    elif len(labels) > 1 and len(found) == len(judged):
        yield rule, list(found)
    else:
        for label in labels:
            theirs = [power for power in found if power.label == label]
            all_of_it = len(theirs) == sum(power.label == label for power in judged)
            where = "" if all_of_it else f" ({', '.join(power.place for power in theirs)})"
            if theirs:
                yield f"{label} {rule}{where}", theirs


def unseen(table: pd.DataFrame, axis: Axis) -> Iterator[str]:
    """The rules that these runs cannot show, with the reason."""
    yield "a factor that is the same at every size"
    if axis == "width" and table["head_dim"].nunique() == 1:
        yield "the attention scale, as heads do not grow (--grow head_dim)"
    weights = table[table["quantity"] == "rate"]
    matrices = weights[~weights["role"].isin(("gain", "bias"))]
    decays = weights[weights["role"].map(GROUPS) != "vector"]
    for rule, of in (("epsilon", weights), ("decay", decays)):
        name, lack = NAMES.get(rule, rule), _without(table, rule, of)
        if lack:
            where = f" of {', '.join(lack)}" * (len(lack) < of["place"].nunique())
            yield f"{name}{where}, which this optimizer does not scale"
    if zero := _without(table, "init", matrices):
        yield f"the init of {', '.join(zero)}, which starts at zero"


def _without(table: pd.DataFrame, rule: str, weights: pd.DataFrame) -> list[str]:
    """Weights among these for which no such rule was measured."""
    measured = set(table.loc[table["quantity"] == rule, "place"])
    return [place for place in weights["place"].unique() if place not in measured]
