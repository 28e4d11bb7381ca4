"""Coordinate check of a parametrization: sizes of activations and of their changes across models.

For every place in the model and every step:  ln mean|x| = a + b ln(size)  over the widths (or
depths) measured, seed by seed. The slope is the mean over the seeds, with Student's 95 % interval.
A parametrization that transfers has |b| < 0.1 everywhere after a few steps, for the activations and
for their changes since the start. The logits of the model, of attention and of a router may start
as random sums. Then they may shrink like the root of the size at first, and must not grow.

A broken rule shows in the order of the forward pass: places before the fault are right, and places
behind it follow it. So the first of `SYMPTOMS` that is present names the rule. Mistakes that the
measured sizes cannot show (heads that do not grow, an epsilon far below the gradients) have none.

`python -m experiments coordinates` writes the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scaling.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

TOLERANCE = 0.1  # of a slope, for a place to pass
VISIBLE = 0.15  # distance of a slope from the expected one, for a symptom; mistakes are 1/2 or more
RANDOM_SUM = -0.5  # the slope of a sum over the size of independent terms, divided by the size
RANDOM_SUMS = {"logits", "attention/logits", "mlp/router"}
COLUMNS = ("width", "layers", "head_dim", "seed", "step", "place", "layer", "size", "change")
AXES = {"width": "width", "layers": "depth"}

MATRICES = ("attention/query", "attention/key", "attention/value", "mlp/in", "mlp/experts/in")
EVERYWHERE = ("embedded", *MATRICES, "stream")
Axis = Literal["width", "layers"]


@dataclass(frozen=True)
class Symptom:
    """A mean slope other than expected, and the rule that causes it.

    `step` is 0 (at the start), 1 (after one step) or -1 (after the last one). `sign` is the side on
    which it shows: 1 above, -1 below, 0 either.
    """

    rule: str
    quantity: Literal["size", "change"]
    step: int
    places: tuple[str, ...]
    expected: float = 0.0
    sign: int = 0


# In the order of the forward pass, the start before the changes
SYMPTOMS: Mapping[Axis, tuple[Symptom, ...]] = {
    "width": (
        Symptom("embedding init", "size", 0, ("embedded",)),
        Symptom("hidden init", "size", 0, MATRICES),
        Symptom("attention scale", "size", 0, ("attention/logits",), RANDOM_SUM),
        Symptom("readout multiplier", "size", 0, ("logits",), RANDOM_SUM),
        Symptom("epsilon", "change", 1, EVERYWHERE, sign=-1),
        Symptom("embedding learning rate", "change", 1, ("embedded",)),
        Symptom("hidden learning rate", "change", 1, MATRICES),
        Symptom("attention scale", "change", -1, ("attention/logits",), sign=1),
        Symptom("readout learning rate", "change", -1, ("logits",), sign=1),
    ),
    "layers": (
        Symptom("residual multiplier", "size", 0, ("stream",)),
        Symptom("learning rate in the blocks", "change", 1, ("stream",)),
        Symptom("learning rate in the blocks", "change", -1, ("stream",)),
    ),
}


@dataclass(frozen=True)
class CoordinateCheck:
    """Result of the check.

    Attributes:
        axis: "width" or "layers": the one that varies.
        slopes: a row per place, layer, step and quantity: slope, low, high, mean at the last size.
        judged: the rows of the last step, with `limit_low`, `limit_high` and `passes`.
        broken: the rules whose symptoms are present, the cause first; others may be effects.
    """

    axis: Axis
    slopes: pd.DataFrame
    judged: pd.DataFrame
    broken: tuple[str, ...]

    @property
    def passes(self) -> bool:
        return bool(self.judged["passes"].all())


def check(table: pd.DataFrame) -> CoordinateCheck:
    """Fit every slope, judge those of the last step, and name the rule that is broken.

    Raises UserError where columns are missing, fewer than two sizes were measured, or both vary.
    """
    axis = _axis(table)
    slopes = _slopes(table, axis)
    heads_grow = table["head_dim"].nunique() > 1
    last = slopes["step"].max()
    judged = slopes[slopes["step"] == last].reset_index(drop=True)
    starts = slopes[(slopes["step"] == 0) & (slopes["quantity"] == "size")]
    random = set(starts["place"]) & RANDOM_SUMS  # a zero start has no slope
    low = [-TOLERANCE + RANDOM_SUM * (place in random) for place in judged["place"]]
    judged = judged.assign(limit_low=low, limit_high=TOLERANCE)
    judged["passes"] = judged["slope"].between(judged["limit_low"], judged["limit_high"])
    found = [s.rule for s in SYMPTOMS[axis] if _shows(s, slopes, int(last), heads_grow)]
    return CoordinateCheck(axis, slopes, judged, tuple(dict.fromkeys(found)))


def _axis(table: pd.DataFrame) -> Axis:
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise UserError(
            f"coordinates: no column '{missing[0]}'; "
            "write the table with python -m experiments coordinates"
        )
    vary: list[Axis] = [axis for axis in SYMPTOMS if table[axis].nunique() > 1]
    if len(vary) != 1:
        which = "both vary" if vary else "both are the same in every row"
        raise UserError(f"coordinates: width and layers, {which}; measure several of one alone")
    if not np.isfinite(table[["size", "change"]].to_numpy(np.float64)).all():
        raise UserError("coordinates: a run diverged; measure with a lower learning rate")
    return vary[0]


def _slopes(table: pd.DataFrame, axis: Axis) -> pd.DataFrame:
    """The slope of every place that is nowhere zero; over depth, of the last layer of a model."""
    import pandas as pd

    if axis == "layers":
        last = table["layer"] == table["layers"] - 1
        table = table[last | (table["layer"] < 0)].assign(layer=lambda t: t["layer"].clip(upper=0))
    rows = []
    for (place, layer, step), group in table.groupby(["place", "layer", "step"], sort=False):
        for quantity in ("size", "change"):
            means = group.pivot_table(index=axis, columns="seed", values=quantity)
            values = means.to_numpy(np.float64)
            if (values <= 0).any():
                continue
            each = np.polyfit(np.log(means.index.to_numpy(np.float64)), np.log(values), 1)[0]
            half = _half_width(each)
            slope = float(each.mean())
            rows.append(
                (place, layer, step, quantity, slope, slope - half, slope + half, values[-1].mean())
            )
    names = ["place", "layer", "step", "quantity", "slope", "low", "high", "largest"]
    return pd.DataFrame(rows, columns=names)


def _half_width(slopes: Any) -> float:
    from scipy.stats import t

    n = len(slopes)
    return float(t.ppf(0.975, n - 1) * slopes.std(ddof=1) / n**0.5) if n > 1 else float("nan")


def _shows(symptom: Symptom, slopes: pd.DataFrame, last: int, heads_grow: bool) -> bool:
    step = last if symptom.step < 0 else symptom.step
    here = slopes[(slopes["step"] == step) & (slopes["quantity"] == symptom.quantity)]
    found = [here.loc[here["place"] == place, "slope"].mean() for place in symptom.places]
    found = [slope for slope in found if not np.isnan(slope)]
    if not found:
        return False
    if symptom.places == ("attention/logits",) and not heads_grow:
        return False  # a fixed size of the heads: no factor on q.k can be wrong
    if len(found) > 1 and symptom.sign < 0:  # everywhere, not on average
        return max(found) < -VISIBLE
    off = float(np.mean(found)) - symptom.expected
    return abs(off) > VISIBLE and off * symptom.sign >= 0


def draw(found: CoordinateCheck, title: str) -> Any:
    """The slope of every place after the last step: filled the activation, open its change."""
    from analysis.plotting import style

    judged = found.judged
    places = list(dict.fromkeys(zip(judged["place"], judged["layer"], strict=True)))
    with style.house_style():
        figure, axes = style.canvas(height=0.8 + 0.21 * len(places))
        axes.axvspan(-TOLERANCE, TOLERANCE, color=style.GRID, zorder=0)
        axes.axvline(0, color=style.MUTED, linewidth=0.7)
        for quantity, filled, shift in (("size", True, -0.13), ("change", False, 0.13)):
            rows = judged[judged["quantity"] == quantity]
            at = [
                places.index(pair) + shift
                for pair in zip(rows["place"], rows["layer"], strict=True)
            ]
            spread = np.stack([rows["slope"] - rows["low"], rows["high"] - rows["slope"]])
            axes.errorbar(
                rows["slope"],
                at,
                xerr=np.nan_to_num(spread),
                fmt="o" if filled else "s",
                color=style.FITTED if filled else style.INK,
                markerfacecolor=style.FITTED if filled else "white",
                linewidth=0.9,
                markersize=4,
                label="mean |x|" if filled else "mean |x - x at the start|",
            )
        axes.set_yticks(range(len(places)), [label(*place) for place in places])
        axes.invert_yaxis()
        axes.set_xlabel(f"slope against ln {AXES[found.axis]} (band: within {TOLERANCE:g})")
        axes.set_title(title, loc="left")
        figure.legend(loc="outside lower center", ncol=2)
    return figure


def label(place: str, layer: int) -> str:
    return place if layer < 0 else f"{place} [{layer}]"
