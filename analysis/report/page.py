"""The report's page: text from the evidence, set into page.html and page.css.

Everything that came from a record is escaped; the page needs nothing but itself.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Sequence
from html import escape as escape_markup
from pathlib import Path
from string import Template

from analysis.fitting.card import UNKNOWN, sections
from analysis.plotting.numbers import quantity, scientific
from analysis.readings._finding import Picture, Table
from analysis.report.evidence import Evidence
from analysis.report.predict import FIT
from analysis.report.verdict import fitted_on, headline, interval, size
from analysis.tables.study import Study

FIGURES = "figures"
CORPUS_FACTS = (
    "source",
    "tokenizer",
    "train_documents",
    "train_tokens",
    "valid_tokens",
    "fingerprint",
)
FIT_SECTIONS = """<section>
<h2>The fit</h2>
{fit}
</section>
<section>
<h2>The card</h2>
<p class="note">The (Mis)Fitting checklist (arXiv 2502.18969). What the records do not tell is
marked as such.</p>
{card}
</section>"""
GREEK = {"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "eta": "η"}


def render(
    evidence: Evidence,
    lesson: Sequence[Picture],
    shown: Sequence[Picture],
    drawn: dict[str, bytes],
) -> str:
    """The page as text. Everything that came from a record is escaped."""
    here = Path(__file__)
    study = evidence.study
    css = here.with_name("page.css").read_text(encoding="utf-8")
    page = Template(here.with_name("page.html").read_text(encoding="utf-8"))
    answer = evidence.sentence
    return page.substitute(
        title=escape(f"{study.name} · Windtunnel"),
        css=css,
        name=escape(study.name),
        question=escape(study.question),
        answer=escape(answer[0].upper() + answer[1:] + "."),
        numbers=_numbers(evidence),
        notices=_notices(evidence),
        lesson=_lesson_section(evidence, lesson, drawn) if study.law else "",
        figures="\n".join(_figure(each, drawn[each.name]) for each in shown),
        fit=FIT_SECTIONS.format(fit=_fit(evidence), card=_card(evidence)) if study.law else "",
        tables="\n".join(_table(each) for each in evidence.tables),
        runs=_runs(study),
        footer=_footer(study),
    )


def _lesson_section(evidence: Evidence, lesson: Sequence[Picture], drawn: dict[str, bytes]) -> str:
    plates = "\n".join(_figure(each, drawn[each.name]) for each in lesson)
    return (
        '<section class="prose">\n<h2>The first lesson: a bootstrap alone is too narrow</h2>\n'
        f"{_lesson(evidence)}\n</section>\n"
        + (f'<div class="plates">\n{plates}\n</div>' if plates else "")
    )


def escape(text: str) -> str:
    """Safe in HTML; a number and its percent sign stay on one line."""
    return escape_markup(text).replace(" %", "&nbsp;%")


def _typeset(form: str) -> str:
    """N^alpha as a superscript Greek letter."""
    return re.sub(
        r"\^-?\w+",
        lambda found: f"<sup>{_greek(found[0][1:])}</sup>",
        escape(form),
    )


def _greek(name: str) -> str:
    return GREEK.get(name, name)


def _numbers(evidence: Evidence) -> str:
    if not evidence.forecasts:
        return ""
    unit = evidence.study.unit
    verdict, runs = headline(evidence.verdicts) if evidence.verdicts else (None, ())
    first = verdict.forecast if verdict else evidence.forecasts[0]
    cells = [
        (
            "predicted",
            "Predicted",
            f"{first.loss:.3f}",
            f"{interval(first.low, first.high)} {unit}",
        ),
    ]
    if verdict is None:
        cells.append(("measured", "Measured", "–", "the run is still to come"))
    else:
        cells += [
            (
                "measured",
                "Measured" if len(runs) == 1 else f"Measured, mean of {len(runs)} seeds",
                f"{verdict.measured:.3f}",
                size(first),
            ),
            (
                "",
                "Difference",
                f"{100 * verdict.error:+.1f} %".replace("-", "−"),
                f"{sum(run.inside for run in runs)} of {len(runs)} inside the interval",
            ),
        ]
    fitted = evidence.assessment
    if fitted is not None:
        largest = fitted.result.points.rows["flops_6nd"].max()
        cells.append(
            (
                "",
                "Reach",
                f"{first.flops_6nd / largest:.2g} ×",
                "the compute of the largest fitted run",
            )
        )
    body = "".join(
        f'<div class="{kind}"><dt>{name}</dt>'
        f"<dd>{escape(value)}<small>{escape(more)}</small></dd></div>"
        for kind, name, value, more in cells
    )
    return f'<dl class="numbers">{body}</dl>'


def _notices(evidence: Evidence) -> str:
    said = [text[0].upper() + text[1:] + "." for text in evidence.missing]
    if evidence.assessment is not None:
        warned = evidence.assessment.result.warnings
        said += [
            text[0].upper() + text[1:] + "." for text in warned if not text.endswith("not fitted")
        ]
    if not said:
        return ""
    return '<ul class="notices">' + "".join(f"<li>{escape(text)}</li>" for text in said) + "</ul>"


def _lesson(evidence: Evidence) -> str:
    assessment = evidence.assessment
    if assessment is None or not evidence.forecasts:
        return f"<p>Nothing to show yet: {escape(evidence.sentence)}.</p>"
    first = evidence.verdicts[0].forecast if evidence.verdicts else evidence.forecasts[0]
    narrow = 50 * (first.bootstrap_high - first.bootstrap_low) / first.loss
    wide = 50 * (first.high - first.low) / first.loss
    paragraphs = [
        f"Resampling the runs gives {interval(first.bootstrap_low, first.bootstrap_high)}, a half-"
        f"width of {narrow:.2f} %. That is how well these runs fix the constants of this law, and "
        "no more: it knows neither the noise of a new run nor whether the law holds out there.",
    ]
    if assessment.rolled:
        errors = ", ".join(
            f"{100 * each.rms:.2f} % for rung {each.rung}" for each in assessment.rolled
        )
        paragraphs.append(
            "Rolled forward through the study, fitting the lower rungs and asking about the next, "
            f"the same law erred by {errors}. With these errors counted the interval is "
            f"{interval(first.low, first.high)}, a half-width of {wide:.2f} %: "
            f"{wide / narrow:.1f} times as wide. This is the one to believe."
        )
    else:
        paragraphs.append(
            "There are too few rungs to roll the fit forward, so the wider interval "
            f"{interval(first.low, first.high)} adds only the scatter about the fit."
        )
    if evidence.verdicts and all(each.order == "predicted first" for each in evidence.verdicts):
        paragraphs.append(
            "The prediction was written down before the held-out run was trained: the run's record "
            "carries the digest of prediction.json as it stood then, and it still matches."
        )
    if evidence.verdicts:
        missed = sum(not each.inside_bootstrap for each in evidence.verdicts)
        kept = sum(each.inside for each in evidence.verdicts)
        total = len(evidence.verdicts)
        what = "The measurement" if total == 1 else f"Of {total} measurements,"
        if total == 1:
            paragraphs.append(
                f"{what} lies {'outside' if missed else 'inside'} the bootstrap's interval and "
                f"{'inside' if kept else 'outside'} the full one."
            )
        else:
            paragraphs.append(
                f"{what} {total - missed} lie inside the bootstrap's interval and {kept} inside "
                "the full one. They share a design and differ by seed: their spread is the noise "
                "of one run."
            )
    return "".join(f"<p>{escape(text)}</p>" for text in paragraphs)


def _figure(picture: Picture, svg: bytes) -> str:
    data = base64.b64encode(svg).decode("ascii")
    return (
        f'<figure><img alt="{escape(picture.alt)}" src="data:image/svg+xml;base64,{data}">'
        f"<figcaption><b>{escape(picture.title)}</b> {escape(picture.caption)}</figcaption>"
        "</figure>"
    )


def _fit(evidence: Evidence) -> str:
    assessment = evidence.assessment
    if assessment is None:
        return f"<p>{escape(evidence.missing[0])}.</p>"
    result = assessment.result
    rows = result.points.rows
    body = []
    for name, value in result.params.items():
        low, high = result.interval(name)
        settled = math.isfinite(low)
        body.append(
            f'<tr><td class="text"><i>{escape(_greek(name))}</i></td><td>{_plain(value)}</td>'
            f"<td>{_plain(low) if settled else '–'}</td>"
            f"<td>{_plain(high) if settled else '–'}</td></tr>"
        )
    rms = 100 * math.sqrt(float((result.residuals**2).mean()))
    head = "".join(
        f"<th{kind}>{name}</th>"
        for name, kind in (("", ' class="text"'), ("value", ""), ("2.5 %", ""), ("97.5 %", ""))
    )
    sense = (
        f"{fitted_on(len(rows), float(rows['flops_6nd'].max()))}; status {result.status}; "
        f"rms residual {rms:.2f} %; {result.law.units}."
    )
    return (
        f'<p class="law">{_typeset(result.law.form)}</p>'
        f"<p>{escape(sense[0].upper() + sense[1:])}</p>"
        '<div class="scroll" tabindex="0" role="region" aria-label="constants">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _card(evidence: Evidence) -> str:
    if evidence.assessment is None:
        return "<p>The card comes with the fit.</p>"
    parts = []
    for section in sections(evidence.assessment.result):
        items = "".join(
            f"<dt>{escape(item)}</dt><dd{_unknown(value)}>{escape(value)}</dd>"
            for item, value in section.items
        )
        parts.append(
            f"<div><h3>{section.letter} · {escape(section.title)}</h3><dl>{items}</dl></div>"
        )
    return f'<div class="card">{"".join(parts)}</div>'


def _table(table: Table) -> str:
    head = "".join(f'<th class="text">{escape(name)}</th>' for name in table.heads)
    body = "".join(
        "<tr>" + "".join(f'<td class="text">{escape(cell)}</td>' for cell in row) + "</tr>"
        for row in table.rows
    )
    return (
        f'<section>\n<h2>{escape(table.title)}</h2>\n<p class="note">{escape(table.note)}.</p>\n'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>\n</section>"
    )


def _unknown(value: str) -> str:
    return ' class="unknown"' if value == UNKNOWN else ""


def _runs(study: Study) -> str:
    """Every planned run. Those that the fit leaves out are greyed and say why."""
    use = "in the fit" if study.law else "standing"
    heads = ("run", "rung", "parameters", "tokens", "FLOPs 6ND", study.loss, use)
    text = {"run", use}
    body = []
    for _, run in study.runs.iterrows():
        done = run["status"] == "completed"
        held = run["part"] == "held_out"
        trunk = run["part"] == "trunk"
        role = "held out" if held else "no: trunk" if trunk else "yes"
        if not done:
            role = f"no: {run['status']}" if not held else f"held out, {run['status']}"
        if study.law is None:
            role = str(run["status"])
        kind = "held" if held else ("" if done and not trunk else "out")
        cells = (
            f"<code>{escape(str(run['run_id']))}</code>",
            str(int(run["rung"])),
            quantity(float(run[study.params])),
            quantity(float(run[study.tokens])),
            scientific(float(run["flops_6nd"])),
            f"{run[study.loss]:.4f}" if done else "–",
            escape(role),
        )
        body.append(
            f'<tr class="{kind}">'
            + "".join(
                f"<td{_left(head in text)}>{cell}</td>"
                for head, cell in zip(heads, cells, strict=True)
            )
            + "</tr>"
        )
    head = "".join(f"<th{_left(name in text)}>{escape(name)}</th>" for name in heads)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    out = study.planned_fit[study.planned_fit["status"] != "completed"]
    said = (
        f'<p class="note">{len(out)} of {len(study.planned_fit)} planned runs are shown and left '
        "out of the fit.</p>"
        if len(out)
        else ""
    )
    return f'{said}<div class="scroll" tabindex="0" role="region" aria-label="runs">{table}</div>'


def _left(is_text: bool) -> str:
    return ' class="text"' if is_text else ""


def _footer(study: Study) -> str:
    corpus = [f"{name} {study.corpus[name]}" for name in CORPUS_FACTS if name in study.corpus]
    settings = [f"{name} {value}" for name, value in study.settings.items()] or ["the defaults"]
    return escape(
        f"Corpus: {', '.join(corpus)}. Settings: {', '.join(settings)}. The fit is in {FIT}, the "
        f"figures in {FIGURES}/ as PNG and SVG."
    )


def _plain(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "not identified"
