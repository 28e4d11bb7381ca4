"""Evidence of a study at any stage: the fit, the written prediction, the verdicts, and the gaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analysis import readings
from analysis.inference.forecast import Assessment, assess
from analysis.readings._finding import Finding, TextTable
from analysis.report import arms
from analysis.report.verdict import Verdict, judge, sentence, unproved
from analysis.tables.runs import trajectory
from analysis.tables.study import StudyRecords
from experiments import record
from experiments.record import METRICS, PREDICTION, Forecast, PredictionRecord
from scaling.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Evidence:
    """Content of the page. `assessment` is None where the runs do not allow a fit yet; `missing`
    then begins with the reason."""

    study: StudyRecords
    assessment: Assessment | None
    forecasts: tuple[Forecast, ...]
    verdicts: tuple[Verdict, ...]
    missing: tuple[str, ...]
    finding: Finding | None  # of the study's reading; None for too few runs
    curves: Mapping[str, pd.DataFrame]  # metrics of each run whose record is sound

    @property
    def tables(self) -> Sequence[TextTable]:
        compared = () if self.assessment is None else arms.tables(self.assessment)
        return (*compared, *(() if self.finding is None else self.finding.tables))

    @property
    def sentence(self) -> str:
        if self.study.law is None:
            return str(self.finding or "too few runs have finished to compare settings")
        if self.assessment is None:
            return f"no fit yet: {self.missing[0]}"
        told = self.assessment
        return sentence(
            self.study, len(told.fitted_on), told.largest, self.forecasts, self.verdicts
        )


def gather(study: StudyRecords, say: Callable[[str], None] = lambda _: None) -> Evidence:
    """Fit the completed runs; the forecasts are those of prediction.json where it exists."""
    read = readings.reader(study)
    missing = []
    assessment = None
    if study.law is not None:
        try:
            assessment = assess(study, say=say)
        except UserError as error:
            missing.append(str(error))
    if assessment is not None and assessment.arms:
        missing.append(arms.notice(assessment))
    if study.unfinished:
        missing.append(
            f"{len(study.unfinished)} of {len(study.planned_fit)} planned runs have not finished"
        )
    curves, damaged = _curves(study)
    missing += damaged
    forecasts = () if assessment is None else assessment.forecasts
    if (study.folder / PREDICTION).exists():
        standing = record.read(study.folder, PredictionRecord)
        forecasts = standing.forecasts
        now = sorted(str(name) for name in study.fit_runs["run_id"])
        if sorted(standing.fitted_on) != now:
            missing.append(
                "prediction.json was made from other runs than are here now; the figures show the "
                "fit of the present ones"
            )
    elif len(study.held_out):
        missing.append(
            "the held-out run was trained before a prediction was written: the prediction shown "
            "here was computed after the fact"
            if study.held_out_trained
            else f"the prediction has not been written down yet: windtunnel predict {study.folder}"
        )
    verdicts = judge(study, forecasts)
    if late := unproved(study):
        missing.append(
            f"{late} held-out run(s) do not carry the digest of prediction.json as it stands, "
            "so no record shows that the prediction came first"
        )
    absent = len(study.held_out) - len(study.held_out_done)
    if absent:
        missing.append(f"{absent} of {len(study.held_out)} held-out runs not measured")
    finding = None
    try:
        finding = read(study)
    except UserError as error:
        missing.insert(0, str(error))
    if finding is not None:
        missing += finding.notes
    return Evidence(study, assessment, forecasts, verdicts, tuple(missing), finding, curves)


def _curves(study: StudyRecords) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """The metrics of each run that has some, and a line for each run whose record is damaged."""
    curves, damaged = {}, []
    for run in map(str, study.runs["run_id"]):
        folder = study.folder / run
        try:
            if (folder / METRICS).exists():
                curves[run] = trajectory(folder)
        except UserError as error:
            damaged.append(f"{error}; this page leaves its curve out")
        except OSError as error:
            damaged.append(f"{folder}: cannot read ({error.strerror}); its curve is left out")
    return curves, damaged
