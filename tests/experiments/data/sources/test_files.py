"""Files by every name, of every kind: the same text, or the reason by name."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.config.data import CorpusConfig
from experiments.data import prepare
from experiments.data.sources import Document, Skipped, documents, files
from scaling.common.errors import UserError


def found(path: Path | str, **fields: str) -> list[Document | Skipped]:
    return list(documents(CorpusConfig(source="files", path=str(path), **fields)))


def texts(path: Path | str, **fields: str) -> list[bytes]:
    return [each.content for each in found(path, **fields) if isinstance(each, Document)]


def skipped(path: Path | str) -> dict[str, str]:
    return {Path(name).name: reason for name, reason in _skips(found(path))}


def _skips(all_found: list[Document | Skipped]) -> list[Skipped]:
    return [each for each in all_found if isinstance(each, Skipped)]


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"text of {name}")
    return folder


def zstd(content: bytes) -> bytes:
    arrow = pytest.importorskip("pyarrow")
    return bytes(arrow.Codec("zstd").compress(content, asbytes=True))


def parquet(rows: list[object], name: str = "text") -> bytes:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as writer

    file = io.BytesIO()
    writer.write_table(arrow.table({name: rows}), file)
    return file.getvalue()


CODECS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".zst": zstd,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


# ---- every way of naming the same files ----


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files in an order that differs between folders first and files first; hidden ones beside."""
    folder = write(tmp_path / "corpus", "b.txt", "a/z.txt", "a-b/y.txt", "a/c/x.txt", "a.txt")
    write(folder, ".hidden", ".git/config", "a/.cache/y")
    (folder / "a" / "again").symlink_to(folder)  # a loop
    (folder / "a" / "c" / "up").symlink_to("..")
    (tmp_path / "link").symlink_to(folder)
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "1").symlink_to(folder / "b.txt")  # in another order, and a folder
    (linked / "2").symlink_to(folder / "a.txt")
    (linked / "3").symlink_to(folder / "a-b")
    (linked / "4").symlink_to(folder / "a")
    monkeypatch.chdir(tmp_path)
    return folder


NAMES = (
    "{}/",
    "{}/**",
    "{}/**/*.txt",
    "{}/[ab]*.txt,{}/a*/**",
    "{}/a,{}/b.txt,{}/a-b,{}/a.txt,{}/a-b/../a.txt",
    "corpus",
    "./corpus",
    "../{0.parent.name}/corpus",
    "link",
    "link/**",
    "l*k/**/*.t?t",
    "linked",
    "linked,corpus,link/b.txt",
)


@pytest.mark.parametrize("name", NAMES)
def test_every_way_of_naming_the_same_files_is_the_same_text(corpus: Path, name: str) -> None:
    expected = [f"text of {x}".encode() for x in ("a-b/y.txt", "a.txt", "a/c/x.txt", "a/z.txt")]
    assert texts(corpus) == [*expected, b"text of b.txt"]
    given = name.format(*[corpus] * name.count("{}")) if "{}" in name else name.format(corpus)
    assert found(given) != [] and texts(given) == texts(corpus)


def test_a_name_with_a_comma_or_a_star_is_one_file(tmp_path: Path) -> None:
    write(tmp_path, "a,b", "a", "[x]*")
    assert texts(tmp_path / "a,b") == [b"text of a,b"]
    assert texts(tmp_path / "[x]*") == [b"text of [x]*"]


def test_two_names_share_one_fingerprint_and_each_says_what_it_left_out(
    corpus: Path, tmp_path: Path
) -> None:
    write(corpus, *(f"{number}.txt" for number in range(20)))
    (corpus / "photo.png").write_bytes(b"\x89PNG\0")
    config = {"source": "files", "valid_fraction": 0.5}
    whole = prepare(CorpusConfig(path=str(corpus), **config), tmp_path / "cache")
    listed = prepare(CorpusConfig(path=f"{corpus}/**/*.txt", **config), tmp_path / "cache")
    assert whole.fingerprint == listed.fingerprint
    assert f"skipped, binary: 1 ({corpus}/photo.png)" in whole.describe()
    assert "skipped" not in listed.describe()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("void", "data.path={}/void: the folder holds no files"),
        ("absent", "data.path={}/absent: no such file or folder, and no file matches it"),
        ("*.md", "data.path={}/*.md: no such file or folder, and no file matches it"),
        ("a.txt,{}/absent", "data.path={}/absent: no such file"),
        ("a.txt/", ""),  # as a shell's completion may leave it
        ("n" * 5000, "no such file"),
        ("~nobody/x", "no such file"),
    ],
)
def test_a_name_that_stands_for_nothing_is_one_line(tmp_path: Path, name: str, says: str) -> None:
    write(tmp_path, "a.txt")
    (tmp_path / "void").mkdir()
    place = name if name[0] == "~" else f"{tmp_path}/{name}".replace("{}", str(tmp_path))
    if says:
        with pytest.raises(UserError, match=re.escape(says.format(tmp_path))):
            found(place)
    else:
        assert texts(place) == [b"text of a.txt"]


@pytest.mark.parametrize("url", ["nowhere://bucket/x", "memory://nothing/here"])
def test_a_url_without_files_is_refused(url: str) -> None:
    with pytest.raises(UserError, match=f"{url}: (Protocol not known|no such file)"):
        found(url)


def test_a_link_is_read_as_the_file_that_it_leads_to(tmp_path: Path) -> None:
    """And a name with the suffix of a format tells it where the file's own has none."""
    folder = write(tmp_path / "a", "0")
    (folder / "part.jsonl").write_text('{"text": "row"}\n')
    (folder / "blob").write_text('{"text": "rows"}\n')
    for name, target in (("now", "part.jsonl"), ("now.txt", "part.jsonl"), ("z.jsonl", "blob")):
        (folder / name).symlink_to(target)
    assert texts(folder / "now") == texts(folder / "now.txt") == [b"row"]
    assert texts(folder) == [b"text of 0", b"rows", b"row"]
    assert texts(f"{folder}/blob,{folder}/z.jsonl") == [b"rows"]
    assert texts(f"{folder}/z.jsonl,{folder}/blob") == [b"rows"]


# ---- files that are no text ----


def test_no_kind_of_file_hangs_or_stops_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a thread, for an opened pipe would wait forever."""
    write(tmp_path, "a.txt", "z.txt")
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "gone").symlink_to("/nowhere/at/all")
    (tmp_path / "itself").symlink_to("itself")
    (tmp_path / "device").symlink_to(os.devnull)
    (tmp_path / "refusing").symlink_to("/proc/self/mem")  # opens, and cannot be read
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "utf16.txt").write_text("text", encoding="utf-16")
    (tmp_path / "paper.pdf").write_text("%PDF-1.7 no byte 0 here")
    (tmp_path / "all.zip").write_bytes(b"PK\x03\x04 text")
    (tmp_path / "cut.parquet").write_bytes(parquet(["x"])[:-9])
    with socket.socket(socket.AF_UNIX) as opened:
        monkeypatch.chdir(tmp_path)  # its path may be too long for a socket
        opened.bind("socket")
        result: list[list[Document | Skipped]] = []
        reader = threading.Thread(target=lambda: result.append(found(tmp_path)), daemon=True)
        reader.start()
        reader.join(30)
    assert result, "hangs"
    assert [e.content for e in result[0] if isinstance(e, Document)] == [
        b"text of a.txt",
        b"text of z.txt",
    ]
    reasons = {Path(name).name: reason for name, reason in _skips(result[0])}
    assert reasons.pop("cut.parquet").startswith("damaged (")
    assert reasons == {
        "pipe.jsonl": "a pipe",
        "socket": "a socket",
        "device": "a device",
        "gone": "a broken link (No such file or directory)",
        "itself": "a broken link (Too many levels of symbolic links)",
        "refusing": "unreadable (Input/output error)",
        "empty.jsonl": "empty",
        "utf16.txt": "UTF-16; convert it to UTF-8",
        "paper.pdf": "a PDF",
        "all.zip": "a zip archive",
    }


@pytest.mark.parametrize("name", ["pipe", "pipe,gone", "pi*"])
def test_where_nothing_is_text_the_reasons_stand_in_one_line(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "gone").symlink_to("nowhere")
    names = ",".join(str(tmp_path / each) for each in name.split(","))
    with pytest.raises(UserError, match=r"no text to train on \(.*a pipe: 1") as caught:
        prepare(CorpusConfig(source="files", path=names), tmp_path / "cache")
    assert "\n" not in str(caught.value)


def test_folders_that_cannot_be_entered_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may enter any folder, so listing is what fails here."""
    write(tmp_path, "a.txt", "closed/b.txt", "deep/c/d.txt")
    listing = Path.iterdir

    def refuse(folder: Path) -> object:
        if folder.name == "closed":
            raise PermissionError(13, "Permission denied")
        return listing(folder)

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert texts(tmp_path) == [b"text of a.txt", b"text of deep/c/d.txt"]
    assert skipped(tmp_path) == {"closed": "unreadable (Permission denied)"}
    assert skipped(tmp_path / "*") == {
        "closed": "a folder, which no part of the glob enters",
        "deep": "a folder, which no part of the glob enters",
    }


def test_a_file_deleted_after_it_was_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a.txt", "b.txt", "c.txt")
    reading = documents(CorpusConfig(source="files", path=str(tmp_path)))
    next(reading)
    (tmp_path / "b.txt").unlink()
    gone, last = reading
    assert gone == Skipped(str(tmp_path / "b.txt"), "unreadable (No such file or directory)")
    assert isinstance(last, Document)


def test_only_the_head_of_a_binary_file_is_read(tmp_path: Path) -> None:
    with (tmp_path / "weights.bin").open("wb") as file:
        file.truncate(2**40)  # sparse: takes no room, and no memory could hold it
    assert skipped(tmp_path) == {"weights.bin": "binary"}


def test_formats_read_as_plain_text_say_so(tmp_path: Path) -> None:
    write(tmp_path, "a.json", "b.csv.gz", "c.jl", "d.txt")
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(b"a,b"))
    remarks = {Path(d.name).name: d.remark for d in found(tmp_path) if isinstance(d, Document)}
    assert remarks == dict.fromkeys(("a.json", "b.csv.gz", "c.jl"), files.AS_TEXT) | {"d.txt": ""}


# ---- compressed files ----


@pytest.mark.parametrize("suffix", CODECS)
def test_compressed_files_are_the_same_text(tmp_path: Path, suffix: str) -> None:
    rows = ["naïve\n", "日本", "x" * 30_000]
    lines = "".join(json.dumps({"text": row}) + "\n" for row in rows).encode()
    contents = {"a.txt": b"one\ntwo", "b.jsonl": lines, "c.parquet": parquet(rows)}
    for kind in ("plain", "packed", "upper", "unnamed"):
        (tmp_path / kind).mkdir()
    for name, content in contents.items():
        packed = CODECS[suffix](content)
        (tmp_path / "plain" / name).write_bytes(content)
        (tmp_path / "packed" / (name + suffix)).write_bytes(packed)
        (tmp_path / "upper" / (name + suffix).upper()).write_bytes(packed)
        (tmp_path / "unnamed" / name).write_bytes(packed)
    plain = texts(tmp_path / "plain")
    assert plain == [b"one\ntwo", *[row.encode() for row in rows] * 2]
    assert texts(tmp_path / "packed") == texts(tmp_path / "upper") == plain
    assert texts(tmp_path / "unnamed")[:4] == plain[:4]  # the content tells, not the name


@pytest.mark.parametrize("suffix", CODECS)
def test_damaged_compressed_files_give_nothing_and_are_named(tmp_path: Path, suffix: str) -> None:
    lines = [json.dumps({"text": os.urandom(50).hex()}) + "\n" for _ in range(2000)]
    packed = CODECS[suffix]("".join(lines).encode())
    middle = len(packed) // 2
    flipped = packed[:middle] + bytes([packed[middle] ^ 1]) + packed[middle + 1 :]
    (tmp_path / f"cut.jsonl{suffix}").write_bytes(packed[:middle])
    if suffix != ".zst":  # whose checksum is an option
        (tmp_path / f"flipped.jsonl{suffix}").write_bytes(flipped)
    (tmp_path / f"false.txt{suffix}").write_text("not compressed")
    reasons = skipped(tmp_path)
    assert reasons.pop(f"false.txt{suffix}") == f"named {suffix}, and not compressed so"
    assert len(reasons) >= 1 and all(text.startswith("damaged (") for text in reasons.values())
    assert texts(tmp_path) == []
