"""Predicted against measured: the comparison of each held-out run, in numbers and a sentence."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Literal

from analysis.inference.forecast import DRIFT
from analysis.plotting.numbers import quantity, scientific
from analysis.tables.study import StudyRecords
from experiments.record import PREDICTION, Forecast

Order = Literal["predicted first", "not shown", "after the fact"]


@dataclass(frozen=True)
class Verdict:
    """One held-out run. `order` is the order of prediction and training that the digests prove.

    `label` is its arm of the comparison; empty where all runs are alike.
    """

    forecast: Forecast
    measured: float
    order: Order
    label: str = ""

    @property
    def error(self) -> float:
        """(measured - predicted) / predicted: above 0 where the law was too hopeful."""
        return self.measured / self.forecast.loss - 1

    @property
    def inside(self) -> bool:
        return self.forecast.low <= self.measured <= self.forecast.high

    @property
    def inside_bootstrap(self) -> bool:
        return self.forecast.bootstrap_low <= self.measured <= self.forecast.bootstrap_high


def judge(study: StudyRecords, forecasts: Sequence[Forecast]) -> tuple[Verdict, ...]:
    """A verdict for every held-out run that completed, in the order of the forecasts."""
    digest = _digest(study)
    done = study.held_out_done.set_index("run_id")
    losses, digests = done[study.loss].to_dict(), done["prediction_sha256"].to_dict()
    verdicts = []
    for each in forecasts:
        if each.run_id not in losses:
            continue
        order: Order = "after the fact"
        if digest is not None:
            order = "predicted first" if digests[each.run_id] == digest else "not shown"
        measured = float(losses[each.run_id])
        verdicts.append(Verdict(each, measured, order, _label(study, each.run_id)))
    return tuple(verdicts)


def _label(study: StudyRecords, run_id: str) -> str:
    """The label of a run; empty where the study compares none, or plans the run no more."""
    own = study.runs.loc[study.runs["run_id"] == run_id, "label"]
    return str(own.iloc[0]) if study.labels and len(own) else ""


def unproved(study: StudyRecords) -> int:
    """Held-out runs that do not carry the digest of the prediction as it stands."""
    digest = _digest(study)
    return 0 if digest is None else int((study.held_out_done["prediction_sha256"] != digest).sum())


def _digest(study: StudyRecords) -> str | None:
    file = study.folder / PREDICTION
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else None


def headline(verdicts: Sequence[Verdict]) -> tuple[Verdict, tuple[Verdict, ...]]:
    """The first design held out, measured by the mean over its seeds; and its runs one by one.

    Runs of another label are of another design, whatever their size.
    """
    first = verdicts[0]

    def design(each: Verdict) -> tuple[object, ...]:
        return each.label, each.forecast.params_total, each.forecast.tokens

    runs = tuple(each for each in verdicts if design(each) == design(first))
    return replace(first, measured=mean(each.measured for each in runs)), runs


def off(verdict: Verdict) -> str:
    return f"{abs(100 * verdict.error):.1f} % off"


def signed(error: float) -> str:
    """A share as percent with its sign."""
    return f"{100 * error:+.1f} %".replace("-", "−")


def interval(low: float, high: float) -> str:
    return f"[{low:.3f}, {high:.3f}]"


def contents(forecast: Forecast) -> str:
    """The parts of the interval and their half-widths; older files have none."""
    shares = [
        f"{name.replace('_', ' ')} ±{100 * half:.2f} %"
        for name, half in forecast.parts.items()
        if name != DRIFT
    ]
    return f" ({', '.join(shares)})" if shares else ""


def fitted_on(count: int, flops: float) -> str:
    return f"fitted on {count} runs up to {scientific(flops)} FLOPs"


def sentence(
    study: StudyRecords,
    count: int,
    flops: float,
    forecasts: Sequence[Forecast],
    verdicts: Sequence[Verdict],
) -> str:
    """The last line of a study, for the terminal and for the top of the report."""
    start = fitted_on(count, flops)
    if not forecasts:
        return f"{start}; no run is held out, so nothing was predicted"
    shown = verdicts[0].forecast if verdicts else forecasts[0]
    label = _label(study, shown.run_id)
    said = (
        f"{start}{', each label apart' * bool(label)}; predicted {shown.loss:.3f} "
        f"{interval(shown.low, shown.high)} {study.unit} "
        f"for the {scientific(shown.flops_6nd)}-FLOP run{f' of {label}' * bool(label)}"
    )
    if not verdicts:
        return f"{said}; not measured yet"
    told, runs = headline(verdicts)
    seeds = ", ".join(f"{each.measured:.3f}" for each in runs)
    average = f"; mean of seeds {seeds}" if len(runs) > 1 else ""
    where = "inside" if all(each.inside for each in runs) else "outside"
    return f"{said}; measured {told.measured:.3f} ({off(told)}{average}), {where} the interval"


def validation(forecasts: Sequence[Forecast], verdicts: Sequence[Verdict]) -> str:
    """The held-out runs in one line of the card; empty where the study has none."""
    if not verdicts:
        return f"{len(forecasts)} runs predicted, none measured yet" if forecasts else ""
    errors = [each.error for each in verdicts]
    kept = sum(each.inside for each in verdicts)
    first = sum(each.order == "predicted first" for each in verdicts)
    return (
        f"{len(verdicts)} of {len(forecasts)} runs measured, {signed(min(errors))} to "
        f"{signed(max(errors))} above the prediction, {kept} inside the interval; "
        f"{first} proved to be predicted first"
    )


def size(forecast: Forecast) -> str:
    return f"{quantity(forecast.params_total)} parameters, {quantity(forecast.tokens)} tokens"
