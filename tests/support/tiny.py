"""The smallest complete run: one layer, fifty steps, a second of training."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from experiments import data
from experiments.config.optimizer import OptimizerConfig
from experiments.config.overrides import override
from experiments.config.run import (
    BatchConfig,
    BudgetConfig,
    EvaluationConfig,
    Execution,
    RunConfig,
    Science,
)
from experiments.launchers.local import Local
from experiments.plan.run import Run
from experiments.plan.study import Study
from experiments.record import StudyPart
from experiments.runs.job import Event, Job
from experiments.sweep.sweep import Sweep, bind, run_sweep
from models.config import TransformerConfig

STEPS = 50
WORDS = ("the", "wind", "tunnel", "law", "of", "scale", "runs", "small", "and", "large", "data")

# A study file as a user writes it, of three runs to fit and one held out.
STUDY_FILE = '''
"""How does a tiny model learn?"""

from __future__ import annotations

from dataclasses import dataclass

import tiny
from experiments.record import StudyPart
from experiments.plan.study import Study


@dataclass(frozen=True)
class Scale:
    rates: tuple[float, ...] = (0.001, 0.002, 0.004)


def study(path: str = {path!r}, seed: int = 0) -> Study:
    return tiny.study(path, Scale().rates, seed=seed)
'''

# A search file as a user writes it.
SEARCH_FILE = '''
"""Which rate?"""

import tiny
from experiments.search.plan import Search
from experiments.search.space import Choice, LogUniform


def search(path: str = {path!r}, top: float = 0.1) -> Search:
    return Search(
        name="tiny",
        question="Which rate?",
        base=tiny.config("schedule.name=constant", "budget.tokens=320", texts=path),
        space={{
            "optimizer.learning_rate": LogUniform(1e-4, top),
            "optimizer.beta2": Choice((0.9, 0.99)),
        }},
        R=2,
        eta=2,
    )
'''


def write_texts(folder: Path, documents: int = 60, seed: int = 0) -> Path:
    """A small corpus: text files of about 400 bytes, the same for a seed."""
    folder.mkdir(parents=True, exist_ok=True)
    words = random.Random(seed)
    for number in range(documents):
        text = " ".join(words.choice(WORDS) for _ in range(80))
        (folder / f"{number:03d}.txt").write_text(text, encoding="utf-8")
    return folder


class OneCorpus(data.Corpora):
    """Corpora that give every run the same texts and ignore its config."""

    def __init__(self, texts: Path, cache: Path) -> None:
        super().__init__(cache)
        self.only = super().mixture(config(texts=texts).science.data)

    def mixture(self, data: data.DataConfig) -> data.Mixture:
        return self.only


def config(*assignments: str, texts: Path | str = "") -> RunConfig:
    """The tiny run; 16-token sequences, four at a time."""
    science = Science(
        model=TransformerConfig(layers=1, width=16, heads=2, kv_heads=2, head_dim=8, ffn=32),
        optimizer=OptimizerConfig(learning_rate=3e-3),
        batch=BatchConfig(sequences=4, seq_len=16),
        budget=BudgetConfig(STEPS * 64),
        data=data.DataConfig(source="files", path=str(texts), valid_fraction=0.2),
        evaluation=EvaluationConfig(windows=32),
    )
    return override(RunConfig(science, Execution(steps_per_dispatch=8)), assignments)


def job(folder: Path, *assignments: str, texts: Path | str = "") -> Job:
    run = Run(config(*assignments, texts=texts), rung=0)
    return Job(run, "tiny", folder / run.run_id)


def study(texts: Path | str, rates: Sequence[float] = (1e-3, 2e-3, 4e-3), seed: int = 0) -> Study:
    """One run per learning rate, and a longer held-out one."""
    base = config(f"seed={seed}", texts=texts)
    runs = [Run(override(base, [f"optimizer.learning_rate={rate}"]), 0) for rate in rates]
    longer = override(base, [f"budget.tokens={2 * STEPS * 64}"])
    return Study("tiny", "How?", (*runs, Run(longer, 1, StudyPart.HELD_OUT)))


def first(bound: Sweep, folder: Path, *assignments: str) -> Sweep:
    """The first run of a sweep alone, overridden, in another folder."""
    study = replace(bound.study, runs=bound.study.runs[:1])
    return replace(bound, folder=folder, study=study.override(assignments))


def lasting(steps: int) -> list[str]:
    """Settings of a run of so many steps, which saves often and has text enough."""
    return [f"budget.tokens={64 * steps}", "data.epochs=400", "execution.checkpoint_seconds=0.2"]


def swept(texts: Path, folder: Path, cache: Path) -> tuple[Sweep, list[Event]]:
    """Train three runs with two workers, the second with a rate that diverges."""
    bound = bind(study(texts, rates=(1e-3, 1e30, 4e-3)), folder, cache)
    events: list[Event] = []
    run_sweep(bound, StudyPart.FIT, Local(2), events.append)
    return bound, events
