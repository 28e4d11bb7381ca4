"""`analysis recommend`, and fitted laws of hyperparameters that are saved and read again."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import main
from analysis.hyperparameters import load_law, regress, save_law
from analysis.hyperparameters.recommend import recommend
from scaling.common.errors import UserError
from scaling.common.files import read_json, write_json
from scaling.hyperparameters.law_file import LawFile

RUN = ["recommend", "--params", "1e9", "--tokens", "1e11"]


@pytest.fixture(scope="module")
def fits():
    """lr = 3 N^-0.6 D^0.2 and batch = 0.5 D^0.5, seen through 5 % noise at 12 cells."""
    rng = np.random.default_rng(0)
    size, data = np.meshgrid([1e6, 3e6, 1e7], [1e8, 3e8, 1e9, 3e9])
    noise = np.exp(rng.normal(0, 0.05, (2, size.size)))
    table = pd.DataFrame(
        {
            "params_nonembedding": size.ravel(),
            "tokens": data.ravel(),
            "lr": 3 * size.ravel() ** -0.6 * data.ravel() ** 0.2 * noise[0],
            "batch_tokens": 0.5 * data.ravel() ** 0.5 * noise[1],
        }
    )
    return {
        "lr": regress(table, "lr", ("params_nonembedding", "tokens"), bootstrap=200),
        "batch_tokens": regress(table, "batch_tokens", ("tokens",), bootstrap=200),
    }


@pytest.fixture
def saved(fits, tmp_path: Path) -> Path:
    path = tmp_path / "law.json"
    save_law(path, fits, name="mine", loss="nats/byte", schedule="linear to 0", recipe="a line")
    return path


def test_the_table_reads_and_pastes(capsys):
    assert main(RUN) == 0
    said = capsys.readouterr().out
    assert said.startswith("params_total 1e+09, tokens 1e+11\n")
    for line in (
        "  steplaw2025      0.00163   inside        quoted by others     by its own rule",
        "  deepseek2024     0.000788  30 x outside  quoted by others     by its own rule",
        "  kaplan2020       0.000348  not stated    recalled, unchecked  held fixed",
        "  bjorck2024  needs tuned_lr, tuned_tokens",
        "  in range: 0.00163 (1 law)",
        "  all: 0.000788 to 0.00224, a factor of 2.8, geometric mean 0.00142 (3 laws)",
        "  steplaw2025      1.11M  inside        quoted by others",
        "  all: 1.11M to 4.94M, a factor of 4.5, geometric mean 1.95M (4 laws)",
        "loss_c4 = 2.41: by chinchilla:muennighoff2023_c4",
    ):
        assert line in said.splitlines(), line
    assert all(line == line.rstrip() and len(line) <= 100 for line in said.splitlines())


def test_experts_are_counted_both_ways_with_what_the_authors_counted(saved, capsys):
    sparse = {"params_total": 7e9, "params_active": 1e9, "tokens": 1e12}
    asked = ["recommend", "--params", "7e9", "--params-active", "1e9", "--tokens", "1e12"]
    assert main(asked) == 0
    said = capsys.readouterr().out.splitlines()
    shown = [" ".join(line.split()) for line in said]
    for row in (
        "steplaw2025 0.000827 total (authors) 10 x",
        "steplaw2025 0.00331 active 10 x",
        "all, N total: 0.000591 to 0.00117,",
        "all, N active: 0.000591 to 0.00331,",
    ):
        assert any(line.startswith(row) for line in shown), row
    rows = recommend(fits=[saved], **sparse).rows()
    counts = [row["counts"] for row in rows if (row["law"], row["quantity"]) == ("mine", "lr")]
    assert counts == [None]  # an own fit takes the size that it names
    total = recommend(experts="total", **sparse).rows()
    assert [row["counts"] for row in total if row["law"] == "olmo_ladder2024"] == ["total"] * 2
    assert main([*asked, "--experts", "some"]) == 2
    assert "experts='some'" in capsys.readouterr().err


def test_json_is_the_same_as_the_python_function(capsys):
    assert (
        main([*RUN, "--seq-len", "2048", "--tuned", "lr=3e-4", "--tuned", "tokens=1e10", "--json"])
        == 0
    )
    said = json.loads(capsys.readouterr().out)
    found = recommend(params_total=1e9, tokens=1e11, seq_len=2048, tuned_lr=3e-4, tuned_tokens=1e10)
    assert said == found.to_json()
    table = found.table().set_index(["quantity", "law"])
    assert table.loc[("lr", "bjorck2024"), "value"] == pytest.approx(3e-4 * 10**-0.32)
    assert table.loc[("lr", "steplaw2025"), "own_batch_tokens"] == pytest.approx(1.1077e6, rel=1e-3)


def test_a_batch_of_ones_own_is_held_against_that_of_the_law(capsys):
    assert main([*RUN, "--batch-tokens", "5.54e5"]) == 0
    said = capsys.readouterr().out
    assert "its lr goes with its own batch of 1.11M tokens; yours is 0.5 times that" in said


def test_own_fits_stand_beside_the_published_with_their_interval(saved, fits, capsys):
    found = recommend(fits=[saved], params_total=3e6, tokens=1e9).table()
    mine = found[found["law"] == "mine"].set_index("quantity")
    wanted = fits["lr"].predict(params_nonembedding=3e6, tokens=1e9)
    for column in ("value", "low", "high"):
        assert mine.loc["lr", column] == pytest.approx(float(getattr(wanted, column)), rel=1e-6)
    assert mine.loc["lr", "range"] == "inside" and mine.loc["batch_tokens", "low"] > 0
    assert main([*RUN, "--fit", str(saved)]) == 0
    said = capsys.readouterr().out.splitlines()
    (line,) = (each for each in said if each.startswith("  mine") and "[0.00" in each)
    assert "100 x outside" in line and "own fit" in line


def test_what_is_saved_is_what_is_read(saved, fits):
    read = load_law(saved)
    assert read.law.name == "mine" and set(read.fits) == {"lr", "batch_tokens"}
    for name, fit in fits.items():
        again = read.fits[name]
        assert again.params == pytest.approx(fit.params)
        assert again.fitted_on == fit.fitted_on
        assert (again.units, again.scatter) == (fit.units, pytest.approx(fit.scatter))
        np.testing.assert_allclose(again.samples, fit.samples, rtol=1e-7)  # written to 8 digits
    assert read.law.rules["lr"].fitted_on["tokens"] == pytest.approx((1e8, 3e9))


def test_laws_of_one_name_are_refused(saved):
    with pytest.raises(UserError, match="two laws are called 'mine'"):
        recommend(fits=[saved, saved], params_total=3e6, tokens=1e9)


def test_a_law_without_resamples_has_no_interval(saved):
    write_json(saved, msgspec.structs.replace(read_json(saved, LawFile), resamples={}))
    rows = recommend(fits=[saved], params_total=3e6, tokens=1e9).rows()
    assert [row["low"] for row in rows if row["law"] == "mine"] == [None, None]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["recommend", "--params", "1e9"], "required: --tokens"),
        (
            ["recommend", "--params", "big", "--tokens", "1e11"],
            "--params 'big' is not a number; write it as 7e9 or 7B",
        ),
        (["recommend", "--params", "0", "--tokens", "1e11"], "params_total=0.0: must be finite"),
        ([*RUN, "--parms", "1"], "did you mean '--params'"),
        ([*RUN, "--tuned", "lr"], "--tuned lr: write name=value"),
        ([*RUN, "--tuned", "rate=1"], "unknown 'tuned_rate': did you mean 'tuned_"),
        ([*RUN, "--fit", "nowhere.json"], "nowhere.json: cannot read (No such file"),
    ],
)
def test_mistakes_are_one_line(arguments, said, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and said in error


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not valid JSON"),
        ("{}", "missing required field `version`; write one with"),
        (None, r"resamples\.lr\.logs: 3 numbers a row expected; save"),
    ],
)
def test_a_damaged_law_is_named(text, said, saved):
    if text is None:
        data = json.loads(saved.read_text())
        data["resamples"]["lr"]["logs"] = [[1.0, 2.0]]
        text = json.dumps(data)
    saved.write_text(text)
    with pytest.raises(UserError, match=said):
        load_law(saved)


def test_only_hyperparameters_are_saved(fits, tmp_path):
    with pytest.raises(UserError, match="'rate': one of lr"):
        save_law(tmp_path / "x", {"rate": fits["lr"]}, name="x", loss="", schedule="", recipe="")


def test_a_law_of_columns_that_no_run_is_described_by_is_refused_when_saved(tmp_path):
    size = 10 ** np.linspace(7, 9, 6)
    table = pd.DataFrame({"N": size, "lr": 3 * size**-0.6})
    fits = {"lr": regress(table, "lr", ("N",), bootstrap=20)}
    with pytest.raises(UserError, match=r"no run is ever described by 'N'.*rename the column"):
        save_law(tmp_path / "x", fits, name="x", loss="", schedule="", recipe="")
    assert not (tmp_path / "x").exists()
