"""Train a study from Python: the same sweep as `windtunnel run`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from experiments import launchers
from experiments.plan.study import Study
from experiments.record import FINISHED, Status, StudyPart
from experiments.sweep.progress import Progress
from experiments.sweep.sweep import bind, ready, train
from experiments.sweep.under_way import under_way
from scaling.common.errors import UserError
from scaling.common.files import cache_folder, output_folder


def run(
    study: Study,
    *,
    out: str | Path | None = None,
    part: StudyPart | str = StudyPart.FIT,
    workers: int | None = None,
) -> Path:
    """Train the missing runs of a study, and return the folder of its records.

    Args:
        study: a value, or `experiments.studies.load("quickstart", ["seed=1"])`.
        out: the folder; runs/NAME if not given.
        part: the runs to fit, or the held-out ones.
        workers: runs at once; one per core, or one per GPU, if not given.

    An interrupted call continues from its last checkpoints when it is given again. A run that fails
    stops no other; the last line counts them, and `load_runs` has their messages.

    Raises:
        UserError: a run would fail; nothing is trained.
    """
    if not isinstance(study, Study):
        raise UserError(f"run: give a Study, not {type(study).__name__}")
    from rich.console import Console

    folder, console = output_folder(out or Path("runs") / study.name), Console()
    with under_way(folder, cache_folder()):
        sweep = bind(study, folder, cache_folder())
        runs, launcher = sweep.runs(StudyPart(part)), launchers.load("local", workers, {})
        finished = [run.run_id for run in runs if sweep.status(run) in FINISHED]
        with Progress(runs, finished, console) as progress:
            train(sweep, ready(sweep, StudyPart(part), launcher), launcher, progress)
    counts = Counter(sweep.status(run) for run in runs)
    said = ", ".join(f"{counts[status]} {status}" for status in Status if counts[status])
    console.print(f"{study.name}: {said}, in {sweep.folder}", highlight=False, soft_wrap=True)
    return sweep.folder
