"""The documents of another source whose score lies in a band: a bucket of quality, by bytes.

    data.path = by=words&from=0.75&to=1&of=stdlib

The documents, each text once, are sorted by a score of experiments/data/filters, the least first.
Of their bytes those from one share to another are kept; a document belongs to the band in which it
ends. So the bands of one text are disjoint, and together they are all of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from experiments.config.data import CorpusConfig
from experiments.data import filters
from experiments.data.sources._source import Document, Skipped, Source
from scaling.common import plugins
from scaling.common.errors import UserError, nearest

USAGE = "by=FILTER&from=SHARE&to=SHARE&of=SOURCE[:PATH]"
SOURCES = __name__.rpartition(".")[0]


@dataclass(frozen=True)
class Band:
    """The score, the shares of the bytes between which documents end, and their source."""

    by: str
    low: float
    high: float
    of: CorpusConfig


def band(config: CorpusConfig) -> Band:
    """The band that data.path names.

    Raises:
        UserError: a setting is missing, unknown or no share.
    """
    text, found, inner = config.path.partition("of=")
    given = dict(part.partition("=")[::2] for part in text.split("&") if part)
    known = ("by", "from", "to")
    for name in given:
        if name not in known:
            raise UserError(f"data.path={config.path}: no setting '{name}'; {nearest(name, known)}")
    if not found or not inner or "by" not in given:
        raise UserError(f"data.path={config.path}: write it as {USAGE}")
    try:
        low, high = float(given.get("from", 0)), float(given.get("to", 1))
    except ValueError as error:
        raise UserError(f"data.path={config.path}: from and to are numbers") from error
    if not 0 <= low < high <= 1:
        raise UserError(f"data.path={config.path}: need 0 <= from < to <= 1")
    source, _, path = inner.partition(":")
    if source == "scored":
        raise UserError(f"data.path={config.path}: a band of a band; name the source itself")
    return Band(given["by"], low, high, CorpusConfig(source, path, config.field))


def documents(config: CorpusConfig) -> Iterator[Document | Skipped]:
    """Documents of the band, in the order of their source."""
    chosen = band(config)
    ends = _ends(chosen.by, chosen.of)
    for each in _source(chosen.of).documents(chosen.of):
        if isinstance(each, Skipped):
            yield each
            continue
        end = ends.get(hashlib.sha256(each.content).digest(), 0.0)
        if chosen.low < end <= chosen.high:
            yield each


def _ends(by: str, of: CorpusConfig) -> dict[bytes, float]:
    """The share of the bytes up to the end of each text, by its SHA-256."""
    score = filters.score_of(by)
    sizes: dict[bytes, int] = {}
    scores: dict[bytes, float] = {}
    for each in _source(of).documents(of):
        if isinstance(each, Skipped) or not each.content.strip():
            continue
        digest = hashlib.sha256(each.content).digest()
        if digest not in sizes:
            sizes[digest], scores[digest] = len(each.content), score(each.content)
    total, ends, so_far = sum(sizes.values()), {}, 0
    for digest in sorted(sizes, key=lambda digest: (scores[digest], digest)):
        so_far += sizes[digest]
        ends[digest] = so_far / total
    return ends


def _source(of: CorpusConfig) -> Source:
    found: Source = plugins.find(SOURCES, of.source, "data.path: of", "SOURCE")
    if found.takes_path and not of.path:
        raise UserError(f"data.path: of={of.source} needs a path; write of={of.source}:PATH")
    if of.path and found.takes_path is False:
        raise UserError(f"data.path: of={of.source}:{of.path}: {of.source} takes no path")
    return found


SOURCE = Source(documents, usage=f"data.path={USAGE}")
