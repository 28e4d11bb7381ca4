"""Learning curves: the loss of one model over its data, fitted below a cut and predicted beyond.

    M1 to M4    `power_law_no_offset`, `power_law`, `shifted_power_law`, `sigmoidal_power_law`
    BNSL        of one to three breaks, by their Akaike weights

A curve is thinned to `ROWS` rows, evenly in ln x. Fitted are those up to the largest x over 4. Each
row is resampled by itself, though those of one training run are not independent: the law's error,
as rolling shows it, must make up for that. `--laws` plays some of them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.datasets import load
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.fitting.types import FitStatus
from analysis.inference.compare import aicc, averaged
from benchmarks.extrapolation.cut import nearest_reach
from benchmarks.extrapolation.score import outcomes
from scaling import laws
from scaling.common.errors import UserError
from scaling.common.tables import table
from scaling.laws import Law
from scaling.laws import learning_curves as forms

ROWS, LEAST_ROWS = 32, 6
BEYOND = 4.0  # the largest x over that of the last row fitted, at least
RESAMPLES = 50
FORMS: dict[str, tuple[Law, ...]] = {
    "M1": (laws.power_law_no_offset,),
    "M2": (laws.power_law,),
    "M3": (forms.shifted_power_law,),
    "M4": (forms.sigmoidal_power_law,),
    "BNSL": (forms.ONE_BREAK, forms.TWO_BREAKS, forms.THREE_BREAKS),
}


@dataclass(frozen=True)
class Curves:
    """Curves of one table: the rows where `where` holds, one for each value of `by`."""

    dataset: str
    where: str
    by: str
    x: str = "tokens"
    loss: Callable[[pd.DataFrame], pd.Series] = lambda rows: rows["loss"]
    part: str = ""

    def each(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Name and rows `x`, `loss` of each curve."""
        rows = load(self.dataset).query(self.where)
        for key, group in rows.groupby(self.by, sort=True):
            taken = pd.DataFrame({"x": group[self.x].astype(float), "loss": self.loss(group)})
            taken = taken.dropna().groupby("x", as_index=False)["loss"].mean()
            yield " ".join(filter(None, (self.dataset, self.part, str(key)))), thinned(taken)


def thinned(rows: pd.DataFrame) -> pd.DataFrame:
    """At most `ROWS` rows, those nearest to a grid even in ln x."""
    x = np.log(rows["x"].to_numpy())
    grid = np.linspace(x.min(), x.max(), ROWS)
    near = np.unique(np.abs(x[:, None] - grid).argmin(axis=0))
    return rows.iloc[near].reset_index(drop=True)


def _error(rows: pd.DataFrame) -> pd.Series:
    return 1 - rows["value"]


def _log(rows: pd.DataFrame) -> pd.Series:
    return np.log(rows["value"])


_PYTHIA = "corpus == 'Pile' and on_schedule and tokens > 0 and shots == 'zero'"
TABLES = (
    Curves(
        "pythia_evals", f"{_PYTHIA} and task == 'lambada_openai' and metric == 'ppl' "
        "and model in ('pythia-410m', 'pythia-12b')", "model", loss=_log,
        part="lambada",
    ),
    Curves(
        "pythia_evals", f"{_PYTHIA} and task in ('lambada_openai', 'sciq', 'arc_easy') and "
        "metric == 'acc' and model == 'pythia-6.9b'", "task", loss=_error, part="error",
    ),
    Curves(
        "multi_power_law", "schedule == 'constant_72000' and model != '100M'", "model", x="step",
    ),
    Curves("gadre_overtraining", "dataset == 'rpj' and params_total > 1e8", "params_total"),
)  # fmt: skip


def fitted(forms: tuple[Law, ...], rows: pd.DataFrame) -> list[FitResult]:
    """The forms that the rows can judge, or the first, with resamples; the least AICc first.

    Raises:
        UserError: one cannot be fitted.
    """
    able = [form for form in forms if len(rows) > form.counted + 2] or forms[:1]
    fits = [fit(form, rows, x="x", bootstrap=RESAMPLES) for form in able]
    return sorted(fits, key=lambda each: np.nan_to_num(aicc(each), nan=np.inf))


def played(names: Iterable[str]) -> Iterator[pd.DataFrame]:
    """Scored rows beyond the cut of each curve, by law; nan where a law gives no answer."""
    for tables in TABLES:
        for name, rows in tables.each():
            seen = (rows["x"] <= rows["x"].max() / BEYOND).to_numpy()
            if seen.sum() < LEAST_ROWS:
                continue
            print(f"{name}: {seen.sum()} of {len(rows)} rows below", file=sys.stderr)
            for form in names:
                made = _scored(FORMS[form], rows[seen], rows[~seen])
                status, law, took = made[["status", "law", "seconds"]].iloc[0]
                print(f"  {form}: {status}, {law}, {took:.1f} s", file=sys.stderr)
                yield made.assign(study=tables.dataset, family=name, method=form)


def _scored(family: tuple[Law, ...], below: pd.DataFrame, above: pd.DataFrame) -> pd.DataFrame:
    started = time.process_time()
    beyond = above["x"].to_numpy() / below["x"].max()
    nothing = np.full(len(above), np.nan)
    value, low, high, status, law = nothing, nothing, nothing, "no fit", ""
    try:
        fits, x = fitted(family, below), above["x"].to_numpy()
        status, law = str(fits[0].status), fits[0].law.name
        if fits[0].status is not FitStatus.REFUSED:
            said = averaged(fits).predict(x=x) if len(fits) > 1 else fits[0].predict(x=x)
            with np.errstate(divide="ignore"):  # an interval of all losses ends at 0
                value, low, high = np.log(said.value), np.log(said.low), np.log(said.high)
    except UserError as error:
        print(f"  {' '.join(str(error).split())[:160]}", file=sys.stderr)
    return pd.DataFrame(
        {
            "reach": nearest_reach(beyond),
            "status": status,
            "law": law,
            "seconds": time.process_time() - started,
            **outcomes(np.log(above["loss"].to_numpy()), value, low, high),
        }
    )


def report_laws(rows: pd.DataFrame) -> str:
    """Over curves: the medians of their error, bias, width and score, the mean of their coverage,
    and how many got an interval."""
    cells = []
    for method, group in rows[rows["reach"] > 0].groupby("method", sort=False):
        each = group.groupby("family")[["error", "bias", "covers", "width", "score"]].mean()
        middle, given = each.median(), each["covers"].count()
        numbers = [f"{middle[name]:.1f}" for name in ("error", "bias", "width", "score")]
        covers = f"{each['covers'].mean():.0f}"
        cells.append((str(method), *numbers, covers, f"{given} of {len(each)}"))
    return table(("law", "|error|", "bias", "width", "score", "covers", "with interval"), cells)


def report_fits(rows: pd.DataFrame) -> str:
    """How the fits of each law ended, and the seconds of CPU that one takes, resamples included."""
    fits = rows.drop_duplicates(["family", "method"])
    ends = ("converged", "at bound", "misfit", "not identified", "refused", "no fit")
    cells = [
        (
            str(method),
            *(str(int((group["status"] == end).sum())) for end in ends),
            f"{group['seconds'].median():.1f}",
            f"{group['seconds'].max():.1f}",
        )
        for method, group in fits.groupby("method", sort=False)
    ]
    return table(("law", *ends, "median s", "largest s"), cells)
