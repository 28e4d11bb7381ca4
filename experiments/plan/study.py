"""A study: a question, the runs that answer it, the runs held out, and the law to fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from experiments.config.data import DataConfig
from experiments.plan.law_settings import separate
from experiments.plan.run import Run
from experiments.record import Measured, StudyPart
from scaling.common import plugins
from scaling.common.errors import UserError, nearest
from scaling.laws import by_name

LONGEST = 100  # bytes of a name
READINGS = "analysis.readings"
FINDINGS = ("yes", "no")
PARAMS = ("params_total", "params_active", "params_unique", "params_nonembedding")


def check_name(name: str) -> None:
    """Check that a study's or a search's name can be that of the folder of its runs."""
    fits = 0 < len(name.encode()) <= LONGEST and "\0" not in name
    if not fits or name == ".." or Path(name).name != name:
        raise UserError(
            f"name '{name[:LONGEST]}': it names the folder of the runs; give 1 to {LONGEST} "
            "letters without a slash"
        )


@dataclass(frozen=True)
class Study:
    """The value of `study()`. `loss`, `params` and `tokens` name the record's columns to fit.

    The compute C = 6 N D of a law is that of `params="params_active"`; of a dense model it is
    params_total. A study of experts that asks for a compute optimum names it.

    A study that compares settings fits no law of the loss; `reading` names its analysis.
    `published` holds others' findings by the label of the runs: "yes" where the best setting stays
    as the model grows, "no" where it moves.
    """

    name: str
    question: str
    runs: tuple[Run, ...]
    law: str | None = "chinchilla"
    reading: str = "transfer"  # a file of analysis/readings/
    loss: str = "loss_per_byte"
    params: str = "params_total"
    tokens: str = "tokens"
    published: Mapping[str, Literal["yes", "no"]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)  # as built, overrides included
    designed: tuple[Run, ...] = ()  # the runs before overrides, where there are any
    file: str = ""  # its path, or its name in the package where the study has another

    def __post_init__(self) -> None:
        object.__setattr__(self, "runs", tuple(self.runs))
        for name in ("name", "question"):
            if not isinstance(getattr(self, name), str):
                raise UserError(f"Study: {name}={getattr(self, name)!r}: give a text")
        for run in self.runs:
            if not isinstance(run, Run):
                raise UserError(f"Study: runs: one is a {type(run).__name__}; give each as a Run")
        if self.params not in PARAMS:
            raise UserError(f"params={self.params}: {nearest(self.params, PARAMS)}")
        check_name(self.name)
        for run in self.runs[:1]:
            known = sorted({*run.ledger, *Measured.__struct_fields__})
            for name in ("loss", "tokens"):
                column = getattr(self, name)
                if column.partition(".")[0] not in known:
                    raise UserError(f"Study: {name}={column}: {nearest(column, known)}")
        readings = plugins.files(READINGS)
        if self.reading not in readings:
            raise UserError(f"Study: reading={self.reading}: {nearest(self.reading, readings)}")
        self._check_published()
        if self.law is not None:
            by_name(self.law)  # it is needed when all runs are trained

    def _check_published(self) -> None:
        labels = {run.label for run in self.runs}
        for label, finding in self.published.items():
            if finding not in FINDINGS:
                known = nearest(finding, FINDINGS)
                raise UserError(f"Study: published: {label}={finding}: {known}")
            if label not in labels:
                known = nearest(label, labels)
                raise UserError(f"Study: published: {label}: no run has this label; {known}")

    def part(self, part: StudyPart) -> tuple[Run, ...]:
        return tuple(run for run in self.runs if run.part is part)

    def override(self, assignments: Sequence[str]) -> Study:
        """Every run with the same overrides applied, and then with what laws give."""
        if not assignments:
            return self
        plain, laws = separate(assignments)
        runs = tuple(run.override(plain).follow(laws) for run in self.runs)
        return replace(self, runs=runs, designed=self.runs)

    def with_fingerprints(self, find: Callable[[DataConfig], str]) -> Study:
        """Every run bound to the corpora found for its data, which fixes its identity."""
        return replace(self, runs=tuple(run.with_fingerprint(find) for run in self.runs))
