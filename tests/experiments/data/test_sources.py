"""Documents from every source, and one clear line for each way in which text can be wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from plugged import plugged

from experiments.config.data import CorpusConfig, DataConfig, check_corpus, parts
from experiments.data import Corpora, filters, sources
from experiments.data.sources import Document, Skipped
from scaling.common.errors import UserError


def documents(**fields: object) -> list[Document | Skipped]:
    config = CorpusConfig(**fields)  # type: ignore[arg-type]
    return list(sources.documents(config))


LETTERS = '''"""Documents of one letter each, as many as data.path says."""

from experiments.data.sources import Document, Source


def documents(config):
    for number in range(int(config.path)):
        yield Document(str(number), chr(ord("a") + number).encode() * 20)


SOURCE = Source(documents)
'''


def test_a_source_is_added_as_one_file(tmp_path: Path) -> None:
    data = DataConfig(corpora=("letters:26",), weights=(1.0,), valid_fraction=0.3)
    with plugged(tmp_path / "plug-ins", {"experiments.data.sources.letters": LETTERS}):
        mixture = Corpora(tmp_path / "cache").mixture(data)
    (corpus,) = mixture.corpora
    assert corpus.tally.documents == 26
    assert corpus.train.tokens + corpus.valid.tokens == 26 * 21
    row = mixture.train.windows(0, np.arange(1), 41)[0]
    assert set(row.tolist()) - {0} <= set(b"abcdefghijklmnopqrstuvwxyz")


def test_stdlib_is_library_source_in_sorted_order() -> None:
    found = documents()
    names = [document.name for document in found]
    assert names == sorted(names)
    assert {"ast.py", "json/decoder.py"} <= set(names)
    parts = {part for name in names for part in name.split("/")}
    assert not parts & {"test", "tests", "idle_test", "site-packages", "__pycache__"}
    assert not any(part.startswith("_sysconfigdata") for part in parts)
    assert {d.name: d for d in found}["ast.py"].content.startswith(b'"""')


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"source": "file"}, "data.source 'file': did you mean 'files'"),
        ({"tokenizer": "bpee"}, "did you mean 'bpe'"),
        ({"source": "files"}, "data.path is empty"),
        ({"path": "texts"}, "data.source=files"),
        ({"valid_fraction": 0.0}, "data.valid_fraction=0.0"),
        ({"valid_fraction": 1.0}, "data.valid_fraction=1.0"),
        ({"epochs": 0}, "data.epochs=0"),
        ({"vocab_size": 300}, "data.tokenizer=bpe"),
        ({"tokenizer": "bpe"}, "data.vocab_size=4096"),
        ({"corpora": ("stdlib",)}, "data.weights=: 0 for the 1 of data.corpora"),
        ({"weights": (1.0,)}, "data.weights=1: 1 for the 0 of data.corpora"),
        ({"corpora": ("stdlib",), "weights": (1.0,), "path": "a"}, "data.corpora replaces them"),
        ({"corpora": ("stdlib:a",), "weights": (1.0,)}, "data.source=stdlib takes no path"),
        ({"corpora": ("files:a", "files:a"), "weights": (0.5, 0.5)}, "one stands twice"),
        ({"corpora": ("files:a", "files:b"), "weights": (0.5, 0.6)}, "data.weights=0.5,0.6"),
        ({"corpora": ("files:a", "files:b"), "weights": (1.5, -0.5)}, "data.weights=1.5,-0.5"),
        ({"corpora": ("a=files:a", "a=files:b"), "weights": (0.5, 0.5)}, "one stands twice"),
        ({"corpora": ("a+b=files:a",), "weights": (1.0,)}, "without '+'"),
        ({"stages": (5, 5)}, "data.stages=5,5: stages overlap"),
        ({"stages": (0,)}, "data.stages=0: stages overlap"),
        (
            {"corpora": ("files:a", "files:b"), "weights": (0.5, 0.5), "stages": (9,)},
            "give one for each of them in each of 2 stages",
        ),
        (
            {"corpora": ("files:a", "files:b"), "weights": (1.0, 0, 0, 0), "stages": (9,)},
            "must not be negative and add up to 1",
        ),
        ({"corpora": ("files:a",), "weights": (float("nan"),)}, "data.weights=nan"),
        ({"unique_tokens": (5, 5)}, "data.unique_tokens=5,5: 2 for 1 corpora"),
        ({"unique_tokens": (-1,)}, "data.unique_tokens=-1: each must be 0 or more"),
        ({"repeats": (0,)}, "data.repeats=0: each must be 1 or more"),
        ({"tokenizer": "file", "vocab_size": 300}, "a file goes with data.tokenizer=file"),
        ({"tokenizer_file": "a.json"}, "data.tokenizer=bytes data.tokenizer_file=a.json"),
        ({"filter": "word", "keep": 0.5}, "data.filter 'word': did you mean 'words'"),
        ({"filter": "words"}, "a filter keeps a share above 0 and below 1; set both"),
        ({"keep": 0.5}, "set both, or neither"),
        ({"filter": "words", "keep": 0.0}, "data.filter=words data.keep=0"),
        ({"source": "grammar", "path": "level=2"}, "no setting 'level'; did you mean 'levels'"),
        ({"source": "grammar", "path": "levels=two"}, "levels=two: expected int"),
        ({"source": "grammar", "path": "choices=99"}, "raise length, or lower choices"),
        ({"source": "khop", "path": "nodes=-3"}, "nodes must not be negative"),
        (
            {"corpora": ("files:a", "files:b"), "weights": (0.5, 0.5), "fingerprint": "0123"},
            "data.fingerprint=0123: 1 for 2 corpora",
        ),
        (
            {
                "corpora": ("files:a", "files:b"),
                "weights": (0.5, 0.5),
                "tokenizer": "bpe",
                "vocab_size": 300,
            },
            "data.tokenizer=bpe: it is trained on one corpus",
        ),
    ],
)
def test_impossible_configs(fields: dict[str, object], says: str) -> None:
    with pytest.raises(UserError) as caught:
        for part in parts(DataConfig(**fields)):  # type: ignore[arg-type]
            check_corpus(part.corpus)
            if part.corpus.filter:
                filters.score_of(part.corpus.filter)
            source = sources.source_of(part.corpus)
            if source.entropy:
                source.entropy(part.corpus)
    assert says in str(caught.value)


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[text\]'"):
        documents(source="files", path=str(tmp_path))
    with pytest.raises(UserError, match=r"pip install -e '\.\[hub\]'"):
        documents(source="huggingface", path="some/set")


def test_huggingface_streams_the_rows_of_a_subset(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    read: list[int] = []

    def rows() -> Iterator[dict[str, object]]:
        for k, text in enumerate(("é", None, "never read")):
            read.append(k)
            yield {"text": text, "id": k}

    def load_dataset(name: str, subset: str | None, split: str, streaming: bool) -> object:
        asked.extend([name, subset, split, streaming])
        return rows()

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    found = documents(source="huggingface", path="org/set:small:2")
    assert asked == ["org/set", "small", "train", True]
    assert [d.content for d in found] == ["é".encode(), b""]
    assert read == [0, 1]
    assert len(documents(source="huggingface", path="org/set")) == 3
    with pytest.raises(UserError, match="no field 'body'"):
        documents(source="huggingface", path="org/set", field="body")


def test_huggingface_load_errors_are_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(name: str, subset: str | None, split: str, streaming: bool) -> object:
        raise FileNotFoundError("Dataset\nnot found")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(UserError, match=r"data\.path=org/none: cannot load \(Dataset not found\)"):
        documents(source="huggingface", path="org/none")
