"""Runs, tables and text at URLs: each command answers as for the same files on this machine."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import buckets
import fsspec
import pandas as pd
import pytest
from synthetic import Plan, write_study

from analysis import fit, load_runs, load_table, trajectory
from experiments.config.data import CorpusConfig
from experiments.data.sources import files
from experiments.runs import copies
from scaling.common import remote
from scaling.common.console import main
from scaling.common.errors import UserError

ROWS = [{"n": n, "d": 20 * n, "loss": 1.7 + 400 / n**0.34} for n in range(10**7, 10**8, 10**7)]


@pytest.fixture(params=["memory", "s3"])
def bucket(request: pytest.FixtureRequest, monkeypatch, tmp_path: Path) -> Iterator[str]:
    monkeypatch.setenv("WINDTUNNEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    if request.param == "memory":
        yield buckets.memory()
    else:
        with buckets.s3() as url:
            yield url


def put(url: str, content: bytes) -> None:
    with fsspec.open(url, "wb") as file:
        file.write(content)


def answer(capsys, *words: str) -> dict:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_study_is_sent_read_where_it_lies_and_brought_back(bucket: str, tmp_path: Path):
    folder = write_study(tmp_path / "mine", Plan())
    for run in list(folder.glob("*/config.json"))[4:]:
        shutil.rmtree(run.parent)  # four runs are sent
    (folder / "claim.1").write_text("of this machine")
    url = f"{bucket}/mine"
    assert copies.send(folder, url) > 8
    assert copies.send(folder, url) == 0
    here, there = load_runs(folder), load_runs(url)
    pd.testing.assert_frame_equal(
        here.drop(columns="path").sort_values("run_id", ignore_index=True),
        there.drop(columns="path").sort_values("run_id", ignore_index=True),
    )
    run = here.loc[here["status"] == "completed", "run_id"].iloc[0]
    pd.testing.assert_frame_equal(trajectory(f"{url}/{run}"), trajectory(folder / run))
    (folder / run / "metrics.jsonl").unlink()  # what has changed is sent, and brought
    assert copies.send(folder, url) == 1
    with pytest.raises(UserError, match=r"metrics\.jsonl: no such file"):
        trajectory(f"{url}/{run}")

    brought = tmp_path / "again"
    assert main(["copy", url, str(brought)]) == 0
    names = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert {path.relative_to(brought) for path in brought.rglob("*") if path.is_file()} == (
        names - {Path("claim.1")}
    )


def test_commands_answer_as_for_the_folder(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setenv("WINDTUNNEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    url, folder = f"{buckets.memory()}/mine", write_study(tmp_path / "mine", Plan())
    assert main(["copy", str(folder), url]) == 0
    capsys.readouterr()
    assert answer(capsys, "fit", url)["params"] == answer(capsys, "fit", str(folder))["params"]


@pytest.mark.slow
def test_the_report_of_a_url_names_it(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setenv("WINDTUNNEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    url = f"{buckets.memory()}/mine"
    copies.send(write_study(tmp_path / "mine", Plan()), url)
    assert main(["report", url]) == 0
    page = (tmp_path / "mine_report" / "report.html").read_text()
    assert f"windtunnel report {url}" in page
    assert "mine_report/report.html" in capsys.readouterr().out


def test_a_file_gone_here_goes_there_and_from_the_copy(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("WINDTUNNEL_CACHE", str(tmp_path / "cache"))
    folder, url = write_study(tmp_path / "mine", Plan()), f"{buckets.memory()}/mine"
    extra = folder / "checkpoints" / "8" / "seal.json"
    extra.parent.mkdir(parents=True)
    extra.write_text("{}")
    copies.send(folder, url)
    assert "checkpoints/8/seal.json" in remote.listed(url)
    assert not (remote.local(url, ("checkpoints",)) / "checkpoints").exists()
    extra.unlink()
    copies.send(folder, url)
    assert "checkpoints/8/seal.json" not in remote.listed(url)


def test_tables_are_read_from_a_url(bucket: str, capsys):
    url = f"{bucket}/tables/runs.csv"
    put(url, pd.DataFrame(ROWS).to_csv(index=False).encode())
    assert load_table(url).to_dict("records") == ROWS
    here = fit("kaplan", ROWS, params="n")
    assert fit("kaplan", url, params="n").params == here.params
    said = answer(capsys, "fit", url, "--law", "kaplan", "--params", "n")
    assert said["params"] == pytest.approx(here.params)
    put(url, pd.DataFrame(ROWS[:5]).to_csv(index=False).encode())
    assert len(load_table(url)) == 5


def test_text_is_read_from_a_url_a_folder_and_a_glob(bucket: str):
    put(f"{bucket}/text/a.txt", b"one text")
    put(f"{bucket}/text/deep/b.jsonl", b'{"text": "two"}\n{"text": "three"}\n')
    put(f"{bucket}/text/.hidden", b"no")
    put(f"{bucket}/text/picture", b"\0\1\2")

    def read(path: str) -> list[bytes]:
        found = files.documents(CorpusConfig(source="files", path=path))
        return [each.content for each in found if hasattr(each, "content")]

    assert read(f"{bucket}/text") == [b"one text", b"two", b"three"]
    assert read(f"{bucket}/text/**/*.jsonl,{bucket}/text/a.txt") == [b"one text", b"two", b"three"]
    with pytest.raises(UserError, match=r"no such file or folder"):
        read(f"{bucket}/text/*.parquet")


def test_a_file_url_names_the_same_place_from_every_folder(tmp_path: Path, monkeypatch, capsys):
    """With three slashes, of which a Path keeps one."""
    monkeypatch.setenv("WINDTUNNEL_CACHE", str(tmp_path / "cache"))
    folder, table = write_study(tmp_path / "mine", Plan()), tmp_path / "tables" / "runs.csv"
    table.parent.mkdir()
    pd.DataFrame(ROWS).to_csv(table, index=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for name in (table.as_uri(), Path(table.as_uri()), table.as_uri().replace("file:", "local:")):
        assert load_table(name).to_dict("records") == ROWS
    (found,) = remote.matching(f"{table.parent.as_uri()}/*.csv")
    assert found.url == table.as_uri()
    assert main(["copy", str(folder), (tmp_path / "sent").as_uri()]) == 0
    assert (tmp_path / "sent" / "study.json").exists()
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "s3://b/mine"], "study s3://b/mine: a URL; .* `windtunnel copy URL FOLDER`"),
        (["run", "quickstart", "--out", "s3://b/x"], "--out s3://b/x: a URL; .*`windtunnel copy`"),
        (["predict", "s3://b/x"], "study s3://b/x: a URL; name a place of this machine"),
        (["fit", "nowhere://b/x"], "nowhere://b/x: Protocol not known"),
        (["fit", "memory://none/x.csv"], "memory://none/x.csv: no such file or folder"),
        (["copy", "s3://b/x", "gs://b/x"], "name one folder and one URL"),
        (["fit", "file://"], "file:///: names no bucket, host or file"),
    ],
)
def test_what_cannot_be_is_one_line(words: list[str], said: str, capsys):
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()

    assert re.search(said, line)
