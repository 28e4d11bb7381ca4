"""The report of a study: figures with their data, the fit as JSON, and one page that opens offline.

It works at any stage: before the held-out run, with diverged runs, and with too few runs to fit.
The page lists the gaps.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from analysis.report.captions import pictures
from analysis.report.evidence import Evidence, gather
from analysis.report.page.plate import plate
from analysis.report.page.render import FIGURES, render
from analysis.report.predict import FIT, fit_json
from analysis.tables.study import load_study
from scaling.common.files import write_bytes, write_json

PAGE = "report.html"


def write_report(folder: str | Path, say: Callable[[str], None] = lambda _: None) -> Evidence:
    """figures/, fit.json and report.html in the study's folder."""
    evidence = gather(load_study(folder), say)
    study = evidence.study
    if evidence.assessment is not None:
        write_json(study.folder / FIT, fit_json(evidence.assessment))
    if evidence.finding is not None:
        evidence.finding.save(study.folder)
    lesson, shown = pictures(evidence)
    plates = {}
    for at, picture in enumerate((*lesson, *shown), 1):
        say(f"drawing figure {at} of {len(lesson) + len(shown)}: {picture.name}")
        plates[picture.name] = plate(picture, study.folder / FIGURES)
    page = render(evidence, lesson, shown, plates)
    write_bytes(study.folder / PAGE, page.encode())
    return evidence
