"""Hyperparameter laws side by side for one run, in the same units, and their spread."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.fitting.tabular import Tabular
from analysis.hyperparameters.law_file import FittedLaw, load_law
from analysis.plotting.numbers import quantity as people_say
from scaling.common.errors import UserError, nearest
from scaling.common.tables import table
from scaling.hyperparameters.law import (
    QUANTITIES,
    Advice,
    Experts,
    HyperparameterLaw,
    Range,
    farthest,
)
from scaling.hyperparameters.published import HYPERPARAMETER_LAWS
from scaling.hyperparameters.recommendation import own_batch, side_by_side, spread

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 100
EXPERTS: Mapping[str, tuple[Experts, ...]] = {
    "both": (Experts.TOTAL, Experts.ACTIVE),
    "total": (Experts.TOTAL,),
    "active": (Experts.ACTIVE,),
}
_UNSAID = ("not a variable", "not recorded here")
GROUPS: Mapping[str, tuple[Range, ...]] = {
    "in range": (Range.INSIDE,),
    "out of range": (Range.OUTSIDE,),
    "range not stated": (Range.UNSTATED,),
    "all": tuple(Range),
}


@dataclass(frozen=True)
class Recommended(Tabular):
    """The advice for one run. `intervals` are those of fitted laws, by (law, quantity)."""

    given: Mapping[str, float]
    advice: tuple[Advice, ...]
    intervals: Mapping[tuple[str, str], tuple[float, float]]

    def rows(self) -> list[dict[str, Any]]:
        """One row for each quantity and law; other values than numbers are None."""
        return [self._row(each) for each in self.advice]

    def table(self) -> pd.DataFrame:
        """`rows` as a DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    @property
    def in_words(self) -> str:
        return ", ".join(f"{name} {value:.4g}" for name, value in self.given.items())

    def spreads(self) -> list[dict[str, Any]]:
        """For each quantity, over the published laws whose constants were checked: least and
        greatest value, their ratio, the geometric mean, and how many laws; by range, and for a
        mixture of experts by the count of N."""
        return [
            {
                "quantity": quantity,
                "over": group if count is None else f"{group}, N {count}",
                "min": over.low,
                "max": over.high,
                "factor": over.factor,
                "mean": over.mean,
                "laws": over.count,
            }
            for quantity in QUANTITIES
            for group, ranges in GROUPS.items()
            for count in self._counts(quantity)
            if (over := spread(self._counting(quantity, count), quantity, ranges)) is not None
        ]

    def _counts(self, quantity: str) -> tuple[Experts | None, ...]:
        """The counts of N that tell rows of one quantity apart; None for one row of each law."""
        found = self._of(quantity)
        if len({each.law.name for each in found}) == len(found):
            return (None,)
        return tuple(count for count in Experts if count in {each.counted for each in found})

    def _counting(self, quantity: str, count: Experts | None) -> list[Advice]:
        """The advice by one count of N, and that of laws which do not depend on it."""
        found = self._of(quantity)
        rows = Counter(each.law.name for each in found)
        return [each for each in found if rows[each.law.name] == 1 or each.counted is count]

    def to_json(self) -> dict[str, Any]:
        """The run, every value and every spread."""
        return {"given": dict(self.given), "values": self.rows(), "spread": self.spreads()}

    def _row(self, each: Advice) -> dict[str, Any]:
        low, high = self.intervals.get((each.law.name, each.quantity), (None, None))
        return {
            "quantity": each.quantity,
            "law": each.law.name,
            "value": each.value if math.isfinite(each.value) else None,
            "low": low,
            "high": high,
            "range": str(each.range),
            "counts": None if each.counted is None else str(each.counted),
            "authors_count": str(each.law.experts),
            "batch": str(each.law.batch),
            "own_batch_tokens": own_batch(each, self.advice),
            "constants_from": str(each.rule.confidence),
            "missing": each.missing,
            "filled": list(each.filled),
            "warnings": list(each.warnings),
            "form": each.law.form,
            "params_counted": each.law.convention.params,
            "tokens_counted": each.law.convention.tokens,
            "loss": each.law.convention.loss,
            "schedule": each.law.schedule,
            "recipe": each.law.recipe,
            "source": each.law.source,
            "notes": list(each.law.notes),
            "remarks": self._remarks(each.law),
        }

    def __str__(self) -> str:
        filled = dict.fromkeys(
            f"{text} (N {each.counted})" if each.counted else text
            for each in self.advice
            for text in each.filled
        )
        blocks = ["\n".join([self.in_words, *filled])]
        blocks += [self._block(name) for name in QUANTITIES if self._of(name)]
        laws = {each.law.name: each.law for each in self.advice}
        assumed = "\n".join(self._assumed(law) for law in laws.values())
        return "\n\n".join([*blocks, f"assumptions of each law\n{assumed}"])

    def _of(self, quantity: str) -> list[Advice]:
        return [each for each in self.advice if each.quantity == quantity]

    def _block(self, quantity: str) -> str:
        answered = [each for each in self._of(quantity) if not each.missing]
        silent = [each for each in self._of(quantity) if each.missing]
        columns: dict[str, Callable[[Advice], str]] = {
            "law": lambda each: each.law.name,
            "value": self._value,
            "N counts": _count,
            "range": _range,
            "constants from": lambda each: str(each.rule.confidence),
            "batch": lambda each: str(each.law.batch),
        }
        if not any(each.counted for each in answered):
            del columns["N counts"]
        if quantity.startswith("batch"):
            del columns["batch"]  # a law of the batch goes with no batch
        heads = tuple(columns)
        cells = [[show(each) for show in columns.values()] for each in answered]
        lines = [
            f"{quantity}: {QUANTITIES[quantity]}",
            *table(heads, cells, left=len(heads)).splitlines(),
            *(f"{each.law.name}  {each.missing}" for each in silent),
            *(_spread_line(each) for each in self.spreads() if each["quantity"] == quantity),
        ]
        return "\n  ".join(lines)

    def _value(self, each: Advice) -> str:
        low, high = self.intervals.get((each.law.name, each.quantity), (math.nan, math.nan))
        shown = number(each.quantity, each.value)
        if math.isnan(low):
            return shown
        return f"{shown} [{number(each.quantity, low)}, {number(each.quantity, high)}]"

    def _assumed(self, law: HyperparameterLaw) -> str:
        items = {
            "Parameters": law.convention.params,
            "Tokens": law.convention.tokens,
            "Loss": law.convention.loss,
            "Schedule": law.schedule,
            "Recipe": law.recipe,
            "Source": law.source,
        }
        counted = (f"{name}: {text}." for name, text in items.items() if text not in _UNSAID)
        texts = [law.form, " ".join(counted)]
        if any(each.counted for each in self.advice if each.law is law):
            texts.append(f"Experts: {law.experts}.")
        texts += [*self._remarks(law), *law.notes]
        filled = (
            textwrap.fill(text, WIDTH, initial_indent="    ", subsequent_indent="      ")
            for text in texts
        )
        return "\n".join([f"  {law.name}", *filled])

    def _remarks(self, law: HyperparameterLaw) -> list[str]:
        """Remarks on this run: quantities of another convention, outside the range, the batch."""
        mine = [each for each in self.advice if each.law is law]
        said = dict.fromkeys(text for each in mine for text in (*each.foreign, *_beyond(each)))
        return [*said, *self._batches(mine)]

    def _batches(self, mine: Sequence[Advice]) -> list[str]:
        """Remarks on learning rates that assume another batch than the user's."""
        if "batch_tokens" not in self.given:
            return []
        yours = self.given["batch_tokens"]
        return [
            f"its lr goes with its own batch of {people_say(own)} tokens; yours is "
            f"{yours / own:.2g} times that"
            for each in mine
            if (own := own_batch(each, self.advice)) is not None
        ]


def recommend(
    *, fits: Sequence[str | Path | FittedLaw] = (), experts: str = "both", **given: float
) -> Recommended:
    """The advice of every law for a run: recommend(params_total=1e9, tokens=1e11).

    `experts` is the count of N of published laws for a mixture of experts, which params_active
    makes of a run: "total", "active", or "both" side by side. A fitted law has its own variables.

    `GIVEN` of scaling/hyperparameters/given.py lists the quantities that may be given. `fits` are
    fitted laws, or the files of `save_law`; they stand beside the published ones, with their
    intervals, and do not enter the spread.
    """
    own = [each if isinstance(each, FittedLaw) else load_law(each) for each in fits]
    laws = [*(each.law for each in own), *HYPERPARAMETER_LAWS.values()]
    for name, count in Counter(law.name for law in laws).items():
        if count > 1:
            raise UserError(f"two laws are called '{name}'; rename one of them in its file")
    if experts not in EXPERTS:
        raise UserError(f"experts='{experts}': {nearest(experts, EXPERTS)}")
    advice = side_by_side(laws, given, EXPERTS[experts])
    intervals = {}
    for fitted in own:
        for each in advice:
            if each.law is fitted.law and not each.missing:
                fit = fitted.fits[each.quantity]
                found = fit.predict(**{name: each.variables[name] for name in fit.variables})
                if math.isfinite(float(found.low)):
                    intervals[each.law.name, each.quantity] = (float(found.low), float(found.high))
    return Recommended(dict(given), advice, intervals)


def number(quantity: str, value: float) -> str:
    """1.11M for a batch, three digits for the others."""
    return people_say(value) if quantity.startswith("batch") else f"{value:.3g}"


def _count(each: Advice) -> str:
    if each.counted is None:
        return "-"
    authors = " (authors)" if each.law.experts is each.counted else ""
    return f"{each.counted}{authors}"


def _range(each: Advice) -> str:
    factor = farthest(each)
    return f"{factor:.3g} x {each.range}" if factor > 1 else str(each.range)


def _beyond(each: Advice) -> list[str]:
    return [str(reach) for reach in each.reach if reach.range is Range.OUTSIDE]


def _spread_line(each: Mapping[str, Any]) -> str:
    low, high, mean = (number(each["quantity"], each[name]) for name in ("min", "max", "mean"))
    if each["laws"] == 1:
        return f"{each['over']}: {low} (1 law)"
    return (
        f"{each['over']}: {low} to {high}, a factor of {each['factor']:.2g}, geometric mean {mean} "
        f"({each['laws']} laws)"
    )
