"""Figures that a study's evidence supports, with their captions."""

from __future__ import annotations

import math

from analysis.inference.forecast import Assessment, drift
from analysis.readings._finding import Picture
from analysis.report import arms, plots
from analysis.report.evidence import Evidence
from analysis.report.verdict import interval
from analysis.tables.study import StudyRecords


def pictures(evidence: Evidence) -> tuple[list[Picture], list[Picture]]:
    """The figures of the first lesson, and the others, that this evidence supports."""
    study, assessment = evidence.study, evidence.assessment
    curves = evidence.curves
    shown = []
    if curves:
        shown.append(
            Picture(
                "loss_curves",
                lambda: plots.loss_curves(study, curves),
                "Loss curves.",
                "Training loss of every run, averaged in steps of log tokens. Larger models lie "
                "lower at the same tokens; a cross marks a run that diverged.",
                f"Training loss against tokens on log axes for {len(curves)} runs, all falling.",
            )
        )
    if evidence.finding is not None:
        shown = [*evidence.finding.pictures(), *shown]
    if assessment is None:
        return [], shown
    result, one = assessment.result, arms.shown(study, assessment)
    measured = {each.forecast.run_id: each.measured for each in evidence.verdicts}
    lesson = []
    if evidence.forecasts:
        first = evidence.forecasts[0]
        lesson.append(
            Picture(
                "held_out",
                lambda: plots.held_out(evidence.forecasts, measured, study.unit),
                "Two intervals for the held-out run.",
                "Pale: the constants alone, by the bootstrap. Dark: with run noise and the law's "
                "error, as the rolled fit shows it. Tick: the prediction. Star: the measurement.",
                f"Bootstrap interval {interval(first.bootstrap_low, first.bootstrap_high)}, full "
                f"interval {interval(first.low, first.high)} {study.unit}"
                + "".join(f", measured {value:.3f}" for value in measured.values()),
            )
        )
    if result.rolled:
        fitted = assessment.largest
        held = [
            (
                math.log(each.forecast.flops_6nd / fitted),
                math.log1p(each.error) + drift(each.forecast),
            )
            for each in evidence.verdicts
        ]
        lesson.append(
            Picture(
                "rolled_extrapolation",
                lambda: plots.rolled_errors(result, held),
                "The fit rolled forward.",
                "Errors of the law at every later rung, fitted to the rungs below. Dashed: their "
                "drift, which is removed. Band: run noise and law, as these errors show them.",
                f"Errors of {len(result.rolled)} rolled fits against reach, drift "
                f"{100 * result.extrapolation.drift_per_decade:+.2f} % per decade.",
            )
        )
    if assessment.arms:
        shown.insert(
            0,
            Picture(
                "labels",
                lambda: arms.draw(study, assessment),
                "The labels.",
                "Loss against compute. Dashed: the loss that each label's own law gives the best "
                "split of a budget.",
                f"Loss against compute for {', '.join(assessment.arms)}, with each one's law.",
            ),
        )
    if set(result.law.variables) == {"params", "tokens"}:
        shown += _two_variable_pictures(one, assessment, evidence)
    shown += [
        Picture(
            "predicted_measured",
            lambda: plots.predicted_against_measured(result, evidence.forecasts, measured),
            "Fitted against measured.",
            "On the line the law is right. Bars are 95 % intervals: of the constants for fitted "
            "runs, of a new run (constants, run noise, law) for the held-out run.",
            "Fitted loss against measured loss, points along the diagonal.",
        ),
        Picture(
            "residuals",
            lambda: plots.residuals(one, result),
            "Residuals.",
            "Measured above fitted, in percent; the band is one rms. A slope or a bend with "
            "compute is an error of the law, not noise.",
            f"Residuals in percent against compute, rms "
            f"{100 * math.sqrt(float((result.residuals**2).mean())):.2f} %.",
        ),
    ]
    return lesson, shown


def _two_variable_pictures(
    study: StudyRecords, assessment: Assessment, evidence: Evidence
) -> list[Picture]:
    result = assessment.result
    measured = "; the star is the held-out run" if evidence.verdicts else ""
    beside = ", and the line before it the law at its D/N" if measured else ""
    along = "" if plots.is_isoflop(study) else "Grey lines follow the law along one size. "
    found = [
        Picture(
            "loss_params",
            lambda: plots.loss_against(study, result, "params"),
            "Loss against parameters.",
            f"Lines are the law at fixed tokens D{measured}. Where a line flattens, parameters no "
            "longer help at that much data.",
            "Loss falling with parameters, with the fitted law at fixed tokens.",
        ),
        Picture(
            "loss_tokens",
            lambda: plots.loss_against(study, result, "tokens"),
            "Loss against tokens.",
            f"Lines are the law at fixed parameters N{measured}.",
            "Loss falling with tokens, with the fitted law at fixed parameters.",
        ),
    ]
    found.append(
        Picture(
            "ladder",
            lambda: plots.ladder(study, result),
            "The ladder.",
            f"Loss against compute{measured}{beside}. {along}Dashed, with the interval of a new "
            "run: the loss that the law gives the best split of each budget.",
            "Loss against compute by rung with the compute-optimal edge of the law.",
        )
    )
    if result.has_optimum:
        found.append(
            Picture(
                "frontier",
                lambda: plots.frontier(study, result),
                "The compute-optimal frontier.",
                "How the law would split a budget between parameters and tokens, with 95 % "
                "bootstrap bands. Open marks are the runs: far from them the bands are a guess.",
                "Optimal parameters and tokens against compute with interval bands.",
            )
        )
    return found
