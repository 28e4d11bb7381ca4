"""A study: a question, the runs that answer it, the runs held out, and the law to fit.

A study file lies in ``experiments/studies/`` (or anywhere, given by path) and defines

    def study(scale: Literal["cpu", "gpu", "pod"] = "cpu", seed: int = 0) -> Study

Its parameters are the study's settings, given on the command line as ``--set scale=gpu``. A search
file (experiments/search/plan.py) is read in the same way.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_type_hints

from experiments import studies
from experiments.config.fields import from_text
from experiments.config.identity import identity
from experiments.config.overrides import override, paths, split
from experiments.config.run import RunConfig
from experiments.plan.branching import Origin
from experiments.plan.law_settings import Given, Source, follow, separate
from experiments.record import Part
from scaling.common.errors import UserError, nearest
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


@dataclass(frozen=True)
class Shelf:
    """One kind of file: where the package's own lie, the function that each defines and what it
    gives, and the fields that may be set besides its settings."""

    package: ModuleType
    function: str
    kind: type[Any]
    fields: tuple[str, ...]


STUDIES = Shelf(studies, "study", Study, paths())


def names(shelf: Shelf = STUDIES) -> list[str]:
    """The files that come with the package."""
    return sorted(module.name for module in pkgutil.iter_modules(shelf.package.__path__))


def module(name: str, shelf: Shelf = STUDIES) -> ModuleType:
    """The file of this name or path: ``quickstart`` or ``my/file.py``."""
    path = Path(name)
    if path.suffix != ".py":
        known = names(shelf)
        if path.name not in known:
            raise UserError(f"no {shelf.function} '{name}'; {nearest(path.name, known)}")
        path = Path(*shelf.package.__path__, f"{path.name}.py")
        with _one_line(path):
            return importlib.import_module(f"{shelf.package.__name__}.{path.stem}")
    if not path.is_file():
        raise UserError(f"{name}: no such {shelf.function} file")
    spec = importlib.util.spec_from_file_location(f"{shelf.function}_file_{path.stem}", path)
    assert spec and spec.loader
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found  # dataclasses look their own module up
    with _one_line(path):
        spec.loader.exec_module(found)
    return found


@contextmanager
def _one_line(file: Path) -> Iterator[None]:
    """Whatever goes wrong in such a file is told in one line, with the line that led to it."""
    try:
        yield
    except UserError:
        raise
    except SyntaxError as error:
        raise UserError(f"{error.filename or file}:{error.lineno}: {error.msg}") from error
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if Path(frame.filename) == file.absolute()]
        where = (own or frames)[-1]
        what, _, _ = str(error).partition("\n")
        raise UserError(
            f"{where.filename}:{where.lineno}: {type(error).__name__}: {what}"
        ) from error


def load(name: str, assignments: Sequence[str] = ()) -> Study:
    """The study of this name with its settings and overrides applied."""
    study: Study = build(STUDIES, name, assignments)
    return study


def build(shelf: Shelf, name: str, assignments: Sequence[str]) -> Any:
    """What the file of this name gives, with its settings and overrides applied.

    A setting is a parameter of its function, everything else a path into the config.
    """
    found = module(name, shelf)
    if not hasattr(found, shelf.function):
        raise UserError(
            f"{name}: it defines no function '{shelf.function}'; "
            f"see {shelf.kind.__module__.replace('.', '/')}.py"
        )
    make: Callable[..., Any] = getattr(found, shelf.function)
    hints = get_type_hints(make)
    settings = {key: known.default for key, known in inspect.signature(make).parameters.items()}
    rest: dict[str, str] = {}
    for text in assignments:
        key, value = split(text)
        if key in settings:
            settings[key] = from_text(f"--set {key}", value, hints[key])
        elif key in shelf.fields:
            rest[key] = value
        else:
            known = [*settings, *shelf.fields]
            raise UserError(f"--set {key}: no such field; {nearest(key, known)}")
    if unset := [key for key, value in settings.items() if value is inspect.Parameter.empty]:
        raise UserError(f"--set {unset[0]}=...: the {shelf.function} '{name}' needs this setting")
    with _one_line(Path(inspect.getfile(found))):
        built = make(**settings)
    if not isinstance(built, shelf.kind):
        raise UserError(
            f"{name}: its function '{shelf.function}' gives a {type(built).__name__}, "
            f"no {shelf.kind.__name__}"
        )
    built = built.override([f"{key}={value}" for key, value in rest.items()])
    return replace(built, settings={**settings, **rest})
