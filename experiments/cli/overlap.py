"""Find items of an evaluation in a study's training text.

Exit code 1 if any is found. Items are documents of a source, such as the rows of a file. Each is
searched in the training side of every corpus of the study by windows of 13 words and of 50 letters.
The shares of its windows that were found are printed, and with --json those of every item.

example:
  windtunnel overlap quickstart --items files:questions.jsonl --field question
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from math import isnan
from typing import TYPE_CHECKING

from experiments.cli import _common as common
from scaling.common.answers import Answer, Line, Rows, Shown
from scaling.common.errors import UserError
from scaling.common.quantities import count, not_negative

if TYPE_CHECKING:
    from experiments.config.data import CorpusConfig

SHOWN = 20  # of the items found, those with the largest share


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    common.add_study_or_config(parser)
    parser.add_argument("--items", required=True, metavar="SOURCE:PATH", help="of the evaluation")
    parser.add_argument("--field", default="text", help="that holds the text of a row")
    parser.add_argument("--words", type=count, default=13, help="in a window (default 13)")
    parser.add_argument("--characters", type=count, default=50, help="in a window (default 50)")
    parser.add_argument(
        "--most", type=not_negative, default=0.0, help="share of an item that may be found"
    )


def run(options: argparse.Namespace) -> Answer:
    """Look for every item in the training text, then print those that were found."""
    from experiments import studies
    from experiments.config.data import CorpusConfig, parts
    from experiments.data.sources import Document, documents
    from experiments.evaluation.copies import overlaps

    source, _, path = options.items.partition(":")
    found = documents(CorpusConfig(source=source, path=path, field=options.field))
    items = [each for each in found if isinstance(each, Document) and each.content.strip()]
    if not items:
        raise UserError(f"--items {options.items}: no item with a text; set --field")
    runs = studies.runs(options.study, options.assignments)
    corpora = {part.corpus: None for run in runs for part in parts(run.config.science.data)}
    text = (content for corpus in corpora for content in _training(corpus, options.progress))
    every = overlaps(items, text, options.words, options.characters)
    bad = sorted((each for each in every if each.most > options.most), key=lambda e: -e.most)
    yield Line(
        "items in the training text: {found} of {items}, {by_words} by {words} words, "
        "{by_characters} by {characters} letters; corpora read: {corpora}",
        found=len(bad),
        items=len(items),
        corpora=len(corpora),
        by_words=sum(each.words > options.most for each in bad),
        words=options.words,
        by_characters=sum(each.characters > options.most for each in bad),
        characters=options.characters,
    )
    if short := sum(
        each.words != each.words and each.characters != each.characters for each in every
    ):
        yield Line("{short} items are shorter than both windows, and were not judged", short=short)
    rows = [(each.name, *map(_share, (each.words, each.characters))) for each in bad]
    if rows:
        head = ("item", "share of its words", "of its letters")
        yield Rows("overlaps", head, rows[:SHOWN], above="\n")
    return 1 if bad else 0


def _share(value: float) -> Shown:
    return Shown(value, "too short" if isnan(value) else f"{value:.0%}")


def _training(corpus: CorpusConfig, progress: Callable[[str], None]) -> Iterator[bytes]:
    """The documents of the training side."""
    from experiments.data.build import read_usable
    from experiments.data.documents import Tally, split_of

    for document in read_usable(corpus, Tally(), progress, "looking for items"):
        if split_of(document.digest, corpus.valid_fraction) == "train":
            yield document.content
