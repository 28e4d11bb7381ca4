"""The prediction of a study's held-out runs, written to prediction.json before they are trained.

A study with a law predicts their losses; one without predicts by its reading. `fit.json` holds the
fit and how it rolled forward.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from analysis import readings
from analysis.fitting.prediction.extrapolation import NU
from analysis.inference.forecast import Assessment, assess
from analysis.tables.study import StudyRecords, load_study
from experiments.record import PREDICTION, PredictionRecord, read, write
from scaling.common.errors import UserError
from scaling.common.files import plain, write_json

FIT = "fit.json"
RULE = (
    "log half-width = t a sqrt(b^2 + s^2 + l^2): b the constants by the bootstrap, s the residual "
    "sd, l the law in proportion to ln(reach); a and the drift that is removed are the posterior "
    f"of the errors of the fit rolled forward; t has {NU:g} + rungs rolled degrees of freedom"
)


@dataclass(frozen=True)
class Written:
    """The prediction on disk, and the action of `predict_held_out`."""

    prediction: PredictionRecord
    action: Literal["written", "kept"]


def predict_held_out(folder: str | Path, say: Callable[[str], None] = lambda _: None) -> Written:
    """Write prediction.json (once) and fit.json for the study in `folder`.

    An existing prediction from the same fitted runs is kept byte for byte. None is written after a
    held-out run has been trained, for it would not be a prediction.
    """
    study = load_study(folder)
    file = study.folder / PREDICTION
    trained = study.held_out_trained
    standing = read(study.folder, PredictionRecord) if file.exists() else None
    if study.held_out.empty:
        raise UserError(f"{study.folder}: the study plans no held-out run, so nothing to predict")
    if study.unfinished:
        raise UserError(
            f"{study.folder}: {len(study.unfinished)} of {len(study.planned_fit)} runs of the fit "
            f"have not finished ({', '.join(study.unfinished[:5])}); finish the sweep first, with "
            f"windtunnel run {study.name}"
        )
    fitted = sorted(str(name) for name in study.fit_runs["run_id"])
    asked = sorted(str(name) for name in study.held_out["run_id"])
    if standing is not None and _is_of(standing, fitted, asked):
        return Written(standing, "kept")
    if trained and standing is None:
        raise UserError(
            f"{study.folder}: held-out run {trained[0]} was trained before any prediction was "
            "written, so it predicts nothing; move its folder away, then predict and train it again"
        )
    if trained:
        raise UserError(
            f"{file}: made for other runs than the study has now, and held-out run {trained[0]} is "
            "already trained; move the prediction and the held-out runs away to predict afresh"
        )
    prediction = _predict_loss(study, say) if study.law else _predict_reading(study)
    write(study.folder, prediction)
    return Written(prediction, "written")


def _predict_loss(study: StudyRecords, say: Callable[[str], None]) -> PredictionRecord:
    assessment = assess(study, say=say)
    write_json(study.folder / FIT, fit_json(assessment))
    return law_prediction(study, assessment)


def _predict_reading(study: StudyRecords) -> PredictionRecord:
    finding = readings.reader(study)(study)
    said = {} if finding is None else finding.predictions
    if finding is None or not said:
        raise UserError(
            f"{study.folder}: the study names no law to fit, and its reading "
            f"'{study.reading}' predicts nothing about the held-out runs"
        )
    finding.save(study.folder)
    quantities = {name: float(value) for name, value in said.items()}
    return PredictionRecord(
        reading=study.reading,
        fitted_on=tuple(sorted(str(name) for name in study.fit_runs["run_id"])),
        written=datetime.now(UTC).isoformat(timespec="seconds"),
        says=str(finding),
        quantities={str(name): quantities for name in study.held_out["run_id"]},
    )


def law_prediction(study: StudyRecords, assessment: Assessment) -> PredictionRecord:
    """The prediction that a fitted law makes of the held-out runs."""
    return PredictionRecord(
        law=assessment.result.law.name,
        loss_name=study.loss,
        unit=study.unit,
        fitted_on=assessment.fitted_on,
        level=assessment.level,
        rule=RULE,
        written=datetime.now(UTC).isoformat(timespec="seconds"),
        forecasts=assessment.forecasts,
    )


def fit_json(assessment: Assessment) -> dict[str, Any]:
    """The contents of fit.json: the fit, and how it rolled."""
    return {
        **assessment.result.to_json(),
        "rolled": [
            {
                "rung": origin.rung,
                "fitted": origin.fitted,
                "runs": list(origin.labels),
                "log_errors": origin.log_errors.tolist(),
                "distance": origin.distance.tolist(),
                "constants": origin.constants.tolist(),
                "run_noise": origin.noise,
            }
            for origin in assessment.result.rolled
        ],
        "interval": asdict(assessment.result.extrapolation),
        "forecasts": plain(assessment.forecasts),
        "labels": {label: fit_json(arm) for label, arm in assessment.arms.items()},
    }


def _is_of(prediction: PredictionRecord, fitted: list[str], asked: list[str]) -> bool:
    """Tell if a prediction was made from these fitted runs for at least these held-out ones."""
    return sorted(prediction.fitted_on) == fitted and prediction.run_ids >= set(asked)
