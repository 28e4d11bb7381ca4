"""Tables of Chinchilla's refit, (Mis)Fitting and the IsoFLOP collections: parsed released files
against the collected copies, and the digests of the files."""

from __future__ import annotations

import gzip
import hashlib

import numpy as np
import pandas as pd
import pytest
from paths import DATA, needs_tables

from analysis.datasets import dataset, load

NAMES = ("chinchilla_epoch", "misfitting", "isoflop_collection", "xlstm_isoflop")
pytestmark = needs_tables(*NAMES)
TIDY = {  # our column: that of the collected table
    "run_id": "run_id", "params_total": "params_total", "tokens": "tokens", "loss": "loss",
}  # fmt: skip
FLOPS = {"flops_6nd": "flops"}


def assert_same(ours: pd.DataFrame, theirs: pd.DataFrame, columns: dict[str, str]) -> None:
    """Row by row: texts and flags exactly, numbers to 1e-9."""
    assert len(ours) == len(theirs)
    for mine, other in columns.items():
        expected = theirs[other].to_numpy()
        if expected.dtype.kind in "iuf" or mine == "flops_6nd":
            np.testing.assert_allclose(
                ours[mine].to_numpy(float), expected.astype(float), rtol=1e-9, err_msg=mine
            )
        else:
            assert (ours[mine].to_numpy() == expected).all(), mine


@pytest.mark.parametrize("name", NAMES)
def test_the_files_are_the_released_ones(name: str):
    """The digests pinned in the package, against the files themselves."""
    for file in dataset(name).files:
        path = DATA / name / file.name
        packed = path.with_name(f"{path.name}.gz")
        content = path.read_bytes() if path.exists() else gzip.decompress(packed.read_bytes())
        assert hashlib.sha256(content).hexdigest() == file.sha256


def test_chinchilla_points():
    theirs = pd.read_csv(DATA / "chinchilla_epoch" / "tidy.csv")
    theirs = theirs[~theirs["excluded_no_value"]]
    ours = load("chinchilla_epoch")
    assert len(ours) == 245
    columns = {name: other for name, other in TIDY.items() if name != "run_id"}
    assert_same(ours, theirs, columns | FLOPS)
    assert theirs["in_besiroglu_fit"].sum() == 240
    dropped = theirs.loc[~theirs["in_besiroglu_fit"], "loss"]
    assert dropped.min() > theirs.loc[theirs["in_besiroglu_fit"], "loss"].max()


def test_misfitting_checkpoints():
    theirs = pd.read_csv(DATA / "misfitting" / "tidy.csv.gz")
    ours = load("misfitting")
    assert len(ours) == 4852 and ours["run_id"].nunique() == 240 and ours["is_final"].sum() == 263
    more = {"learning_rate": "lr", "steps": "steps", "total_steps": "total_steps",
            "progress": "portion_elapsed", "is_final": "is_final",
            "params_nonembedding": "params_nonembedding"}  # fmt: skip
    assert_same(ours, theirs, TIDY | FLOPS | more)


def test_misfitting_compute_is_not_wrapped_around():
    """6ND reaches 1.5e20, past 2^63 = 9.2e18."""
    ours = load("misfitting")
    assert ours["flops_6nd"].dtype == np.float64
    exact = [6 * int(n) * int(d) for n, d in zip(ours["params_total"], ours["tokens"], strict=True)]
    assert max(exact) > 2**63
    np.testing.assert_allclose(ours["flops_6nd"], [float(each) for each in exact], rtol=1e-15)


def test_isoflop_points():
    theirs = pd.read_csv(DATA / "isoflop_collection" / "tidy.csv")
    ours = load("isoflop_collection")
    more = {"experiment": "experiment", "flops_budget": "flops", "outlier": "outlier"}
    assert_same(ours, theirs, TIDY | more)
    assert ours["flops_budget"].dtype == np.float64


@pytest.mark.parametrize("mixture", ["comma", "dclm", "nemotron"])
def test_marin_points_are_those_of_the_released_exports(mixture: str):
    """Every point of the collection but one export's row each, by (params, tokens)."""
    folder = DATA / "isoflop_collection" / "raw"
    export = pd.read_csv(folder / f"isoflop-{mixture}.csv").rename(
        columns={"parameter_count": "params_total", "throughput/total_tokens": "tokens"}
    )
    ours = load("isoflop_collection")
    ours = ours[ours["experiment"] == f"marin_202603__{mixture}__llama_2"]
    both = ours.merge(export, on=["params_total", "tokens"])
    assert set(both["run_id"]) == set(ours["run_id"])
    apart = (both["loss"] - both["eval/paloma/macro_loss"]).abs().groupby(both["run_id"]).min()
    assert apart.max() < 1e-9
    compute = both["throughput/total_gflops"] * 1e9 / both["flops_budget"]
    assert np.abs(compute - 1).max() < 1e-4


def test_xlstm_runs():
    theirs = pd.read_csv(DATA / "xlstm_isoflop" / "tidy.csv")
    ours = load("xlstm_isoflop")
    assert_same(ours, theirs[theirs["finished"]], TIDY | {"budget": "isoflop_tag"})
    assert len(ours) == 429 and ours["diverged"].sum() == 3
    assert ours.loc[ours["run_id"].duplicated(keep=False), "loss"].round(3).tolist() == [
        3.068,
        2.951,
    ]
    assert np.isfinite(ours.select_dtypes(float)).all(axis=None)
