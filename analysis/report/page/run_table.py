"""The table of a study's runs: plan, settings that vary, loss, residual, cost, and use."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from analysis.plotting.numbers import quantity, scientific
from analysis.report.evidence import Evidence
from analysis.tables.study import StudyRecords
from scaling.common.tables import varying

if TYPE_CHECKING:
    import pandas as pd

NONE = "–"
SHOWN = ("budget.tokens", "data.fingerprint")  # in other columns, or for machines


@dataclass(frozen=True)
class Column:
    """A column: its head, and the text of a run's cell."""

    name: str
    cell: Callable[[pd.Series[Any]], str]
    is_text: bool = False


@dataclass(frozen=True)
class RunTable:
    """Columns, and for each run its kind ("held", "out" or none) and its cells."""

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def run_table(evidence: Evidence) -> RunTable:
    """Every planned run; "out" is one that the fit leaves out."""
    study = evidence.study
    columns = (
        Column("run", lambda run: str(run["run_id"]), is_text=True),
        Column("rung", lambda run: str(int(run["rung"]))),
        Column("parameters", lambda run: _number(quantity, run[study.params])),
        Column("tokens", lambda run: _number(quantity, run[study.tokens])),
        Column("D/N", lambda run: _number("{:.3g}".format, run[study.tokens] / run[study.params])),
        Column("FLOPs 6ND", lambda run: _number(scientific, run["flops_6nd"])),
        *_varied(study),
        Column(study.loss, lambda run: f"{run[study.loss]:.4f}" if _done(run) else NONE),
        *_residuals(evidence),
        Column("time", _time),
        Column("in the fit" if study.law else "standing", lambda run: _use(study, run), True),
    )
    return RunTable(
        columns,
        tuple(
            (_kind(run), tuple(column.cell(run) for column in columns))
            for _, run in study.runs.iterrows()
        ),
    )


def _varied(study: StudyRecords) -> list[Column]:
    """Label and settings in which the runs differ."""
    known = {
        name: tuple(map(_setting, study.runs[name]))
        for name in ("label", *study.fields)
        if name not in SHOWN
    }
    return [Column(name.rpartition(".")[2], partial(_field, name=name)) for name in varying(known)]


def _number(said: Callable[[float], str], value: Any) -> str:
    return said(float(value)) if math.isfinite(value) else NONE


def _field(run: pd.Series[Any], name: str) -> str:
    return _setting(run[name])


def _setting(value: Any) -> str:
    if isinstance(value, float):
        return NONE if math.isnan(value) else f"{value:.4g}"
    return str(value)


def _residuals(evidence: Evidence) -> list[Column]:
    """Measured above fitted, or above predicted for a held-out run."""
    if evidence.assessment is None:
        return []
    found: dict[str, float] = {
        each.forecast.run_id: 100 * math.log1p(each.error) for each in evidence.verdicts
    }
    for result in evidence.assessment.fits:
        names = result.points.rows["run_id"]
        found |= zip(map(str, names), 100 * result.residuals, strict=True)
    return [Column("above the law, %", lambda run: _percent(found, str(run["run_id"])))]


def _percent(found: Mapping[str, float], name: str) -> str:
    return f"{found[name]:+.2f}" if name in found else NONE


def _time(run: pd.Series[Any]) -> str:
    seconds = float(run.get("wall_seconds", math.nan))
    return duration(seconds) if math.isfinite(seconds) else NONE


def duration(seconds: float) -> str:
    """12 s, 3.4 min, 5.6 h."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _done(run: pd.Series[Any]) -> bool:
    return bool(run["status"] == "completed")


def _kind(run: pd.Series[Any]) -> str:
    if run["part"] == "held_out":
        return "held"
    return "" if _done(run) and run["part"] != "trunk" else "out"


def _use(study: StudyRecords, run: pd.Series[Any]) -> str:
    status = str(run["status"])
    if study.law is None:
        return status
    if run["part"] == "held_out":
        return "held out" if _done(run) else f"held out, {status}"
    if not _done(run):
        return f"no: {status}"
    return "no: trunk" if run["part"] == "trunk" else "yes"
