"""What is known about a study at this moment: the fit, the prediction that stands, the verdicts,
and what is still missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from analysis import transfer
from analysis.holdout import Assessment, Forecast, assess, standing_forecasts
from analysis.settings import Valleys, find_valleys
from analysis.study import Study
from analysis.transfer import Transfer
from analysis.verdict import Verdict, judge, sentence
from experiments.record import PREDICTION, read_json
from scaling.errors import UserError


@dataclass(frozen=True)
class Evidence:
    """All that the page tells. `assessment` is None where the runs do not allow a fit yet, and
    `missing` then begins with why."""

    study: Study
    assessment: Assessment | None
    forecasts: tuple[Forecast, ...]
    verdicts: tuple[Verdict, ...]
    missing: tuple[str, ...]
    valleys: Valleys | None  # where the study sweeps a setting

    @property
    def transfers(self) -> tuple[Transfer, ...]:
        """How far the best setting moves with size, for each kind of valley."""
        return () if self.valleys is None else transfer.transfers(self.valleys)

    @property
    def sentence(self) -> str:
        if self.study.law is None:
            if self.valleys is None:
                return "too few runs have finished to compare settings"
            return transfer.sentence(self.valleys.setting, self.transfers)
        if self.assessment is None:
            return f"no fit yet: {self.missing[0]}"
        rows = self.assessment.result.points.rows
        return sentence(
            self.study, len(rows), float(rows["flops_6nd"].max()), self.forecasts, self.verdicts
        )


def gather(study: Study, say: Callable[[str], None] = lambda _: None) -> Evidence:
    """Fit what is there; the forecasts are those written down before, where they were."""
    missing = []
    assessment = None
    if study.law is not None:
        try:
            assessment = assess(study, say=say)
        except UserError as error:
            missing.append(str(error))
    if study.unfinished:
        missing.append(
            f"{len(study.unfinished)} of {len(study.planned_fit)} planned runs have not finished"
        )
    file = study.folder / PREDICTION
    forecasts = () if assessment is None else assessment.forecasts
    if file.exists():
        standing = read_json(file)
        forecasts = standing_forecasts(standing)
        now = sorted(str(name) for name in study.fit_runs["run_id"])
        if sorted(standing["fitted_on"]) != now:
            missing.append(
                "prediction.json was made from other runs than are here now; the figures show the "
                "fit of the present ones"
            )
    elif len(study.held_out):
        late = bool(study.held_out_trained)
        missing.append(
            "the held-out run was trained before a prediction was written: what stands here as "
            "predicted was computed after the fact"
            if late
            else "the prediction has not been written down yet: python -m analysis predict "
            f"{study.folder}"
        )
    verdicts = judge(study, forecasts)
    unproved = sum(each.order == "not shown" for each in verdicts)
    if unproved:
        missing.append(
            f"{unproved} held-out run(s) do not carry the digest of prediction.json as it stands, "
            "so that the prediction came first is not shown"
        )
    absent = len(study.held_out) - len(verdicts)
    if absent:
        missing.append(f"{absent} of {len(study.held_out)} held-out runs not measured")
    return Evidence(study, assessment, forecasts, verdicts, tuple(missing), find_valleys(study))
