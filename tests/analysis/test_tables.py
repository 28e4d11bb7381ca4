"""Tables that cannot be fitted: one clear line and exit status 2, or a flagged result."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from paths import ROOT

from analysis.__main__ import main
from analysis.fitting.fit import fit
from analysis.fitting.types import Status
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
    "text in a number": (lambda t: text(set_at(t, "n", "1.2B")), "'n'.*row 3: 1.2B"),
    "thousands": (lambda t: text(set_at(t, "n", "1,000")), "'n'.*row 3: 1,000"),
    "nan": (lambda t: text(set_at(t, "loss", None)), "'loss'.*row 3: nan"),
    "infinite": (lambda t: text(set_at(t, "loss", np.inf)), "'loss'.*row 3: inf"),
    "zero size": (lambda t: text(set_at(t, "n", 0)), "'n'.*row 3: 0"),
    "negative tokens": (lambda t: text(set_at(t, "d", -1e9)), "'d'.*row 3: -1"),
    "negative losses": (lambda t: text(t.assign(loss=-t.loss)), "'loss'.*row 4: .*and 15 more"),
    "one loss": (lambda t: text(t.assign(loss=2.5)), "'loss' is the same in every row"),
    "too few": (lambda t: text(t.iloc[:4]), "5 parameters and the table 4 different row"),
    "one row": (lambda t: text(t.iloc[:1]), "add at least 5 runs"),
    "one row repeated": (lambda t: text(t.iloc[[0] * 20]), "the table 1 different row"),
    "empty file": (lambda t: b"", "not a table in CSV"),
    "blank lines": (lambda t: b"\n\n\n", "not a table in CSV"),
    "header only": (lambda t: b"n,d,loss\n", "a header and no rows"),
    "no header": (lambda t: text(t, header=False), "no column 'n'"),
    "semicolons": (lambda t: text(t, sep=";"), "separated by ';'; write it with commas"),
    "tabs": (lambda t: text(t, sep="\t"), "separated by .*; write it with commas"),
    "decimal commas": (lambda t: text(t, sep=";", decimal=","), "decimals with a point"),
    "long row": (appended("1e8,1e9,3,4,5\n"), "not a table in CSV.*line 22"),
    "short row": (appended("1e8,1e9\n"), "'loss'.*row 20: nan"),
    "rows longer than the header": (
        lambda t: text(t).replace(b"n,d,loss\n", b"d,loss\n"),
        "more fields than the header has names",
    ),
    "open quote": (appended('"1e8,1e9,3\n'), "not a table in CSV.*EOF inside string"),
    "binary": (lambda t: bytes(range(256)) * 20, "not a table in CSV"),
    "picture": (lambda t: b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "not a table in CSV"),
    "zeros": (lambda t: bytes(1000), "bad.csv"),
    "utf-16": (lambda t: text(t).decode().encode("utf-16"), "not a table in CSV"),
    "web page": (lambda t: b"<html><body>404</body></html>", "bad.csv"),
    "loss in a wild unit": (lambda t: text(t.assign(loss=t.loss * 1e-200)), "choose a unit"),
    "no run completed": (lambda t: text(t.assign(status="failed")), "no completed run.*row 0"),
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
    "duplicate rows": (
        lambda t: text(pd.concat([t, t.iloc[[2, 5]]])), "converged",
        "2 row(s) repeat earlier ones, each counted as a run: row 20, row 21",
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


@pytest.mark.parametrize(
    "make",
    [
        lambda t: b"\xef\xbb\xbf" + text(t),
        lambda t: text(t).replace(b"n,d,loss", b" n, d, loss"),
        lambda t: text(t).replace(b"\n", b",\n").replace(b"n,d,loss,", b"n,d,loss"),
        lambda t: text(t).replace(b"\n", b"\r\n"),
    ],
    ids=["byte order mark", "spaces in the header", "trailing commas", "carriage returns"],
)
def test_a_file_that_is_only_untidy(tmp_path: Path, capsys, make):
    plain, untidy = tmp_path / "plain.csv", tmp_path / "untidy.csv"
    plain.write_bytes(text(good()))
    untidy.write_bytes(make(good()))
    said = []
    for file in (plain, untidy):
        assert main(["fit", str(file), "--params", "n", "--tokens", "d", "--json"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]


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
    assert done.stderr == (
        "error: column 'loss' must be finite and positive (row 3: -1.0); "
        "mend or remove these rows\n"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: pd.concat([t, t[["loss"]]], axis=1), "more than one column 'loss'"),
        (lambda t: t.assign(tokens=pd.to_datetime(t.tokens / 1e3)), "'tokens' holds datetime64"),
        (lambda t: t.assign(tokens=pd.to_timedelta(t.tokens)), "'tokens' holds timedelta64"),
        (lambda t: t.assign(loss=t.loss + 0j), "'loss' holds complex128"),
        (lambda t: t.convert_dtypes().assign(loss=pd.NA), "row 0: <NA>"),
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


def test_many_rows_are_fitted_in_little_memory():
    """100,000 rows: the optimum of all of them, although the scan sees a sample."""
    rng = np.random.default_rng(1)
    n, d = 10 ** rng.uniform(7.5, 10, 100_000), 10 ** rng.uniform(9, 11.5, 100_000)
    loss = laws.chinchilla.predict(TRUTH, params=n, tokens=d) * np.exp(rng.normal(0, 0.005, n.size))
    result = fit(laws.chinchilla, pd.DataFrame({"params_total": n, "tokens": d, "loss": loss}))
    assert result.status is Status.CONVERGED
    # 100,000 rows of noise 0.005 fix the exponents to about 3e-4
    assert result.params["alpha"] == pytest.approx(0.35, abs=2e-3)
    assert result.params["beta"] == pytest.approx(0.37, abs=2e-3)


@pytest.mark.slow
def test_ten_million_rows_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "large.csv"
    with file.open("w") as out:
        out.write("n,d,loss\n")
        out.writelines("1e8,1e9,3.1\n2e8,1e9,2.9\n" for _ in range(5_000_000))
    assert main(["fit", str(file), "--params", "n", "--tokens", "d"]) == 2
    assert "the table has 10,000,000 rows, and a fit takes" in capsys.readouterr().err
