"""Find the best mixture of texts for a target, by regressions on the runs of a sweep of mixtures.

The target is the mean loss on the named texts, or on all. Three regressions are judged by
cross-validation and each gives its best mixture: the data-mixing law (Ye et al. 2024), and those of
RegMix (Liu et al. 2024), ridge and gradient-boosted trees, which need pip install -e '.[mixing]'.
Mixtures with several seeds and a label of their own are compared with each other.

  windtunnel mix runs/mixtures
  windtunnel mix runs/mixtures --target code --target docstrings --by law
  windtunnel mix regmix --where 'split==train' --target pile_cc --bootstrap 20
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from analysis.cli._table_options import WHERE, add_source, open_source
from scaling.common.answers import Answer, AnswerPart, Estimate, Line, Note, Rows
from scaling.common.quantities import whole

if TYPE_CHECKING:
    from analysis.inference.mixing.regressions import BestMixture, Compared, Proxies

NAMES = ("law", "ridge", "trees")
JUDGED = ("regression", "held-out error, %", "Spearman")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_source(parser, law=None)
    parser.add_argument("--where", metavar="ROWS", help=WHERE)
    parser.add_argument(
        "--target", action="append", default=[], metavar="TEXT", help="may be given again (all)"
    )
    parser.add_argument(
        "--by", action="append", default=[], choices=NAMES, help="these regressions alone"
    )
    parser.add_argument(
        "--bootstrap", type=whole, default=50, metavar="R", help="resamples (default 50)"
    )


def run(options: argparse.Namespace) -> Answer:
    """Judge the regressions, then print the best mixtures and the trained ones."""
    from analysis.inference.mixing.regressions import (
        best_mixture,
        compared_of,
        cross_validated,
        predicted_of,
        proxies_of,
    )
    from analysis.tables.query import where

    options.progress(f"reading {options.path}")
    table = where(open_source(options.path).table, options.where)
    if "status" in table.columns:
        table = table[table["status"] == "completed"]
    proxies = proxies_of(table)
    shares = proxies.target(options.target)
    names = options.by or NAMES
    yield Line(
        "{proxies} runs over {texts} texts; target: the loss on {target}",
        proxies=len(proxies.weights),
        texts=len(proxies.texts),
        target=", ".join(options.target or proxies.targets),
    )
    judged = []
    for name in names:
        options.progress(f"cross-validating {name}")
        found = cross_validated(proxies, name, shares)
        rank = Estimate(found.spearman, found.low, found.high, 3)
        judged.append((name, Estimate(100 * found.error, digits=3), rank))
    yield Rows("regressions", JUDGED, judged, above="\n")
    best, rows = {}, []
    for name in names:
        options.progress(f"the best mixture of {name}, with {options.bootstrap} resamples")
        best[name] = best_mixture(proxies, name, shares, options.bootstrap)
        rows.append((name, *_weights(best[name]), Estimate(best[name].loss)))
    yield Rows("best", ("best by", *proxies.texts, "predicted"), rows, above="\n")
    yield Note("95 % intervals: the runs weighed anew; errors and ranks by 8-fold cross-validation")
    trained = compared_of(table, proxies, shares)
    yield from _compared(trained, predicted_of(trained, proxies, shares), proxies)
    if (study := _study(options.path)) is not None:
        said = ",".join(f"{w:.4f}" for each in best.values() for w in each.weights)
        yield Line("\ntrain them: windtunnel run {study} --set best={best}", study=study, best=said)
        then = "windtunnel predict {path}; windtunnel run {path} --part held_out"
        yield Line(then, path=options.path)
    return 0


def _weights(found: BestMixture) -> list[Estimate]:
    """The weight of each text, with its interval if there are resamples."""
    if not len(found.samples):
        return [Estimate(float(weight), digits=2) for weight in found.weights]
    return [
        Estimate(float(value), float(low), float(high), 2)
        for value, low, high in zip(found.weights, *found.interval(), strict=True)
    ]


def _compared(
    found: tuple[Compared, ...], predicted: Mapping[str, float], proxies: Proxies
) -> Iterator[AnswerPart]:
    """A row for each trained mixture: its loss, that by the law, its regret beside the best."""
    rows: list[tuple[Any, ...]] = []
    for each in found:
        value, low, high = (100 * end for end in each.above(found[0]))
        weights = [Estimate(float(weight), digits=2) for weight in each.weights]
        regret = Estimate(value, low, high, 2)
        losses = (Estimate(each.mean), Estimate(predicted[each.label]))
        rows.append((each.label, len(each.losses), *losses, regret, *weights))
    if rows:
        head = ("trained", "seeds", "loss", "by the law", "above the best, %", *proxies.texts)
        yield Rows("trained", head, rows, above="\n")
        yield Note("the lowest of several is chosen by its own luck: its regret is 0 by definition")


def _study(path: str) -> str | None:
    """The name of the study in a folder; None for a table."""
    from pathlib import Path

    from experiments.record import STUDY, StudyPlan, read, study_folder

    folder = Path(study_folder(path))
    return read(folder, StudyPlan).name if (folder / STUDY).exists() else None
