"""Coordinate check of a parametrization: does a model follow its theory as it grows?

For every place in the model and every step:  ln mean|x| = a + b ln(size)  over the widths (or
depths) measured, seed by seed. The slope is the mean over the seeds. Its interval is Student's, at
95 % for all slopes judged together (Bonferroni). Theory gives each slope a range
(scaling/parametrization/theory.py): of the size at the start, and of size and change after training
where the parametrization claims to keep them. Over depth, changes have the range that follows from
the slope of the stream at the start. A slope is beyond its limit where its interval lies
outside the range by more than `TOLERANCE`. Is that so over all sizes, but not over the two largest,
then the sizes are too small for theory: wider ones decide.

Rules in force (coordinate_rules.py) are judged one by one, which names a broken rule.

`windtunnel coordinates` writes the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.estimators.coordinate_rules import Power, broken, growth, powers, unseen
from scaling.common.errors import UserError
from scaling.parametrization.theory import THEORIES, Axis, Range, Theory

if TYPE_CHECKING:
    import pandas as pd

TOLERANCE = 0.25  # half of the least power by which a mistake moves a slope, which is 1/2
LEVEL = 0.95
COLUMNS = (
    "parametrization", "width", "layers", "head_dim", "seed", "step", "quantity", "place", "layer",
    "value", "role", "family", "fan_in", "fan_out",
)  # fmt: skip
AXES = {"width": "width", "layers": "depth"}
WITHIN, BEYOND, MORE_SEEDS = "within", "beyond", "more --seeds"
LARGER: Mapping[Axis, str] = {"width": "go wider (--widths)", "layers": "go deeper (--depths)"}
OF_ACTIVATIONS = ["size", "change"]
Interval = tuple[float, float]


@dataclass(frozen=True)
class CoordinateCheck:
    """Result of the check.

    Attributes:
        axis: "width" or "layers": the one that varies.
        parametrization: the table whose theory judges.
        slopes: a row per place, layer, step and quantity: slope, low, high.
        judged: those that theory speaks of, with `limit_low`, `limit_high` and `verdict`: "within",
            "beyond", or the remedy where it is undetermined.
        named: the broken rules, each with the powers that show it.
        unseen: what these runs cannot show.
    """

    axis: Axis
    parametrization: str
    slopes: pd.DataFrame
    judged: pd.DataFrame
    named: Mapping[str, list[Power]]
    unseen: tuple[str, ...]

    @property
    def broken(self) -> tuple[str, ...]:
        """The names of the broken rules."""
        return tuple(self.named)

    @property
    def claims(self) -> bool:
        """True where the parametrization claims to keep activations over this axis."""
        return self.axis in THEORIES[self.parametrization].keeps  # type: ignore[index]

    @property
    def passes(self) -> bool:
        """No rule is broken and no slope is beyond its limit."""
        return not self.named and not (self.judged["verdict"] == BEYOND).any()

    @property
    def undetermined(self) -> tuple[str, ...]:
        """The remedies of slopes that are neither within their limit nor beyond it."""
        verdicts = set(self.judged["verdict"])
        return tuple(each for each in (MORE_SEEDS, LARGER[self.axis]) if each in verdicts)


def check(table: pd.DataFrame) -> CoordinateCheck:
    """Judge every rule and every slope by the theory of the parametrization.

    Raises UserError where columns are missing, fewer than two sizes were measured, both vary, or
    the parametrizations are several or unknown.
    """
    axis = _axis(table)
    name = _parametrization(table)
    theory = THEORIES[name]  # type: ignore[index]
    activations = table[table["quantity"].isin(OF_ACTIVATIONS)]
    each = _slopes(activations, axis)
    first = table.drop_duplicates(axis)
    heads = growth(first, axis, "head_dim") if axis == "width" else 1.0
    tied = ((table["quantity"] == "factor") & (table["place"] == "tied")).any()
    gradient = (table["family"] == "gradient").any()
    judged = _judge(each, axis, theory, heads, bool(tied), bool(gradient))
    return CoordinateCheck(
        axis,
        name,
        _with_intervals(each, LEVEL),
        judged,
        broken(powers(table, axis, theory), axis),
        tuple(unseen(table, axis)),
    )


def _axis(table: pd.DataFrame) -> Axis:
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise UserError(
            f"coordinates: no column '{missing[0]}'; write the table with windtunnel coordinates"
        )
    axes: tuple[Axis, ...] = ("width", "layers")
    vary = [axis for axis in axes if table[axis].nunique() > 1]
    if len(vary) != 1:
        which = "both vary" if vary else "both are the same in every row"
        raise UserError(f"coordinates: width and layers, {which}; measure several of one alone")
    if not np.isfinite(table["value"].to_numpy(np.float64)).all():
        raise UserError("coordinates: a run diverged; measure with a lower learning rate")
    return vary[0]


def _parametrization(table: pd.DataFrame) -> str:
    names = [str(name) for name in table["parametrization"].unique()]
    if len(names) > 1:
        raise UserError(f"coordinates: parametrizations {', '.join(names)}; measure one alone")
    if names[0] not in THEORIES:
        known = ", ".join(THEORIES)
        raise UserError(f"coordinates: no theory of parametrization '{names[0]}'; known: {known}")
    return names[0]


def _slopes(table: pd.DataFrame, axis: Axis) -> pd.DataFrame:
    """The slope of each seed at every place that is nowhere zero, and that of the two largest.

    Over depth, of the last layer of a model. A place in it reads the branches of those before, so
    a model of one layer has none.
    """
    import pandas as pd

    if axis == "layers":
        last = table["layer"] == table["layers"] - 1
        table = table[last | (table["layer"] < 0)].assign(layer=lambda t: t["layer"].clip(upper=0))
        table = table[(table["layers"] > 1) | ~table["place"].str.contains("/")]
    rows = []
    keys = ["place", "layer", "step", "quantity"]
    table = table.sort_values(axis, kind="stable")
    means = table.pivot_table(index=[*keys, axis], columns="seed", values="value", sort=False)
    for key, group in means.groupby(level=keys, sort=False):
        values = group.to_numpy(np.float64)
        if (values <= 0).any() or len(values) < 2:
            continue
        sizes = np.log(group.index.get_level_values(axis).to_numpy(np.float64))
        logs = np.log(values)
        slopes, last_two = (np.polyfit(sizes[n:], logs[n:], 1)[0] for n in (0, -2))
        rows.append((*key, slopes, last_two))
    return pd.DataFrame(rows, columns=[*keys, "each", "largest"])


def _judge(
    each: pd.DataFrame, axis: Axis, theory: Theory, heads: float, tied: bool, gradient: bool
) -> pd.DataFrame:
    """The slopes that theory speaks of, with their limits and verdicts."""
    last = each["step"].max()
    stream = _stream_at_start(each, axis, theory)

    def limits(row: Any) -> Range | None:
        if row.step == 0 and row.quantity == "size":
            return theory.at_start(axis, row.place, heads, tied)
        if row.step == last:
            return theory.after(axis, row.place, row.quantity, heads, tied, stream, gradient)
        return None

    theirs = [limits(row) for row in each.itertuples()]
    spoken = [i for i, limit in enumerate(theirs) if limit is not None]
    chosen = each.iloc[spoken].reset_index(drop=True)
    level = 1 - (1 - LEVEL) / max(len(chosen), 1)
    bounds = np.reshape([theirs[i] for i in spoken], (-1, 2))
    judged = _with_intervals(chosen, level).assign(
        limit_low=bounds[:, 0] - TOLERANCE, limit_high=bounds[:, 1] + TOLERANCE
    )
    pairs = zip(judged.itertuples(), chosen["largest"], strict=True)
    verdicts = [_verdict(row, _interval(slopes, level), axis) for row, slopes in pairs]
    return judged.assign(verdict=verdicts)


def _stream_at_start(each: pd.DataFrame, axis: Axis, theory: Theory) -> float:
    """The slope of the stream at the start, within its range by theory; 0 where there is none."""
    at_start = (each["place"] == "stream") & (each["step"] == 0) & (each["quantity"] == "size")
    slopes = [float(np.mean(slopes)) for slopes in each.loc[at_start, "each"]]
    return float(np.clip(sum(slopes), *theory.at_start(axis, "stream")))


def _verdict(row: Any, largest: Interval, axis: Axis) -> str:
    """The verdict on one slope, beside the interval of that over the two largest sizes."""

    def excludes(low: float, high: float) -> bool:
        return low > row.limit_high or high < row.limit_low  # False of NaN

    if row.limit_low <= row.slope <= row.limit_high:
        return WITHIN
    if not excludes(row.low, row.high):
        return MORE_SEEDS
    return BEYOND if excludes(*largest) else LARGER[axis]


def _with_intervals(each: pd.DataFrame, level: float) -> pd.DataFrame:
    ends = np.reshape([_interval(slopes, level) for slopes in each["each"]], (-1, 2))
    means = [float(np.mean(slopes)) for slopes in each["each"]]
    return each.drop(columns=["each", "largest"]).assign(
        slope=means, low=ends[:, 0], high=ends[:, 1]
    )


def _interval(slopes: Any, level: float) -> Interval:
    """Student's interval of the mean, NaN of one seed."""
    from scipy.stats import t

    n, mean = len(slopes), float(np.mean(slopes))
    if n < 2:
        return float("nan"), float("nan")
    half = float(t.ppf((1 + level) / 2, n - 1) * np.std(slopes, ddof=1) / n**0.5)
    return mean - half, mean + half


def draw(found: CoordinateCheck, title: str) -> Any:
    """The slope of every place after the last step: filled the activation, open its change."""
    from analysis.plotting import style

    slopes = found.slopes
    judged = slopes[slopes["step"] == slopes["step"].max()]
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
