"""Sources of the files of a published table, with a local server."""

from __future__ import annotations

import gzip
import hashlib
import threading
from dataclasses import replace
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pandas as pd
import pytest

from analysis import datasets
from analysis.datasets import _source as source
from analysis.datasets._source import Dataset, TableFile
from scaling.common.errors import UserError

CONTENT = b"n,d,loss\n1e6,2e7,3.5\n"


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder without a log."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A table of one file, on a server in place of the public host, with an empty cache."""
    monkeypatch.setenv("WINDTUNNEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WINDTUNNEL_DATA", raising=False)
    return Dataset(
        name="study",
        paper="A paper",
        licence="none",
        repository="owner/name",
        commit="abc",
        files=(
            TableFile("raw/points.csv", hashlib.sha256(CONTENT).hexdigest(), "data/points.csv"),
        ),
        parse=lambda files: pd.read_csv(files["raw/points.csv"]),
    )


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The path on the server of the one file; without the fixture, nothing answers."""
    file = tmp_path / "host" / "owner" / "name" / "abc" / "data" / "points.csv"
    file.parent.mkdir(parents=True)
    server = HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "host")))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(source, "HOST", f"http://127.0.0.1:{server.server_port}")
    yield file
    server.shutdown()
    thread.join()
    server.server_close()


def local(tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "data" / "study" / "raw" / "points.csv"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    monkeypatch.setenv("WINDTUNNEL_DATA", str(tmp_path / "data"))


def test_folder_of_the_user_comes_first(dataset, tmp_path, monkeypatch):
    local(tmp_path, CONTENT, monkeypatch)
    assert dataset.load()["loss"].tolist() == [3.5]
    assert dataset.load().attrs["paper"] == "A paper"


def test_compressed_file_is_held_to_the_same_checksum(dataset, tmp_path, monkeypatch):
    local(tmp_path, CONTENT, monkeypatch)
    plain = tmp_path / "data" / "study" / "raw" / "points.csv"
    plain.with_name("points.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    parsed = replace(dataset, parse=lambda files: pd.read_csv(next(iter(files.values()))))
    assert parsed.load()["loss"].tolist() == [3.5]
    plain.with_name("points.csv.gz").write_bytes(gzip.compress(CONTENT + b" "))
    with pytest.raises(UserError, match="not the released file"):
        parsed.load()


def test_other_content_is_refused(dataset, tmp_path, monkeypatch):
    local(tmp_path, CONTENT + b"2e6,4e7,3.1\n", monkeypatch)
    with pytest.raises(UserError, match=r"points.csv: not the released file .SHA-256"):
        dataset.load()


def test_download_is_kept(dataset, served):
    served.write_bytes(CONTENT)
    assert dataset.load()["loss"].tolist() == [3.5]
    served.unlink()
    assert dataset.load()["loss"].tolist() == [3.5]


def test_changed_download_is_refused(dataset, served):
    served.write_bytes(CONTENT + b" ")
    with pytest.raises(
        UserError, match=r"cannot download owner/name/abc/data/points.csv"
    ) as caught:
        dataset.load()
    assert "$WINDTUNNEL_DATA/study/raw/points.csv" in str(caught.value)


def test_no_such_file_is_one_line(dataset, served):
    with pytest.raises(UserError, match="cannot download") as caught:
        dataset.load()
    assert "\n" not in str(caught.value)


def test_collected_table_cannot_be_downloaded(dataset):
    collected = replace(dataset, files=(TableFile("tidy.csv", "0" * 64, None),))
    with pytest.raises(UserError, match=r"collected from many.*\$WINDTUNNEL_DATA/study/tidy"):
        collected.load()


def test_unknown_name_gives_the_nearest():
    with pytest.raises(UserError, match="did you mean 'chinchilla_epoch'"):
        datasets.load("chinchila_epoch")


@pytest.mark.parametrize("name", datasets.names())
def test_every_table_says_where_it_is_from(name):
    found = datasets.dataset(name)
    assert found.name == name and found.paper and found.licence
    assert len(found.commit) == 40 and all(len(file.sha256) == 64 for file in found.files)
