"""Filters and duplicates: what is left out, of which corpus, and how it is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugged import plugged

from experiments.config.data import DataConfig
from experiments.data import Corpora, Mixture, cache, filters
from scaling.common import plugins
from scaling.common.errors import UserError

GOOD, BAD = "some words of a language", "#### 1234 ----- ;;; "


def write(folder: Path, texts: list[str]) -> Path:
    folder.mkdir()
    for k, text in enumerate(texts):
        (folder / f"{k:03}.txt").write_text(text)
    return folder


def prepared(tmp_path: Path, **fields: object) -> Mixture:
    return Corpora(tmp_path / "cache").mixture(DataConfig(valid_fraction=0.3, **fields))  # type: ignore[arg-type]


def bytes_of(mixture: Mixture, k: int = 0) -> int:
    corpus = mixture.corpora[k]
    return corpus.facts("train").bytes + corpus.facts("valid").bytes


@pytest.mark.parametrize("name", plugins.names(filters.__name__))
def test_a_filter_keeps_the_best_share_and_names_the_rest(tmp_path: Path, name: str) -> None:
    texts = [f"{GOOD} {chr(97 + k)}{'xyzw' * (k % 3)}" for k in range(20)]
    texts += [f"{BAD * 2}{k}" for k in range(20)]
    folder = write(tmp_path / "texts", texts)
    mixture = prepared(tmp_path, source="files", path=str(folder), filter=name, keep=0.5)
    score = filters.score_of(name)
    least = sorted(score(text.encode()) for text in texts)[20]
    kept = [text for text in texts if score(text.encode()) >= least]
    assert 20 <= len(kept) < 40
    assert mixture.corpora[0].tally.documents == len(kept)
    assert bytes_of(mixture) == sum(len(text) + 1 for text in kept)
    assert "skipped, below the score of data.filter" in mixture.corpora[0].describe()


def test_an_edited_filter_keeps_other_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reading is remembered for the filter as it was."""
    monkeypatch.setattr(cache, "SETTLED_SECONDS", -1.0)
    folder = write(tmp_path / "texts", [f"{k:03} of a text" for k in range(40)])
    fields = {"source": "files", "path": str(folder), "filter": "mine", "keep": 0.5}
    plugin = '"""A number."""\ndef score(content):\n    return {}int(content[:3])\n'
    found = []
    for k, sign in enumerate(("", "-")):
        written = {"experiments.data.filters.mine": plugin.format(sign)}
        with plugged(tmp_path / f"{k}", written):
            found.append(prepared(tmp_path, **fields).corpora[0])
    assert [each.tally.documents for each in found] == [20, 20]
    assert found[0].fingerprint != found[1].fingerprint


def test_duplicates_are_dropped_kept_or_dropped_across(tmp_path: Path) -> None:
    a = write(tmp_path / "a", [f"{GOOD} {k % 15}" for k in range(30)])
    b = write(tmp_path / "b", [f"{GOOD} {k}" for k in range(10, 40)])
    both = {"corpora": (f"files:{a}", f"files:{b}"), "weights": (0.5, 0.5)}
    counts = {
        rule: [each.tally.documents for each in prepared(tmp_path, **both, duplicates=rule).corpora]
        for rule in ("within", "keep", "across")
    }
    assert counts == {"within": [15, 30], "keep": [30, 30], "across": [15, 25]}


def test_no_validation_document_is_in_the_training_text_of_another_corpus(tmp_path: Path) -> None:
    """The side of a document goes by its content, so texts that overlap share no side."""
    a = write(tmp_path / "a", [f"{GOOD} {k}" for k in range(30)])
    b = write(tmp_path / "b", [f"{GOOD} {k}" for k in range(10, 40)])
    mixture = prepared(tmp_path, corpora=(f"files:{a}", f"files:{b}"), weights=(0.5, 0.5))
    sides = [
        {
            bytes(each)
            for each in bytes(store.windows([0], store.tokens)[0].astype("u1")).split(b"\0")
        }
        for corpus in mixture.corpora
        for store in (corpus.train, corpus.valid)
    ]
    train, valid = sides[0] | sides[2], sides[1] | sides[3]
    assert len(train) > 10
    assert not (train & valid) - {b""}


def test_other_sources_are_left_out_and_what_is_empty_then_is_refused(tmp_path: Path) -> None:
    a = write(tmp_path / "a", [f"{GOOD} {k}" for k in range(30)])
    b = write(tmp_path / "b", [f"{GOOD} {k}" for k in range(20)])
    c = write(tmp_path / "c", ["word " * k for k in range(1, 31)])
    left = prepared(tmp_path, source="files", path=str(a), without=(f"files:{b}",))
    assert left.corpora[0].tally.documents == 10
    with pytest.raises(UserError, match=r"no text to train on \(skipped, in another source: 20"):
        prepared(tmp_path, source="files", path=str(b), without=(f"files:{a}",))
    with pytest.raises(UserError, match=r"data\.source=stdlib: no text to train on \(skipped, in"):
        prepared(tmp_path, source="stdlib", without=("stdlib",))
    with pytest.raises(UserError, match=r"of 1 document\(s\), that data.filter=length kept, none"):
        prepared(tmp_path, source="files", path=str(c), filter="length", keep=0.001)
