"""Bands of a score: disjoint, all of the text, and the better documents in the higher one."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from experiments.config.data import CorpusConfig
from experiments.data import filters
from experiments.data.sources import Document, documents
from scaling.common.errors import UserError


def test_bands_are_disjoint_all_of_the_text_and_in_order_of_the_score(tmp_path: Path) -> None:
    words = "alpha beta gamma delta "
    for k in range(24):
        (tmp_path / f"{k:02}.txt").write_text(words * (k % 7 + 1) + "#" * (9 * (k * 5 % 24) + 1))
    (tmp_path / "24.txt").write_bytes((tmp_path / "03.txt").read_bytes())  # a copy
    score = filters.score_of("words")
    whole = {each.content for each in documents(CorpusConfig("files", str(tmp_path)))
             if isinstance(each, Document)}  # fmt: skip
    found = []
    for low, high in ((0, 0.25), (0.25, 0.5), (0.5, 1)):
        path = f"by=words&from={low}&to={high}&of=files:{tmp_path}"
        found.append({each.content for each in documents(CorpusConfig("scored", path))
                      if isinstance(each, Document)})  # fmt: skip
    assert set.union(*found) == whole
    assert sum(map(len, found)) == len(whole)
    for lower, higher in pairwise(found):
        assert max(map(score, lower)) <= min(map(score, higher))
    total = sum(map(len, whole))
    assert sum(map(len, found[0])) == pytest.approx(total / 4, rel=0.25)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("by=words", "write it as by=FILTER&from=SHARE&to=SHARE&of=SOURCE"),
        ("by=word&of=stdlib", "data.filter 'word': did you mean 'words'"),
        ("by=words&form=0&of=stdlib", "no setting 'form'"),
        ("by=words&from=0.5&to=0.5&of=stdlib", "need 0 <= from < to <= 1"),
        ("by=words&from=half&of=stdlib", "from and to are numbers"),
        ("by=words&of=stdlb", "did you mean 'stdlib'"),
        ("by=words&of=files", "of=files needs a path"),
        ("by=words&of=stdlib:a", "stdlib takes no path"),
        ("by=words&of=scored:by=words&of=stdlib", "a band of a band"),
    ],
)
def test_wrong_bands_are_one_line(path: str, says: str) -> None:
    with pytest.raises(UserError, match=r"data\.(path|filter)") as caught:
        next(documents(CorpusConfig("scored", path)))
    assert says in str(caught.value)
