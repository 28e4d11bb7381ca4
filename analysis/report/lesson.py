"""The lesson of a prediction in words: its intervals, and how they held."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from analysis.fitting.result import FitResult
from analysis.inference.forecast import drift
from analysis.report.evidence import Evidence
from analysis.report.verdict import Verdict, contents, interval
from analysis.tables.study import StudyRecords

LEAST = 5  # errors of one sign that are no accident: 1 in 16
SEEDS = " They share a design and differ by seed: their spread is the noise of one run."


@dataclass(frozen=True)
class Lesson:
    heading: str
    paragraphs: tuple[str, ...]


def lesson(evidence: Evidence) -> Lesson:
    """Heading and text of the held-out runs, both from the data."""
    return Lesson(_heading(evidence), tuple(_paragraphs(evidence)))


def _heading(evidence: Evidence) -> str:
    verdicts, total = evidence.verdicts, len(evidence.verdicts)
    if not evidence.forecasts:
        return "The fit, rolled forward" if evidence.study.origin else "No prediction yet"
    if not verdicts:
        return "The prediction, before its measurement"
    kept = sum(each.inside for each in verdicts)
    narrow = sum(each.inside_bootstrap for each in verdicts)
    if kept < total:
        return f"The interval missed {total - kept} of {total} measurements"
    if narrow < total:
        return "The full interval held; a bootstrap alone is too narrow"
    return "The prediction held, even in the bootstrap's interval"


def _unheld(study: StudyRecords) -> str:
    """The option that holds out the rows of most compute, where they are not all alike."""
    compute = np.unique(study.runs["flops_6nd"].dropna().to_numpy(np.float64))
    if len(compute) < 2:
        return "No row is held out, and all have one compute."
    between = float(np.sqrt(compute[-2] * compute[-1]))
    return (
        f"No row is held out. --holdout 'flops_6nd>{between:.4g}' takes those of most compute out "
        "of the fit, and shows here what the others say of them, with the interval."
    )


def _paragraphs(evidence: Evidence) -> list[str]:
    """The bootstrap's interval, the rolled fit's, which of them held, and a bias."""
    assessment = evidence.assessment
    if assessment is None or not evidence.forecasts:
        if evidence.study.origin:
            return [_unheld(evidence.study)]
        return [f"Nothing to show yet: {evidence.sentence}."]
    first = evidence.verdicts[0].forecast if evidence.verdicts else evidence.forecasts[0]
    narrow = 50 * (first.bootstrap_high - first.bootstrap_low) / first.loss
    wide = 50 * (first.high - first.low) / first.loss
    paragraphs = [
        f"Resampling the runs gives {interval(first.bootstrap_low, first.bootstrap_high)}, a half-"
        f"width of {narrow:.2f} %. That is how well these runs fix the constants of this law, and "
        "no more. It contains neither the noise of a new run nor the error of the law out there.",
        f"{_rolled(assessment.result)} The interval of a new run is "
        f"{interval(first.low, first.high)}, a half-width of {wide:.2f} %: {wide / narrow:.1f} "
        f"times as wide{contents(first)}. Believe this one.",
    ]
    if evidence.verdicts and all(each.order == "predicted first" for each in evidence.verdicts):
        paragraphs.append(
            "The prediction was written down before the held-out run was trained: the run's record "
            "carries the digest of prediction.json as it stood then, and it still matches."
        )
    if evidence.verdicts:
        missed = sum(not each.inside_bootstrap for each in evidence.verdicts)
        kept = sum(each.inside for each in evidence.verdicts)
        total = len(evidence.verdicts)
        if total == 1:
            paragraphs.append(
                f"The measurement lies {'outside' if missed else 'inside'} the bootstrap's "
                f"interval and {'inside' if kept else 'outside'} the full one."
            )
        else:
            paragraphs.append(
                f"Of {total} measurements, {total - missed} lie inside the bootstrap's interval "
                f"and {kept} inside the full one."
                + (SEEDS if len(set(map(_design, evidence.verdicts))) == 1 else "")
            )
    signed = [
        *(float(error) for each in assessment.result.rolled for error in each.next_errors),
        *(math.log1p(each.error) + drift(each.forecast) for each in evidence.verdicts),
    ]
    if len(signed) >= LEAST and abs(sum(map(partial(math.copysign, 1), signed))) == len(signed):
        side = "above" if signed[0] > 0 else "below"
        paragraphs.append(
            f"All {len(signed)} errors have one sign: every run came out {side} its prediction. "
            "The law is biased when it is extrapolated. The drift removes what grows with reach, "
            "as far as these rungs show it."
        )
    return paragraphs


def _rolled(result: FitResult) -> str:
    """The evidence of the roll: errors, drift and scale."""
    if not result.rolled:
        return (
            "There are too few rungs to roll the fit forward, so nothing tests the law: the "
            "interval takes errors of the size seen in other tables."
        )
    found = result.extrapolation
    errors = ", ".join(
        f"{100 * math.sqrt((each.next_errors**2).mean()):.2f} % at rung {each.rung}"
        for each in result.rolled
    )
    return (
        "Rolled forward through the study, fitted to the rungs below, the same law erred by "
        f"{errors} (rms). The errors trend by {100 * found.drift_per_decade:+.2f} % per decade of "
        f"reach, which is removed, and are {found.scale:.2f} times as large as expected."
    )


def _design(verdict: Verdict) -> tuple[float, float]:
    return verdict.forecast.params_total, verdict.forecast.tokens
