"""Speed-up of grown models: `_speedup`, with the small model's FLOPs."""

from __future__ import annotations

from analysis.readings._speedup import SpeedUps, Words, speed_ups
from analysis.tables.study import StudyRecords

WORDS = Words("growth", "the small model", "54.6 % by stacking at 7B")


def read(study: StudyRecords) -> SpeedUps | None:
    """The speed-ups of the finished runs; None before a grown one and two from the start.

    Raises:
        UserError: the records name no parents.
    """
    return speed_ups(study, WORDS)
