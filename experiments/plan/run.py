"""A planned run: its config, its place in the study, and its beginning.

Fresh        parameters drawn by its seed
Continued    the checkpoint of another run with the same first steps: the result is that of a
             fresh run, so this is no part of its science
Derived      parameters that an operation (experiments/operations) makes from other runs': part of
             its science
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

from experiments.config.data import DataConfig
from experiments.config.identity import identity
from experiments.config.overrides import assign, override
from experiments.config.run import RunConfig
from experiments.plan.law_settings import Given, LawSource, find, follow
from experiments.record import StudyPart
from models.config import TransformerConfig
from scaling.common.errors import UserError, nearest
from scaling.counting.formulas import flops_by_part, ledger
from scaling.counting.parts import Dims


@dataclass(frozen=True)
class Fresh:
    """Initial parameters by the seed."""

    @property
    def parents(self) -> tuple[Run, ...]:
        return ()

    def change(self, parent: Callable[[Run], Run]) -> Fresh:
        return self


@dataclass(frozen=True)
class Continued:
    """The checkpoint of a run of the same study, and the steps that both share."""

    parent: Run
    step: int

    @property
    def parents(self) -> tuple[Run, ...]:
        return (self.parent,)

    def change(self, parent: Callable[[Run], Run]) -> Continued:
        """The same beginning with `parent` applied to the run that it takes over."""
        return replace(self, parent=parent(self.parent))


TEACHING = "distill"  # the operation whose parents give logits all through the training


@dataclass(frozen=True)
class Derived:
    """An operation by name, its settings, and the finished runs of the same study it is applied to.

    Settings are the keyword arguments of the operation; those left out have its defaults. `at` has
    the step of a kept checkpoint for each parent; without it each is taken at its end.
    """

    parents: tuple[Run, ...]
    operation: str
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    at: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.at and len(self.at) != len(self.parents):
            raise UserError(
                f"operation '{self.operation}': {len(self.at)} steps in `at` for "
                f"{len(self.parents)} parents; give one for each"
            )

    @property
    def sources(self) -> tuple[tuple[Run, int], ...]:
        """Each parent with the step of its checkpoint."""
        ends = tuple(parent.config.science.steps for parent in self.parents)
        return tuple(zip(self.parents, self.at or ends, strict=True))

    @property
    def teachers(self) -> tuple[tuple[Run, int], ...]:
        """Parents that teach, each with the step of its checkpoint."""
        return self.sources if self.operation == TEACHING else ()

    def change(self, parent: Callable[[Run], Run]) -> Derived:
        """The same beginning with `parent` applied to every parent."""
        return replace(self, parents=tuple(map(parent, self.parents)))


Beginning = Fresh | Continued | Derived


KINDS: Mapping[str, tuple[type, ...]] = {  # of the fields of a run, as a study's file gives them
    "config": (RunConfig,),
    "rung": (int,),
    "beginning": (Fresh, Continued, Derived),
    "label": (str,),
}


def _short(value: object) -> str:
    """A value as a line can hold it."""
    text = repr(value).partition("\n")[0]
    return text if len(text) <= 40 else f"a {type(value).__name__}"


@dataclass(frozen=True)
class Run:
    """One planned run. A rung is all runs at one size, or at one budget, counted from 0."""

    config: RunConfig
    rung: int
    part: StudyPart = StudyPart.FIT
    beginning: Beginning = Fresh()
    label: str = ""  # its arm of the study's comparison
    given: tuple[Given, ...] = ()  # settings by hyperparameter laws, with the laws' variables

    def __post_init__(self) -> None:
        part, parts = str(self.part), [str(each) for each in StudyPart]
        if part not in parts:
            raise UserError(f"Run: part={part!r}: {nearest(part, parts)}")
        object.__setattr__(self, "part", StudyPart(part))
        for name, kind in KINDS.items():
            value = getattr(self, name)
            if not isinstance(value, kind) or isinstance(value, bool):
                said = " or ".join(each.__name__ for each in kind)
                raise UserError(f"Run: {name}={_short(value)}: must be {said}")
        if self.rung < 0:
            raise UserError(f"Run: rung={self.rung}: rungs are counted from 0")

    @cached_property
    def run_id(self) -> str:
        """Hash of the science; of a derived run, of its parents, operation and settings too."""
        begun = self.beginning
        if not isinstance(begun, Derived):
            return identity(self.config.science)
        parents = [parent.run_id for parent in begun.parents]
        steps = [list(begun.at)] if begun.at else []
        derivation = (parents, begun.operation, dict(begun.settings), *steps)
        return identity(self.config.science, derivation)

    @property
    def origin(self) -> Continued | None:
        """The checkpoint that it continues."""
        return self.beginning if isinstance(self.beginning, Continued) else None

    @property
    def ledger(self) -> dict[str, float]:
        """N, D and C under every definition, before any training.

        A derived run counts its own training alone; its record adds `flops_parents`.
        """
        science = self.config.science
        return {**_ledger(science.model, science.batch.seq_len, science.tokens)}

    @property
    def dims(self) -> Dims:
        """The lengths and parts by which its model is counted."""
        science = self.config.science
        return science.model.dims(science.batch.seq_len)

    @property
    def flops_by_part(self) -> dict[str, float]:
        """`flops_model` of all its tokens, by the names of the model's parts."""
        tokens = self.config.science.tokens
        return {name: found * tokens for name, found in flops_by_part(self.dims).items()}

    @property
    def first_step(self) -> int:
        """Steps that it takes over; its own training begins there."""
        return self.origin.step if self.origin else 0

    @property
    def flops_parents(self) -> float:
        """`flops_model` of all runs behind its initial parameters, each counted once.

        A run whose early checkpoint alone is used counts up to the latest of these steps.
        """
        latest: dict[str, tuple[Run, int]] = {}
        waiting: list[Run] = [self]
        while waiting:
            begun = waiting.pop().beginning
            for run, step in begun.sources if isinstance(begun, Derived) else ():
                if run.run_id not in latest:
                    waiting.append(run)
                    latest[run.run_id] = (run, step)
                latest[run.run_id] = (run, max(step, latest[run.run_id][1]))
        return sum(run.flops_until(step) for run, step in latest.values())

    @property
    def teachers(self) -> tuple[tuple[Run, int], ...]:
        """Its teachers, each with the step of its checkpoint."""
        return self.beginning.teachers if isinstance(self.beginning, Derived) else ()

    @property
    def flops_teachers(self) -> float:
        """Their forward passes over all its tokens: a third of `flops_model` for each token."""
        science = self.config.science
        return sum(
            _ledger(run.config.science.model, science.batch.seq_len, science.tokens)["flops_model"]
            / 3
            for run, _ in self.teachers
        )

    @property
    def params_trained(self) -> int:
        """Numbers that its training changes; of some alone, by the weights of the model."""
        science = self.config.science
        if science.tuning.method == "all":
            return int(self.ledger["params_total"])
        from models.transformer import leaves  # with JAX, which a plan needs for this alone

        return science.tuning.trained(leaves(science.model, science.batch.seq_len))

    @property
    def ancestors(self) -> frozenset[str]:
        """The ids of all runs behind its initial parameters."""
        found: frozenset[str] = frozenset()
        if isinstance(self.beginning, Derived):
            for parent in self.beginning.parents:
                found |= {parent.run_id} | parent.ancestors
        return found

    def flops_until(self, step: int) -> float:
        """`flops_model` of its first steps, those that it takes over included."""
        return self.ledger["flops_model"] * step / max(1, self.config.science.steps)

    @property
    def flops(self) -> float:
        """Cost of its own training: `flops_model` of the steps that it does not inherit."""
        return self.ledger["flops_model"] - self.flops_until(self.first_step)

    def override(self, assignments: Sequence[str]) -> Run:
        """The same overrides applied to the run and to its parents."""
        return replace(
            self,
            config=override(self.config, assignments),
            beginning=self.beginning.change(lambda parent: parent.override(assignments)),
        )

    def with_fingerprint(self, find: Callable[[DataConfig], str]) -> Run:
        """The run, and its parents, bound to the corpora found for the data of each."""
        return replace(
            self,
            config=assign(self.config, {"data.fingerprint": find(self.config.science.data)}),
            beginning=self.beginning.change(lambda parent: parent.with_fingerprint(find)),
        )

    def follow(self, laws: Mapping[str, LawSource]) -> Run:
        """The run, and its parents, with each field as its law gives it there."""
        config, given = follow(self.config, laws)
        return replace(
            self,
            config=config,
            beginning=self.beginning.change(lambda parent: parent.follow(laws)),
            given=(*self.given, *given),
        )


@lru_cache(maxsize=1024)  # the runs of a study have few sizes and budgets
def _ledger(model: TransformerConfig, context: int, tokens: int) -> Mapping[str, float]:
    return ledger(model.dims(context), tokens)


def following(runs: Iterable[Run], laws: Mapping[str, str]) -> tuple[Run, ...]:
    """The runs with each field as the law of this name or file gives it, for a study file."""
    found = {path: find(path, name) for path, name in laws.items()}
    return tuple(run.follow(found) for run in runs)
