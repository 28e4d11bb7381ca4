"""Names of the record: its files, the states of a run, its parts, and the base classes."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any, ClassVar

import msgspec

SCHEMA = 2
AGAIN = 75  # exit code of interrupted work that the same command continues: EX_TEMPFAIL

STUDY, PREDICTION, SEARCH = "study.json", "prediction.json", "search.json"
CONFIG, METRICS, SUMMARY = "config.json", "metrics.jsonl", "summary.json"
CHECKPOINTS, EVALUATIONS = "checkpoints", "evaluations"
TOKENIZER = "tokenizer.json"
ELSEWHERE = "make room, or choose another folder with --out"


class Status(StrEnum):
    """State of a run. The summary holds the last three; the first two are inferred."""

    MISSING = "missing"  # no folder
    STARTED = "started"  # a config and no summary: running, or interrupted
    COMPLETED = "completed"
    DIVERGED = "diverged"  # the loss rose far beyond its start, or out of the finite numbers
    FAILED = "failed"  # an error of the code or the machine, text in the summary


FINISHED = (Status.COMPLETED, Status.DIVERGED)  # for good
ENDED = (*FINISHED, Status.FAILED)  # there is a summary


class StudyPart(StrEnum):
    """Purpose of a run: the fit sees the first kind only."""

    FIT = "fit"
    HELD_OUT = "held_out"
    TRUNK = "trunk"  # parent of branches; its loss, without a cooldown, is not comparable


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a file: typed fields, and no others."""


class File(Entry, frozen=True, kw_only=True, tag_field="schema", tag=SCHEMA):
    """A whole JSON file of the record, with its name in its folder and its schema version."""

    NAME: ClassVar[str]
    MEND: ClassVar[str] = "run the study again, which moves it aside"


def finite(value: float) -> float | None:
    """Turn a number into what JSON can hold: null where it is not finite."""
    return float(value) if math.isfinite(value) else None


def scalar(value: Any) -> bool | int | float | str:
    """Turn a field into one value, for tables and services: a list as text, "960,1920"."""
    return ",".join(map(str, value)) if isinstance(value, list) else value
