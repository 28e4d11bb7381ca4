"""Speed-up of students over training alone: `_speedup`, with the FLOPs of their teachers.

In full a student pays for its teachers' training and for their forward passes on its tokens.
Amortised, all students of the table share the training, and those of one seed the passes.
"""

from __future__ import annotations

from analysis.readings._speedup import SpeedUps, Words, speed_ups
from analysis.tables.study import StudyRecords

WORDS = Words(
    "distillation",
    "the teachers",
    "none against a student with as much compute, unless the teacher exists or serves many "
    "(Busbridge et al. 2025)",
)


def read(study: StudyRecords) -> SpeedUps | None:
    """The speed-ups of the finished students; None before one and two runs alone.

    Raises:
        UserError: the records name no parents.
    """
    return speed_ups(study, WORDS)
