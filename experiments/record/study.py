"""Schema of the files of a study: its plan and its prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from experiments.record.schema import PREDICTION, STUDY, Entry, File, StudyPart


class PlannedRun(Entry, frozen=True, kw_only=True):
    """A run of the plan."""

    run_id: str
    part: StudyPart
    rung: int
    label: str = ""
    accounting: Mapping[str, float]


class StudyPlan(File, frozen=True, kw_only=True):
    """study.json. `loss`, `params` and `tokens` name the columns to fit."""

    NAME = STUDY
    name: str
    question: str
    law: str | None  # null: the study compares settings
    reading: str  # a file of analysis/readings
    loss: str
    params: str
    tokens: str
    published: Mapping[str, Literal["yes", "no"]] = msgspec.field(
        default_factory=dict
    )  # others' findings, by the label of a run
    settings: Mapping[str, Any] = msgspec.field(default_factory=dict)
    file: str = ""  # its path, or its name in the package where the study has another
    corpora: Mapping[str, Mapping[str, Any]]  # facts of each, by fingerprint
    runs: tuple[PlannedRun, ...]


class Forecast(Entry, frozen=True, kw_only=True):
    """One held-out run, predicted by a law: value, interval of the run, and the bootstrap's alone.

    `parts` are log half-widths of the interval: constants, run_noise and law, which add in squares,
    and the drift that was added to the log of the law's loss. Older files have none.
    """

    run_id: str
    params_total: float
    tokens: float
    flops_6nd: float
    loss: float
    low: float
    high: float
    bootstrap_low: float
    bootstrap_high: float
    beyond: float | None = None  # its compute over the largest fitted; None in older files
    parts: Mapping[str, float] = msgspec.field(default_factory=dict)


class PredictionRecord(File, frozen=True, kw_only=True):
    """prediction.json: `forecasts` of a law, or quantities of a reading by held-out run."""

    NAME = PREDICTION
    MEND = "move it away and predict again"
    fitted_on: tuple[str, ...]  # run ids
    written: str  # ISO 8601, UTC
    law: str | None = None
    reading: str | None = None
    loss_name: str = ""
    unit: str = ""
    level: float | None = None
    rule: str = ""  # of the interval
    says: str = ""  # the reading in a sentence
    forecasts: tuple[Forecast, ...] = ()
    quantities: Mapping[str, dict[str, float]] = msgspec.field(default_factory=dict)

    @property
    def run_ids(self) -> set[str]:
        """The predicted held-out runs."""
        return {each.run_id for each in self.forecasts} | self.quantities.keys()
