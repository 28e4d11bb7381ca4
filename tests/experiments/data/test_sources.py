"""Documents from every source, and one clear line for each way in which text can be wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from plugged import plugged

from experiments.config.data import CorpusConfig, DataConfig, check_corpus, corpus_configs
from experiments.data import Corpora, sources
from experiments.data.sources._source import Document
from scaling.common.errors import UserError


def documents(**fields: object) -> list[Document]:
    config = CorpusConfig(**fields)  # type: ignore[arg-type]
    return list(sources.documents(config))


def from_files(path: Path | str, **fields: object) -> list[Document]:
    return documents(source="files", path=str(path), **fields)


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
    assert corpus.manifest.tally.documents == 26
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
    assert dict(found)["ast.py"].startswith(b'"""')


def test_folder_is_read_recursively_sorted_and_without_hidden_files(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "b" / "one.md").write_bytes(b"1")
    (tmp_path / "a.txt").write_bytes(b"2")
    (tmp_path / ".git" / "config").write_bytes(b"3")
    (tmp_path / ".hidden").write_bytes(b"4")
    assert [d.content for d in from_files(tmp_path)] == [b"2", b"1"]
    assert [d.content for d in from_files(tmp_path / "a.txt")] == [b"2"]


def test_glob(tmp_path: Path) -> None:
    for name in ("x.txt", "y.md", "z.txt"):
        (tmp_path / name).write_text(name)
    assert [d.content for d in from_files(tmp_path / "*.txt")] == [b"x.txt", b"z.txt"]


def test_only_the_head_of_a_binary_file_is_read(tmp_path: Path) -> None:
    with (tmp_path / "weights.bin").open("wb") as file:
        file.truncate(2**40)  # sparse: takes no room, and no memory could hold it
    ((_, content),) = from_files(tmp_path)
    assert content == bytes(8192)


def test_jsonl_and_parquet_give_one_document_per_row(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    texts = ["naïve\n", "", "日本"]
    rows = "\n".join(json.dumps({"id": i, "body": text}) for i, text in enumerate(texts))
    (tmp_path / "a.jsonl").write_text(rows + "\n\n")
    parquet.write_table(pa.table({"body": texts, "id": [0, 1, 2]}), tmp_path / "b.parquet")
    expected = [text.encode() for text in texts]
    assert [d.content for d in from_files(tmp_path, field="body")] == expected * 2


def test_null_text_is_an_empty_document(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": null}\n')
    assert [d.content for d in from_files(tmp_path)] == [b""]


def bad_json(folder: Path) -> CorpusConfig:
    (folder / "a.jsonl").write_text('{"text": "fine"}\n{"text": \n')
    return CorpusConfig(source="files", path=str(folder))


def json_list(folder: Path) -> CorpusConfig:
    (folder / "a.jsonl").write_text("[1]\n")
    return CorpusConfig(source="files", path=str(folder))


def missing_json_field(folder: Path) -> CorpusConfig:
    (folder / "a.jsonl").write_text('{"txt": "a", "url": "b"}\n')
    return CorpusConfig(source="files", path=str(folder))


def number_for_text(folder: Path) -> CorpusConfig:
    (folder / "a.jsonl").write_text('{"text": 3}\n')
    return CorpusConfig(source="files", path=str(folder))


def missing_column(folder: Path) -> CorpusConfig:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table({"content": ["x"]}), folder / "a.parquet")
    return CorpusConfig(source="files", path=str(folder))


def not_parquet(folder: Path) -> CorpusConfig:
    pytest.importorskip("pyarrow.parquet")
    (folder / "a.parquet").write_text("no")
    return CorpusConfig(source="files", path=str(folder))


def empty_folder(folder: Path) -> CorpusConfig:
    return CorpusConfig(source="files", path=str(folder))


def nothing_there(folder: Path) -> CorpusConfig:
    return CorpusConfig(source="files", path=str(folder / "absent"))


def no_match(folder: Path) -> CorpusConfig:
    return CorpusConfig(source="files", path=str(folder / "*.txt"))


@pytest.mark.parametrize(
    ("mistake", "says"),
    [
        (bad_json, ["a.jsonl:2", "not valid JSON"]),
        (json_list, ["a.jsonl:1", "list"]),
        (missing_json_field, ["a.jsonl:1", "'text'", "txt, url", "data.field"]),
        (number_for_text, ["a.jsonl:1", "'text'", "int"]),
        (missing_column, ["a.parquet: row 0", "'text'", "content", "data.field"]),
        (not_parquet, ["a.parquet", "Parquet"]),
        (empty_folder, ["data.path", "no files"]),
        (nothing_there, ["data.path", "absent", "no such file"]),
        (no_match, ["data.path", "*.txt", "no file matches"]),
    ],
)
def test_a_mistake_is_one_line_that_names_the_place(
    tmp_path: Path, mistake: Callable[[Path], CorpusConfig], says: list[str]
) -> None:
    config = mistake(tmp_path)
    with pytest.raises(UserError) as caught:
        list(sources.documents(config))
    message = str(caught.value)
    assert "\n" not in message
    assert [text for text in says if text not in message] == []


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
        ({"corpora": ("files:a", "files:b"), "weights": (1.0, 0.0)}, "data.weights=1,0"),
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
        for corpus in corpus_configs(DataConfig(**fields)):  # type: ignore[arg-type]
            check_corpus(corpus)
            sources.source_of(corpus)
    assert says in str(caught.value)


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[text\]'"):
        from_files(tmp_path)
    with pytest.raises(UserError, match=r"pip install -e '\.\[hub\]'"):
        documents(source="huggingface", path="some/set")


class FakeRows(list[dict[str, object]]):
    column_names = ("text", "id")

    def select_columns(self, names: list[str]) -> FakeRows:
        return FakeRows({name: row[name] for name in names} for row in self)


def test_huggingface_reads_the_train_split_of_a_subset(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def load_dataset(name: str, subset: str | None, split: str) -> FakeRows:
        asked.extend([name, subset, split])
        return FakeRows([{"text": "é", "id": 1}, {"text": None, "id": 2}])

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    found = documents(source="huggingface", path="org/set:small")
    assert asked == ["org/set", "small", "train"]
    assert [d.content for d in found] == ["é".encode(), b""]
    with pytest.raises(UserError, match="no field 'body'"):
        documents(source="huggingface", path="org/set", field="body")


def test_huggingface_load_errors_are_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(name: str, subset: str | None, split: str) -> FakeRows:
        raise FileNotFoundError("Dataset\nnot found")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(UserError, match=r"data\.path=org/none: cannot load \(Dataset not found\)"):
        documents(source="huggingface", path="org/none")
