"""Records to a table: one row per run, read from `summary.json` alone where there is one.

Columns are run_id, study, part, rung, status, path and device, the `metrics`, and `science` under
dotted names ("model.width", "seed"). Planned runs without a sound summary are rows too, with status
missing or started and no metrics. Rows of a study say if its plan still names the run (`planned`);
fits leave out the others, as reports do.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.record import (
    CONFIG,
    METRICS,
    STUDY,
    SUMMARY,
    DamagedError,
    RunRecord,
    RunSummary,
    Status,
    StudyPlan,
    UnreadableError,
    changed,
    read,
    read_rows,
    records_at,
    scalar,
)
from scaling.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]


def load_runs(path: str | Path) -> pd.DataFrame:
    """One row per run of a run folder, a study folder, or a folder of studies, here or at a URL."""
    import pandas as pd

    root = records_at(path)
    if not root.is_dir():
        raise UserError(f"{path}: no such folder; give a study folder such as runs/quickstart")
    rows = list(_rows_below(root))
    if not rows:
        raise UserError(
            f"{root}: no runs here ({SUMMARY}, {CONFIG} or {STUDY} not found); "
            "give the folder of a study, of a run, or of several studies"
        )
    return pd.DataFrame(with_parents(rows))


def with_parents(rows: Sequence[Row]) -> list[Row]:
    """The rows with the compute of each run and its ancestors, where any run is derived.

    `flops_with_parents` counts each ancestor of a run in full, and `flops_with_parents_shared`
    divides it evenly among all runs of the table that descend from it. `flops_model` has none.
    Teachers' forward passes count in full too, or once for all students of one seed, whose tokens
    are the same: each has a share by its own tokens.
    """
    known = {row["run_id"]: row for row in rows}

    def behind(row: Row) -> frozenset[str]:
        named = row["parents"].split() if "parents" in row else []
        older = (behind(known[name]) for name in named if name in known)
        return frozenset(named).union(*older)

    ancestors = [behind(row) for row in rows]
    heirs = Counter(name for names in ancestors for name in names)
    if not heirs:
        return list(rows)
    nan = float("nan")
    cost = {name: row.get("flops_model", nan) for name, row in known.items()}
    taught = _teachers(rows)
    found = []
    for row, names in zip(rows, ancestors, strict=True):
        own = cost[row["run_id"]]
        older = row["flops_parents"] if names and "flops_parents" in row else 0.0
        full, shared = taught[row["run_id"]]
        shares = sum(cost[name] / heirs[name] if name in cost else nan for name in sorted(names))
        both = {"flops_with_parents": own + older + full}
        both["flops_with_parents_shared"] = own + shares + shared
        found.append(row | both)
    return found


def _teachers(rows: Sequence[Row]) -> dict[str, tuple[float, float]]:
    """FLOPs of the teachers' forward passes of each student, in full and shared."""
    classes: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row.get("flops_teachers"):  # none of earlier versions
            classes.setdefault((row["teachers"], row.get("seed")), []).append(row)
    found: dict[str, tuple[float, float]] = {row["run_id"]: (0.0, 0.0) for row in rows}
    for students in classes.values():
        costs = [row["flops_teachers"] for row in students]
        once = max(costs) / sum(costs)
        found |= {row["run_id"]: (c, c * once) for row, c in zip(students, costs, strict=True)}
    return found


def science_fields(study: Path) -> tuple[str, ...]:
    """The columns of a study's runs that are settings, as the first whole config names them."""
    for folder in _folders(study):
        with suppress(DamagedError, UnreadableError, PermissionError):
            if (Path(folder) / CONFIG).exists():
                return tuple(_dotted(read(Path(folder), RunRecord).science))
    return ()


def trajectory(run: str | Path) -> pd.DataFrame:
    """The metrics of one run, in the order written: training and evaluation rows together.

    Raises:
        UserError: the rows are damaged, or differ from the summary of the run that has ended.
    """
    import pandas as pd

    folder = records_at(run)
    file = folder / METRICS
    if not file.exists():
        raise UserError(f"{file}: no such file; give the folder of one run")
    if (folder / SUMMARY).exists():
        how = changed(folder, read(folder, RunSummary)).get(METRICS)
        if how is not None:
            raise DamagedError(f"{file}: {how}; {RunSummary.MEND}")
    return pd.DataFrame(
        [
            {"step": row.step, "tokens": row.tokens, **row.metrics}
            | ({} if row.seconds is None else {"seconds": row.seconds})
            for row in read_rows(file)
        ]
    )


def _rows_below(root: Path) -> Iterator[Row]:
    if (root / SUMMARY).exists() or (root / CONFIG).exists():
        yield _row(str(root))
        return
    if (root / STUDY).exists():
        yield from _study_rows(root)
        return
    studies = sorted(entry for entry in root.iterdir() if (entry / STUDY).exists())
    for study in studies:
        yield from _study_rows(study)
    if not studies:
        yield from (row for row in map(_row, _folders(root)) if row)


def _study_rows(study: Path) -> Iterator[Row]:
    """The runs on disk, then the planned ones that have no folder."""
    plan = read(study, StudyPlan)
    planned, seen, damaged = {run.run_id for run in plan.runs}, set(), {}
    for folder in _folders(study):
        try:
            row = _row(folder)
        except (DamagedError, UnreadableError) as error:
            damaged[Path(folder).name] = str(error)
            continue
        if not row:
            continue
        name, run_id = Path(folder).name, row["run_id"]
        if name != run_id and name in planned:
            damaged[name] = f"{folder}: holds the record of run {run_id}; {RunSummary.MEND}"
            continue
        is_copy = name != run_id and (study / run_id).exists()
        seen.add(run_id)
        yield row | {"planned": run_id in planned and not is_copy}
    for run in plan.runs:
        if run.run_id not in seen:
            message = damaged.get(run.run_id)
            yield {
                "run_id": run.run_id,
                "study": plan.name,
                "part": str(run.part),
                "rung": run.rung,
                "label": run.label,
                "status": str(Status.MISSING if message is None else Status.STARTED),
                "path": str(study / run.run_id),
                "message": message,
                "planned": True,
            }


def _folders(parent: Path) -> list[str]:
    with os.scandir(parent) as entries:
        return sorted(entry.path for entry in entries if entry.is_dir())


def _row(folder: str) -> Row:
    """One run from its summary, else from its config; empty where the folder is not a run.

    Raises:
        DamagedError: neither is sound.
        UnreadableError: the system does not let this process read them.
    """
    damage = None
    if _exists(f"{folder}/{SUMMARY}"):
        try:
            return _ended(read(Path(folder), RunSummary), folder)
        except DamagedError as error:
            damage = error
    if _exists(f"{folder}/{CONFIG}"):
        config = read(Path(folder), RunRecord)
        head = _head(config, folder, Status.STARTED)
        return {**head, "message": damage and str(damage), **_dotted(config.science)}
    if damage is not None:
        raise damage
    return {}


def _exists(path: str) -> bool:
    try:
        os.stat(path)  # noqa: PTH116 - pathlib costs as much as the parse
    except PermissionError as error:
        raise UnreadableError(f"{path}: cannot read ({error.strerror})") from error
    except OSError:
        return False
    return True


def _ended(summary: RunSummary, folder: str) -> Row:
    return {
        **_head(summary, folder, summary.status),
        "message": summary.message,
        "diverged_step": summary.diverged_step,
        "device": summary.environment.device,
        "code": summary.environment.code,
        "prediction_sha256": summary.prediction_sha256,
        **summary.numbers(),
        **_dotted(summary.science),
    }


def _head(run: RunRecord, folder: str, status: Status) -> Row:
    return {
        "run_id": run.run_id,
        "study": run.study,
        "part": str(run.part),
        "rung": run.rung,
        "label": run.label,
        "status": str(status),
        "path": folder,
        **_derivation(run),
    }


def _derivation(run: RunRecord) -> Row:
    """The operation of a derived run, its settings, its parents and their compute."""
    found = run.derivation
    if found is None:
        return {}
    return {
        "operation": found.operation,
        "parents": " ".join(dict.fromkeys(parent.run_id for parent in run.parents)),
        "parents_count": len(run.parents),
        "flops_parents": found.flops_parents,
        **(
            {"teachers": " ".join(found.teachers), "flops_teachers": found.flops_teachers}
            if found.teachers
            else {}
        ),
        "density": found.density,
        "bits": found.bits,
        **{
            name: value
            for name in ("params_trained", "rank")
            if (value := getattr(found, name)) is not None
        },
        **{f"operation.{name}": scalar(value) for name, value in found.settings.items()},
    }


def _dotted(science: Mapping[str, Any], prefix: str = "") -> Row:
    row: Row = {}
    for key, value in science.items():
        if isinstance(value, dict):
            row |= _dotted(value, f"{prefix}{key}.")
        else:
            row[prefix + key] = scalar(value)
    return row
