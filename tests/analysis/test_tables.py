"""Tables that cannot be fitted: one clear line and exit status 2, or a flagged result."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import re
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import complaints
from paths import ROOT

from analysis import load_table
from analysis.__main__ import main
from analysis.fitting.fit import fit
from scaling import laws
from scaling.common.errors import UserError

TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}


def good() -> pd.DataFrame:
    """20 runs: 5 sizes by 4 token counts."""
    n, d = np.repeat(np.geomspace(5e7, 1e10, 5), 4), np.tile(np.geomspace(1e9, 3e11, 4), 5)
    noise = np.random.default_rng(0).normal(0, 0.005, 20)
    return pd.DataFrame({
        "n": n, "d": d, "loss": laws.chinchilla.predict(TRUTH, params=n, tokens=d) * np.exp(noise),
    })  # fmt: skip


def ours(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns={"n": "params_total", "d": "tokens"})


def set_at(table: pd.DataFrame, column: str, value: object) -> pd.DataFrame:
    """Row 3 spoiled."""
    return table.assign(**{column: table[column].astype(object).where(table.index != 3, value)})


def text(table: pd.DataFrame, **style: str) -> bytes:
    return table.to_csv(index=False, **style).encode()


def appended(end: str) -> Callable[[pd.DataFrame], bytes]:
    return lambda table: text(table) + end.encode()


REFUSED: dict[str, tuple[Callable[[pd.DataFrame], bytes], str]] = {
    "missing column": (lambda t: text(t.drop(columns="d")), "no column 'd': known: loss, n"),
    "unknown unit": (
        lambda t: text(set_at(t, "n", "1.2Q")),
        "line 5: 1.2Q, unit 'Q' is not K",
    ),
    "scales on some cells": (
        lambda t: text(t.assign(n=[f"{n / 1e9:.3g}" + ("B" if n > 1e9 else "") for n in t.n])),
        r"others far smaller without \(line 2: 0.05, .* and 7 more\): write all alike",
    ),
    "percent": (lambda t: text(set_at(t, "loss", "3.1%")), "line 5: 3.1%, a share in percent"),
    "groups not of three": (lambda t: text(set_at(t, "n", "1,00,00")), "line 5: 1,00,00, not writ"),
    "commas of two kinds": (
        lambda t: text(t.assign(loss=[f"{each:.3f}".replace(".", ",") for each in t.loss])),
        "line 2: .*its comma may mark decimals or thousands",
    ),
    "losses in two units": (
        lambda t: text(t.assign(loss=t.loss.map("{:.4f} nats".format).where(t.n > 1e9, "3 flops"))),
        "'loss' mixes units .'flops', 'nats'",
    ),
    "nothing but nan": (lambda t: text(t.assign(loss=np.nan)), "20 runs without a loss.*line 2"),
    "zero size": (lambda t: text(set_at(t, "n", 0)), "'n'.*line 5: 0"),
    "a row of totals": (appended("total,,2.5\n"), "'n'.*line 22: total, text.*--where 'n>0'"),
    "negative tokens": (lambda t: text(set_at(t, "d", -1e9)), "'d'.*line 5: -1"),
    "negative losses": (lambda t: text(t.assign(loss=-t.loss)), "'loss'.*line 6: .*and 15 more"),
    "one loss": (lambda t: text(t.assign(loss=2.5)), "'loss' is the same in every row"),
    "too few": (lambda t: text(t.iloc[:4]), "5 parameters and the table 4 different row"),
    "one row": (lambda t: text(t.iloc[:1]), "add at least 5 runs"),
    "one row repeated": (lambda t: text(t.iloc[[0] * 20]), "the table 1 different row"),
    "two columns of one name": (
        lambda t: text(t).replace(b"n,d,loss", b"n,d, n"),
        "more than one column 'n'",
    ),
    "empty file": (lambda t: b"", "not a table in CSV"),
    "blank lines": (lambda t: b"\n\n\n", "not a table in CSV"),
    "header only": (lambda t: b"n,d,loss\n", "a header and no rows"),
    "no header": (lambda t: text(t, header=False), "the first line holds numbers"),
    "long row": (appended("1e8,1e9,3,4,5\n"), "not a table in CSV.*line 22 has 5 fields"),
    "rows longer than the header": (
        lambda t: text(t).replace(b"n,d,loss\n", b"d,loss\n"),
        "more fields than the header has names",
    ),
    "open quote": (appended('"1e8,1e9,3\n'), "not a table in CSV.*EOF inside string"),
    "binary": (lambda t: bytes(range(256)) * 20, "not a table in CSV"),
    "picture": (lambda t: b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "not a table.*a picture"),
    "database": (lambda t: b"SQLite format 3\0" + bytes(99), "an SQLite database: export"),
    "old Excel": (lambda t: b"\xd0\xcf\x11\xe0" + bytes(99), "save it as .xlsx or CSV"),
    "formulas that nobody computed": (
        lambda t: excel(t.assign(loss=t.loss.map("=1*{}".format))),
        "cell C4 holds a formula and no value: open and save",
    ),
    "a name twice in JSON": (
        lambda t: t.to_json(orient="records").replace('"d"', '"n"').encode(),
        "a JSON object with more than one 'n'",
    ),
    "half of a gzip": (lambda t: gzip.compress(text(t))[:-20], "compressed and damaged"),
    "half of a Parquet": (lambda t: b"PAR1" + bytes(50), "damaged table"),
    "zeros": (lambda t: bytes(1000), "bad.csv"),
    "web page": (lambda t: b"<html><body>404</body></html>", "bad.csv.*web page"),
    "JSON of text": (lambda t: b'{"a": "b", "c": [1, 2]}', "bad.csv"),
    "torn JSON lines": (lambda t: b'{"n": 1}\n{"n": 2\n', "line 2"),
    "loss in a wild unit": (lambda t: text(t.assign(loss=t.loss * 1e-200)), "choose a unit"),
    "no run completed": (lambda t: text(t.assign(status="failed")), "no completed run.*line 2"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str):
    make, message = REFUSED[name]
    file = tmp_path / "bad.csv"
    file.write_bytes(make(good()))
    status = main(["fit", str(file), "--params", "n", "--tokens", "d", "--bootstrap", "5"])
    said = capsys.readouterr()
    assert status == 2 and said.out == ""
    assert said.err.startswith("error: ") and said.err.count("\n") == 1, said.err
    assert re.search(message, said.err), said.err


FLAGGED: dict[str, tuple[Callable[[pd.DataFrame], bytes], str, str]] = {
    "one token count": (
        lambda t: text(t.assign(d=1e10)), "not identified", "tokens is the same in every row",
    ),
    "one size": (
        lambda t: text(t.assign(n=1e9)), "not identified", "params is the same in every row",
    ),
    "two token counts": (
        lambda t: text(t.assign(d=np.where(t.index % 2, 1e10, 1e11))), "not identified",
        "tokens takes only 2 values",
    ),
    "fixed ratio": (
        lambda t: text(t.assign(d=20 * t.n)), "not identified", "move together in every row",
    ),
    "as many rows as parameters": (
        lambda t: text(t.iloc[[0, 5, 10, 15, 19]]), "converged", "there is no interval",
    ),
    "a loss is missing": (
        lambda t: text(set_at(t, "loss", "—")), "converged", "1 run without a loss (line 5): left",
    ),
    "an error of a spreadsheet": (
        lambda t: text(set_at(t, "loss", "#DIV/0!")), "converged", "1 run without a loss (line 5)",
    ),
    "infinite losses": (
        lambda t: text(t.assign(loss=["Infinity", "∞", "-inf", "1e400", *t.loss[4:]])),
        "converged", "4 runs with an infinite loss (line 2, line 3, line 4, line 5): left out",
    ),
    "a short row": (
        appended("1e8,1e9\n"), "converged", "1 run without a loss (line 22): left out",
    ),
    "duplicate rows": (
        lambda t: text(pd.concat([t, t.iloc[[2, 5]]])), "converged",
        "2 row(s) repeat earlier ones, each counted as a run: line 22, line 23",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FLAGGED)
def test_a_file_that_is_flagged(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str):
    make, status, note = FLAGGED[name]
    file = tmp_path / "odd.csv"
    file.write_bytes(make(good()))
    assert main(["fit", str(file), "--params", "n", "--tokens", "d", "--bootstrap", "5"]) == 0
    said = capsys.readouterr().out
    assert f", {status}, " in said
    assert any(line.startswith("note: ") and note in line for line in said.splitlines())


def commas(table: pd.DataFrame) -> bytes:
    return text(table, sep=";", decimal=",")


def excel(table: pd.DataFrame) -> bytes:
    pytest.importorskip("openpyxl")
    book = io.BytesIO()
    with pd.ExcelWriter(book) as writer:
        table.to_excel(writer, index=False, startrow=2)
        pd.DataFrame().to_excel(writer, sheet_name="empty", index=False)
    return book.getvalue()


def parquet(table: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    table.to_parquet(file)
    return file.getvalue()


def zipped(table: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("runs.csv", text(table))
    return file.getvalue()


def markdown(table: pd.DataFrame) -> bytes:
    lines = text(table).decode().splitlines()
    rows = [f"| {' | '.join(line.split(','))} |" for line in lines]
    return "\n".join([rows[0], "|---|:-:|---|", *rows[1:]]).encode()


def with_units(table: pd.DataFrame) -> bytes:
    scaled = {
        "n": table.n.map(lambda n: f"{n / 1e6!r}M"),
        "d": [f"{d / 1e9!r} B tokens" for d in table.d],
    }
    return text(table.assign(**scaled))


def superscript(value: float) -> str:
    head, power = f"{value:.17e}".split("e")
    return f"{head}×10{str(int(power)).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


UNTIDY: dict[str, Callable[[pd.DataFrame], bytes]] = {
    "byte order mark": lambda t: b"\xef\xbb\xbf" + text(t),
    "spaces in the header": lambda t: text(t).replace(b"n,d,loss", b" n , d, loss "),
    "trailing commas": lambda t: text(t).replace(b"\n", b",\n").replace(b"loss,", b"loss"),
    "carriage returns": lambda t: text(t).replace(b"\n", b"\r\n"),
    "comments": lambda t: b"# by hand\n" + text(t).replace(b"loss\n", b"loss\n# raw\n"),
    "blank rows": lambda t: text(t) + b",,\n , ,\n\n",
    "a header again": lambda t: text(t.iloc[:9]) + text(t.iloc[9:]),
    "semicolons": lambda t: text(t, sep=";"),
    "decimal commas": commas,
    "tabs": lambda t: text(t, sep="\t"),
    "bars": lambda t: text(t, sep="|"),
    "blanks": lambda t: text(t, sep=" "),
    "Markdown": markdown,
    "utf-16": lambda t: text(t).decode().encode("utf-16"),
    "utf-16 without a mark": lambda t: text(t).decode().encode("utf-16-le"),
    "utf-32": lambda t: text(t).decode().encode("utf-32"),
    "Windows": lambda t: text(t.assign(note="größe"), encoding="cp1252").decode().encode("cp1252"),
    "gzip": lambda t: gzip.compress(text(t)),
    "bzip2": lambda t: bz2.compress(text(t)),
    "xz": lambda t: lzma.compress(text(t)),
    "zip": zipped,
    "JSON": lambda t: t.to_json(orient="records", double_precision=15).encode(),
    "JSON by column": lambda t: t.to_json(double_precision=15).encode(),
    "JSON lists": lambda t: json.dumps(t.to_dict("list")).encode(),
    "JSON with a head": lambda t: json.dumps({"v": 1, "runs": t.to_dict("records")}).encode(),
    "JSON lines": lambda t: t.to_json(orient="records", lines=True, double_precision=15).encode(),
    "Parquet": parquet,
    "Excel": excel,
    "units": with_units,
    "underscores": lambda t: text(t.assign(n=[f"{n:_}" for n in t.n])),
    "thousands": lambda t: text(t.assign(n=[f"{n:,}" for n in t.n])),
    "Swiss thousands": lambda t: text(t.assign(n=[f"{n:,}".replace(",", "'") for n in t.n])),
    "powers of ten": lambda t: text(t.assign(n=t.n.map(superscript))),
    "nats": lambda t: text(t.assign(loss=[f"{x!r} nats" for x in t.loss])),
}


@pytest.mark.parametrize("name", UNTIDY)
def test_a_file_that_is_only_untidy(tmp_path: Path, name: str):
    plain, untidy = tmp_path / "plain.csv", tmp_path / "untidy"
    table = good().assign(n=lambda t: t.n.round().astype(int))
    plain.write_bytes(text(table))
    untidy.write_bytes(UNTIDY[name](table))
    expected, found = load_table(plain), load_table(untidy)
    for column in expected:
        assert found[column].to_numpy() == pytest.approx(expected[column].to_numpy(), rel=1e-12)


def test_standard_input_and_a_pipe(tmp_path: Path, monkeypatch, capsys):
    columns = ["--params", "n", "--tokens", "d", "--json"]
    content = text(good())
    (tmp_path / "runs.csv").write_bytes(content)
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,))
    writer.start()
    said = []
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    for path in (str(tmp_path / "runs.csv"), str(tmp_path / "pipe"), "-"):
        assert main(["fit", path, *columns]) == 0
        said.append(capsys.readouterr().out)
    writer.join()
    assert said[0] == said[1] == said[2]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("absent.csv", "no such file"),
        ("chinchilla_epok", "did you mean 'chinchilla_epoch'"),
        (".", "no runs here"),
    ],
)
def test_a_path_that_leads_nowhere(tmp_path: Path, monkeypatch, capsys, path: str, message: str):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", path]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_the_exit_status_of_the_process(tmp_path: Path):
    (tmp_path / "bad.csv").write_bytes(text(set_at(good(), "loss", -1)))
    done = subprocess.run(
        [sys.executable, "-m", "analysis", "fit", str(tmp_path / "bad.csv"),
         "--params", "n", "--tokens", "d"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and done.stdout == ""
    assert complaints(done.stderr) == [
        "error: column 'loss' must be finite and positive (line 5: -1.0); "
        "mend these rows, or choose others with --where 'loss>0'"
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: pd.concat([t, t[["loss"]]], axis=1), "more than one column 'loss'"),
        (lambda t: t.assign(tokens=pd.to_datetime(t.tokens / 1e3)), "'tokens' holds datetime64"),
        (lambda t: t.assign(tokens=pd.to_timedelta(t.tokens)), "'tokens' holds timedelta64"),
        (lambda t: t.assign(loss=t.loss + 0j), "'loss' holds complex128"),
        (lambda t: t.convert_dtypes().assign(loss=pd.NA), "20 runs without a loss .row 0"),
        (lambda t: set_at(t, "loss", -1.0).set_index(np.arange(20) * 7), "row 21: -1.0"),
        (lambda t: pd.DataFrame(), "no rows"),
        (lambda t: pd.DataFrame(index=range(4)), "no column 'params_total'"),
    ],
)
def test_a_table_that_is_refused(change, message: str):
    with pytest.raises(UserError, match=message) as error:
        fit(laws.chinchilla, change(ours(good())))
    assert "\n" not in str(error.value)


def test_a_column_for_a_variable_that_the_law_lacks():
    with pytest.raises(UserError, match=r"no variable 'token'; did you mean 'tokens'"):
        fit(laws.chinchilla, ours(good()), columns={"token": "d"})


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.convert_dtypes(),
        lambda t: t.astype(str),
        lambda t: t.set_index(np.zeros(20, int)),
        lambda t: t.set_index(pd.MultiIndex.from_product([range(5), range(4)])),
        lambda t: t.astype("category"),
    ],
    ids=["nullable", "text of numbers", "one index", "two indices", "categories"],
)
def test_a_table_that_is_only_unusual(change):
    table = ours(good())
    expected = fit(laws.chinchilla, table)
    found = fit(laws.chinchilla, change(table))
    assert found.params == pytest.approx(expected.params, rel=1e-9)
    assert found.warnings == expected.warnings


def test_names_stay_text_and_lines_are_those_of_the_file(tmp_path: Path, capsys):
    """Ids that look like numbers; comments, a blank line and a quoted end of line before a row."""
    ids = ["5381e182", "12e5", "120e4", "00123", "4e563", *(f"{at}" for at in range(15))]
    file = tmp_path / "runs.csv"
    lines = text(good().assign(run_id=ids)).decode().splitlines()
    lines[3:3] = ["# a remark", ""]
    file.write_text("\n".join(lines))
    columns = ["--params", "n", "--tokens", "d"]
    assert main(["fit", str(file), *columns, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fitted_on"] == ids
    assert load_table(file)["run_id"].tolist() == ids
    cluster = text(good().assign(c=["12e5", "120e4", "1200000", "7", "07"] * 4))
    file.write_bytes(cluster)
    assert main(["fit", str(file), *columns, "--bootstrap", "5", "--cluster", "c"]) == 0
    assert "resampled by c: 5 clusters of 20 rows" in capsys.readouterr().out
    broken = text(set_at(good(), "loss", -1).assign(note='"two\nlines"'))
    file.write_bytes(b"# a remark\n\n" + broken)
    assert main(["fit", str(file), *columns]) == 2
    assert "line 10: -1" in capsys.readouterr().err
