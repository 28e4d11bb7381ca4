"""The report of a study or a table: figures with their data, the fit as JSON, and one page.

The page opens offline and lists the gaps. It works at any stage: before the held-out run, with
diverged runs, and with too few runs to fit.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from analysis.report.captions import pictures
from analysis.report.evidence import Evidence, gather
from analysis.report.page.plate import plate
from analysis.report.page.render import FIGURES, render
from analysis.report.predict import FIT, fit_json
from analysis.tables.study import StudyRecords
from scaling.common.files import write_bytes, write_json

PAGE = "report.html"


def write_page(
    study: StudyRecords, say: Callable[[str], None] = lambda _: None, to: Path | None = None
) -> Evidence:
    """figures/, fit.json and report.html of these records, in their folder or in another."""
    folder = study.folder if to is None else to
    evidence = gather(study, say)
    if evidence.assessment is not None:
        write_json(folder / FIT, fit_json(evidence.assessment))
    if evidence.finding is not None:
        evidence.finding.save(folder)
    lesson, shown = pictures(evidence)
    plates = {}
    for at, picture in enumerate((*lesson, *shown), 1):
        say(f"drawing figure {at} of {len(lesson) + len(shown)}: {picture.name}")
        plates[picture.name] = plate(picture, folder / FIGURES)
    page = render(evidence, lesson, shown, plates)
    write_bytes(folder / PAGE, page.encode())
    return evidence
