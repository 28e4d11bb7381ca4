"""Readings: answers that a study's runs give beside a law of the loss, found by name.

A reading is one file here. It holds its finding with tables, figures and captions, and

    def read(study: StudyRecords) -> Finding | None

which gives None where too few runs have finished, and raises UserError where they cannot answer.
"""

from __future__ import annotations

from collections.abc import Callable

from analysis.readings._finding import Finding
from analysis.tables.study import StudyRecords
from experiments.record import STUDY
from scaling.common import plugins


def reader(study: StudyRecords) -> Callable[[StudyRecords], Finding | None]:
    """`read` of the reading that study.json names, UserError for an unknown name; a table that is
    reported as a study may have none."""
    if not study.reading:
        return lambda _: None
    kind = f"{study.folder / STUDY}: reading"
    read: Callable[[StudyRecords], Finding | None] = plugins.find(
        __name__, study.reading, kind, "read"
    )
    return read
