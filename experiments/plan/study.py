"""A study: a question, the runs that answer it, the runs held out, and the law to fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from experiments.config.identity import identity
from experiments.config.overrides import override
from experiments.config.run import RunConfig
from experiments.plan.branching import Origin
from experiments.plan.law_settings import Given, Source, find, follow, separate
from experiments.record import Part
from scaling.counting.formulas import ledger


@dataclass(frozen=True)
class Run:
    """One planned run. A rung is all runs at one size, or at one budget, counted from 0."""

    config: RunConfig
    rung: int
    part: Part = Part.FIT
    origin: Origin | None = None  # a run of the same study whose first steps are taken over
    label: str = ""  # which of the things that the study compares it belongs to, by name
    given: tuple[Given, ...] = ()  # which settings hyperparameter laws gave, and asked what

    @property
    def run_id(self) -> str:
        return identity(self.config.science)

    @property
    def ledger(self) -> dict[str, float]:
        """N, D and C under every definition, before anything is trained."""
        science = self.config.science
        return ledger(science.model.dims(science.batch.seq_len), science.tokens)

    @property
    def first_step(self) -> int:
        """Where its own training begins."""
        return self.origin.step if self.origin else 0

    @property
    def flops(self) -> float:
        """What its own training costs: `flops_model` of the steps that it does not take over."""
        steps = self.config.science.steps
        return self.ledger["flops_model"] * (steps - self.first_step) / steps

    def override(self, assignments: Sequence[str]) -> Run:
        """The same overrides applied to the run and to what it goes on from."""
        origin = self.origin and replace(
            self.origin, config=override(self.origin.config, assignments)
        )
        return replace(self, config=override(self.config, assignments), origin=origin)

    def follow(self, laws: Mapping[str, Source]) -> Run:
        """The run, and what it goes on from, with each field as its law gives it there."""
        origin = self.origin and replace(self.origin, config=follow(self.origin.config, laws)[0])
        config, given = follow(self.config, laws)
        return replace(self, config=config, origin=origin, given=(*self.given, *given))


@dataclass(frozen=True)
class Study:
    """What `study()` returns. `loss`, `params` and `tokens` name the record's columns to fit.

    A study that compares settings fits no law of the loss; `reading` is what it is analysed for.
    `published` is what others have found of the things it compares, by the label of their runs:
    "yes" where the best setting stays as the model grows, "no" where it moves.
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

    def part(self, part: Part) -> tuple[Run, ...]:
        return tuple(run for run in self.runs if run.part is part)

    def override(self, assignments: Sequence[str]) -> Study:
        """Every run with the same overrides applied, and then with what laws give."""
        plain, laws = separate(assignments)
        runs = tuple(run.override(plain).follow(laws) for run in self.runs)
        return replace(self, runs=runs)

    def with_fingerprint(self, fingerprint: str) -> Study:
        """Every run bound to the corpus that was found: from here on its identity is fixed."""
        return self.override([f"data.fingerprint={fingerprint}"])


def following(runs: Iterable[Run], laws: Mapping[str, str]) -> tuple[Run, ...]:
    """The runs with each field set by a law, given by its name or file; for study files."""
    found = {path: find(path, name) for path, name in laws.items()}
    return tuple(run.follow(found) for run in runs)
