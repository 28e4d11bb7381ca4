"""Records of a study: the question, the plan, and the runs of that plan, read from its folder.

Folders of runs that the plan no longer names, because the study file changed, are not part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.tables.runs import load_runs, science_fields
from experiments.record import STUDY, Status, StudyPart, StudyPlan, read, records_at
from scaling.common.errors import UserError
from scaling.laws import Law, by_name

if TYPE_CHECKING:
    import pandas as pd

UNITS = {
    "loss": "nats/token",
    "loss_per_byte": "nats/byte",
    "bits_per_byte": "bits/byte",
}
PLANNED = ("part", "rung", "label")
UNFINISHED = (str(Status.MISSING), str(Status.STARTED))


@dataclass(frozen=True)
class StudyRecords:
    """A study and its runs, or a table that is reported as one.

    `runs` has one row per planned run, in the order of the plan. Planned params, tokens and FLOPs
    are always there; other numbers are nan until the run has measured them.
    """

    folder: Path
    name: str
    question: str
    law: Law | None  # None: it compares settings
    reading: str
    loss: str
    params: str
    tokens: str
    published: Mapping[str, str]  # others' findings, by the label of a run
    corpora: Mapping[str, Mapping[str, Any]]  # by fingerprint
    settings: Mapping[str, Any]
    runs: pd.DataFrame
    fields: tuple[str, ...] = ()  # columns of `runs` that are settings of their science
    file: str = ""  # of a study outside the package
    origin: str = ""  # of a table that is reported as a study: its file, and the columns taken
    command: str = ""  # which reports it

    def law_to_fit(self) -> Law:
        """The law, or a UserError for a study that names none."""
        if self.law is None:
            raise UserError(f"{self.folder}: the study compares settings and names no law to fit")
        return self.law

    @property
    def labels(self) -> tuple[str, ...]:
        """The arms of its comparison, in the order of the plan; none where all runs are alike."""
        found = tuple(dict.fromkeys(str(label) for label in self.runs["label"]))
        return found if len(found) > 1 else ()

    def of(self, label: str) -> StudyRecords:
        """The runs of one label."""
        return replace(self, runs=self.runs[self.runs["label"] == label])

    @property
    def unit(self) -> str:
        return UNITS.get(self.loss, f"({self.loss})")

    @property
    def planned_fit(self) -> pd.DataFrame:
        return self.runs[self.runs["part"] == str(StudyPart.FIT)]

    @property
    def fit_runs(self) -> pd.DataFrame:
        """The completed runs that the law is fitted to."""
        planned = self.planned_fit
        return planned[planned["status"] == str(Status.COMPLETED)]

    def rungs(self, runs: pd.DataFrame) -> list[tuple[int, pd.DataFrame]]:
        """The runs rung by rung, in order."""
        numbers = sorted({int(rung) for rung in runs["rung"]})
        return [(rung, runs[runs["rung"] == rung]) for rung in numbers]

    @property
    def held_out(self) -> pd.DataFrame:
        return self.runs[self.runs["part"] == str(StudyPart.HELD_OUT)]

    @property
    def held_out_done(self) -> pd.DataFrame:
        held = self.held_out
        return held[held["status"] == str(Status.COMPLETED)]

    @property
    def held_out_trained(self) -> list[str]:
        """Held-out runs whose training has ended in any way, so that their outcome can be known."""
        held = self.held_out
        return [str(name) for name in held.loc[~held["status"].isin(UNFINISHED), "run_id"]]

    @property
    def unfinished(self) -> list[str]:
        """Runs of the fit that have not ended yet."""
        planned = self.planned_fit
        return [str(name) for name in planned.loc[planned["status"].isin(UNFINISHED), "run_id"]]


def load_study(folder: str | Path) -> StudyRecords:
    """The study in a folder that holds study.json, here or at a URL."""
    import numpy as np
    import pandas as pd

    root = records_at(folder)
    if not (root / STUDY).exists():
        raise UserError(
            f"{root}: no {STUDY} here; give the folder of a study such as runs/quickstart"
        )
    plan = read(root, StudyPlan)
    planned = pd.DataFrame(
        [
            {"run_id": r.run_id, "part": str(r.part), "rung": r.rung, "label": r.label}
            | dict(r.accounting)
            for r in plan.runs
        ]
    ).set_index("run_id")
    found = load_runs(root).set_index("run_id").reindex(planned.index)
    for column in planned.columns:
        given = planned[column]
        known = found[column] if column in found.columns else given
        # the plan says the purpose of a run; a finished run's own count wins over the planned one
        found[column] = given if column in PLANNED else known.fillna(given)
    for column in (plan.loss, plan.params, plan.tokens, "flops_6nd", "prediction_sha256"):
        if column not in found.columns:
            found[column] = np.nan
    return StudyRecords(
        folder=root,
        name=plan.name,
        question=plan.question,
        law=None if plan.law is None else by_name(plan.law),
        reading=plan.reading,
        loss=plan.loss,
        params=plan.params,
        tokens=plan.tokens,
        published=plan.published,
        corpora=plan.corpora,
        settings=plan.settings,
        runs=found.reset_index(),
        fields=tuple(name for name in science_fields(root) if name in found.columns),
        file=plan.file,
    )
