"""A study: a question, the runs that answer it, the runs held out, and the law to fit.

A study file lies in ``experiments/studies/`` (or anywhere, given by path) and defines

    def study(scale: Literal["cpu", "gpu", "pod"] = "cpu", seed: int = 0) -> Study

Its parameters are the study's settings, given on the command line as ``--set scale=gpu``.
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
from typing import Any, get_type_hints

from experiments import studies
from experiments.branches import Origin
from experiments.config import RunConfig, identity
from experiments.overrides import override, parse, paths, split
from experiments.record import Part
from scaling.accounting import ledger
from scaling.errors import UserError, nearest


@dataclass(frozen=True)
class Run:
    """One planned run. A rung is all runs at one size, or at one budget, counted from 0."""

    config: RunConfig
    rung: int
    part: Part = Part.FIT
    origin: Origin | None = None  # a run of the same study whose first steps are taken over

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


@dataclass(frozen=True)
class Study:
    """What `study()` returns. `loss`, `params` and `tokens` name the record's columns to fit.

    A study that compares settings fits no law.
    """

    name: str
    question: str
    runs: tuple[Run, ...]
    law: str | None = "chinchilla"
    loss: str = "loss_per_byte"
    params: str = "params_total"
    tokens: str = "tokens"
    settings: Mapping[str, Any] = field(default_factory=dict)  # as built, overrides included

    def part(self, part: Part) -> tuple[Run, ...]:
        return tuple(run for run in self.runs if run.part is part)

    def override(self, assignments: Sequence[str]) -> Study:
        """Every run with the same overrides applied."""
        return replace(self, runs=tuple(run.override(assignments) for run in self.runs))

    def with_fingerprint(self, fingerprint: str) -> Study:
        """Every run bound to the corpus that was found: from here on its identity is fixed."""
        return self.override([f"data.fingerprint={fingerprint}"])


def names() -> list[str]:
    """The studies that come with the package."""
    return sorted(module.name for module in pkgutil.iter_modules(studies.__path__))


def module(name: str) -> ModuleType:
    """The study file of this name or path: ``quickstart`` or ``my/file.py``."""
    path = Path(name)
    if path.suffix != ".py":
        if path.name not in names():
            raise UserError(f"no study '{name}'; {nearest(path.name, names())}")
        path = Path(*studies.__path__, f"{path.name}.py")
        with _one_line(path):
            return importlib.import_module(f"{studies.__name__}.{path.stem}")
    if not path.is_file():
        raise UserError(f"{name}: no such study file")
    spec = importlib.util.spec_from_file_location(f"study_file_{path.stem}", path)
    assert spec and spec.loader
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found  # dataclasses look their own module up
    with _one_line(path):
        spec.loader.exec_module(found)
    return found


@contextmanager
def _one_line(file: Path) -> Iterator[None]:
    """Whatever goes wrong in a study file is told in one line, with the line that led to it."""
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
    """The study of this name with its settings and overrides applied.

    A setting is a parameter of its ``study`` function, everything else a path into the config.
    """
    found = module(name)
    if not hasattr(found, "study"):
        raise UserError(f"{name}: it defines no function 'study'; see experiments/study.py")
    build: Callable[..., Study] = found.study
    hints = get_type_hints(build)
    settings = {key: known.default for key, known in inspect.signature(build).parameters.items()}
    rest: dict[str, str] = {}
    for text in assignments:
        key, value = split(text)
        if key in settings:
            settings[key] = parse(key, value, hints[key])
        elif key in paths():
            rest[key] = value
        else:
            raise UserError(f"--set {key}: no such field; {nearest(key, [*settings, *paths()])}")
    if unset := [key for key, value in settings.items() if value is inspect.Parameter.empty]:
        raise UserError(f"--set {unset[0]}=...: the study '{name}' needs this setting")
    with _one_line(Path(inspect.getfile(found))):
        built = build(**settings)
    if not isinstance(built, Study):
        raise UserError(f"{name}: its function 'study' gives a {type(built).__name__}, no Study")
    built = built.override([f"{key}={value}" for key, value in rest.items()])
    return replace(built, settings={**settings, **rest})
