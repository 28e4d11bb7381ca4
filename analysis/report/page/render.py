"""The page of a report: the evidence as values, set into page.html.j2 and page.css.

The template escapes all text of records. The page refers to no other file.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.fitting.card import HELD_OUT, UNKNOWN, Section, sections
from analysis.fitting.result import FitResult
from analysis.plotting.numbers import scientific
from analysis.readings._finding import Picture
from analysis.report.evidence import Evidence
from analysis.report.lesson import lesson as lesson_of
from analysis.report.page.plate import Plate
from analysis.report.page.run_table import duration, run_table
from analysis.report.predict import FIT
from analysis.report.verdict import fitted_on, headline, interval, signed, size, validation
from analysis.tables.study import StudyRecords

if TYPE_CHECKING:
    from jinja2 import Environment

FIGURES = "figures"
RESULTS, COST = "Results of the runs", "Cost, and the way to repeat it"
CORPUS_FACTS = (
    "source",
    "tokenizer",
    "train_documents",
    "train_tokens",
    "valid_tokens",
    "fingerprint",
)
GREEK = {"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "eta": "η"}
NO_BREAK = "\u00a0"


def render(
    evidence: Evidence,
    lesson: Sequence[Picture],
    shown: Sequence[Picture],
    plates: Mapping[str, Plate],
) -> str:
    """The page as text, with every picture and its data in it."""
    study, assessment = evidence.study, evidence.assessment
    result = None if assessment is None else assessment.result
    first = lesson_of(evidence)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            css=_beside("page.css"),
            script=_beside("page.js"),
            bundle=_bundle(),
            contents=_contents(evidence, first.heading),
            study=study,
            answer=_sentence(evidence.sentence),
            numbers=_numbers(evidence),
            notices=_notices(evidence),
            lesson=first,
            lesson_pictures=lesson,
            pictures=shown,
            plates_of=plates,
            result=result,
            described=None if result is None else _described(result),
            constants=[] if result is None else _constants(result),
            card=[] if result is None else _card(evidence, result),
            missing=evidence.missing,
            tables=evidence.tables,
            unknown=UNKNOWN,
            runs=run_table(evidence),
            cost=_cost(study),
            commands=_commands(study),
            left_out=study.planned_fit[study.planned_fit["status"] != "completed"],
            footer=_footer(study),
        )
    )


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _bundle() -> str:
    """The chart library, once."""
    from vl_convert import javascript_bundle

    made: str = javascript_bundle("window.embed = vegaEmbed;")
    return made.replace("</script", "<\\/script")


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_keep_percent,
    )
    made.filters |= {"greek": _greek, "typeset": _typeset, "anchor": _anchor}
    return made


def _keep_percent(value: Any) -> Any:
    """A number and its percent sign stay on one line."""
    return value.replace(" %", f"{NO_BREAK}%") if type(value) is str else value


def _anchor(heading: str) -> str:
    return re.sub(r"\W+", "-", heading.lower()).strip("-")


def _greek(name: str) -> str:
    return GREEK.get(name, name)


def _typeset(form: str) -> Any:
    """N^alpha as a superscript Greek letter; the rest escaped."""
    from markupsafe import Markup, escape

    parts = re.split(r"\^(-?\w+)", form)  # text, power, text, power, ..., text
    return Markup("").join(
        Markup("<sup>{}</sup>").format(_greek(part)) if at % 2 else escape(part)
        for at, part in enumerate(parts)
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _numbers(evidence: Evidence) -> list[tuple[str, str, str, str]]:
    """Class, name, value and remark of each large number; none before there is a forecast."""
    if not evidence.forecasts:
        return []
    unit = evidence.study.unit
    verdict, runs = headline(evidence.verdicts) if evidence.verdicts else (None, ())
    first = verdict.forecast if verdict else evidence.forecasts[0]
    ends = f"{interval(first.low, first.high)} {unit}"
    cells = [("predicted", "Predicted", f"{first.loss:.3f}", ends)]
    if verdict is None:
        cells.append(("measured", "Measured", "–", "the run is still to come"))
    else:
        seeds = "" if len(runs) == 1 else f", mean of {len(runs)} seeds"
        inside = f"{sum(run.inside for run in runs)} of {len(runs)} inside the interval"
        cells += [
            ("measured", f"Measured{seeds}", f"{verdict.measured:.3f}", size(first)),
            ("", "Measured above predicted", signed(verdict.error), inside),
        ]
    if evidence.assessment is not None:
        largest = evidence.assessment.largest
        reach = f"{first.flops_6nd / largest:.2g} ×"
        cells.append(("", "Reach", reach, "the compute of the largest fitted run"))
    return cells


def _notices(evidence: Evidence) -> list[str]:
    """Gaps of the evidence, and the warnings of the fit."""
    warned = () if evidence.assessment is None else evidence.assessment.result.warnings
    said = [*evidence.missing, *(text for text in warned if not text.endswith("not fitted"))]
    return [_sentence(text) for text in said]


def _described(result: FitResult) -> str:
    rows = result.points.rows
    rms = 100 * math.sqrt(float((result.residuals**2).mean()))
    return _sentence(
        f"{fitted_on(len(rows), float(rows['flops_6nd'].max()))}; status {result.status}; "
        f"rms residual {rms:.2f} %; {result.law.units}"
    )


def _card(evidence: Evidence, result: FitResult) -> list[Section]:
    """The card of the fit, with the study's held-out runs as its validation."""
    said = validation(evidence.forecasts, evidence.verdicts)
    return [
        replace(
            part,
            items=tuple(
                (name, said if name == HELD_OUT and said else text) for name, text in part.items
            ),
        )
        for part in sections(result)
    ]


def _constants(result: FitResult) -> list[tuple[str, str, str, str]]:
    """Name, value and the ends of the interval."""
    rows = []
    for name, value in result.params.items():
        ends = result.interval(name)
        low, high = map(_plain, ends) if math.isfinite(ends[0]) else ("–", "–")
        rows.append((name, _plain(value), low, high))
    return rows


def _contents(evidence: Evidence, lesson: str) -> list[str]:
    """The headings of the page, in order."""
    titles = [table.title for table in evidence.tables]
    if evidence.study.law is None:
        return [RESULTS, *titles, "The runs", COST]
    return [lesson, RESULTS, *titles, "The fit", "The card", "The runs", COST]


def _cost(study: StudyRecords) -> str:
    """FLOPs, time and devices of all runs that have ended."""
    done = study.runs[study.runs["status"] == "completed"]
    flops = scientific(float(done["flops_6nd"].sum())) if len(done) else "0"
    said = f"{len(done)} runs completed, {flops} FLOPs (6ND)"
    if "wall_seconds" in done and done["wall_seconds"].notna().any():
        said += f", {duration(float(done['wall_seconds'].sum()))} of training, summed over runs"
    named = {name for name in done.get("device", ()) if isinstance(name, str)}
    devices = sorted(" ".join(dict.fromkeys(name.split())) for name in named)  # no "cpu cpu"
    return _sentence(f"{said}, on {', '.join(devices)}" if devices else said)


def _commands(study: StudyRecords) -> str:
    """The commands that make this page again."""
    if study.command:
        return study.command
    given = "".join(f" --set {shlex.quote(f'{k}={_short(v)}')}" for k, v in study.settings.items())
    train = f"windtunnel run {shlex.quote(study.file or study.name)}{given}"
    folder = shlex.quote(str(study.folder))
    out = f" --out {folder}"
    lines = [f"{train}{out}"]
    if len(study.held_out):
        lines += [f"windtunnel predict {folder}", f"{train}{out} --part held_out"]
    return "\n".join([*lines, f"windtunnel report {folder}"])


def _footer(study: StudyRecords) -> str:
    files = (
        f"The fit is in {FIT}, the figures in {FIGURES}/ as PNG and SVG, with their data as "
        "CSV and JSON."
    )
    if study.origin:
        return f"{len(study.runs)} rows of {study.origin}. {files}"
    corpora = [_corpus(facts) for facts in study.corpora.values()]
    given = [f"{name} {_short(value)}" for name, value in study.settings.items()]
    return f"{'. '.join(corpora)}. Settings: {', '.join(given) or 'the defaults'}. {files}"


def _corpus(facts: Mapping[str, Any]) -> str:
    """Its facts, and the documents left out of it or odd."""
    known = ", ".join(f"{name} {facts[name]}" for name in CORPUS_FACTS if name in facts)
    return "; ".join([f"Corpus: {known}", *facts.get("notes", ())])


def _plain(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "not identified"


def _short(value: Any) -> str:
    """A setting as `--set` takes it: numbers in their shortest form, lists with commas alone."""
    if isinstance(value, (list, tuple)) and value and {*map(type, value)} <= {int, float, str}:
        return ",".join(map(_short, value))
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return str(value)
