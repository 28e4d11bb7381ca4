"""The regions of a learning curve, where they were put."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.__main__ import main

SIZES = np.geomspace(1e3, 1e9, 25)  # a factor of 1.8 apart


def write(tmp_path: Path) -> str:
    """eps ~ m^-0.2 between 1e5 and 1e8, flat outside; and a worse run at every size."""
    loss = np.exp(4 - 0.2 * np.log(np.clip(SIZES, 1e5, 1e8)))
    loss *= np.exp(np.random.default_rng(0).normal(0, 0.01, len(loss)))
    worse = pd.DataFrame({"images": SIZES, "error": loss * np.linspace(1.1, 3, 25)})
    table = pd.concat([pd.DataFrame({"images": SIZES, "error": loss}), worse])
    table.to_csv(tmp_path / "curve.csv", index=False)
    return str(tmp_path / "curve.csv")


def test_breaks_and_exponent(tmp_path: Path, capsys):
    plot = ["--plot", str(tmp_path / "regions.svg")]
    asked = ["--samples", "images", "--loss", "error"]
    assert main(["regions", write(tmp_path), *asked, *plot]) == 0
    said = capsys.readouterr().out
    assert float(said.split("exponent of the power law: ")[1].split()[0]) == pytest.approx(
        0.2, abs=0.01
    )
    for name, true in (("begins", 1e5), ("ends", 1e8)):
        found = float(said.split(f"the power law {name} at images = ")[1].split()[0])
        assert found == pytest.approx(true, rel=0.4)
    counts = [int(said.split(name)[1].split()[0]) for name in ("small data", "irreducible")]
    assert sum(counts) + int(said.split("power law ")[1].split()[0]) == len(SIZES)
    assert (tmp_path / "regions.png").exists()


def test_few_sizes_hold_no_regions(tmp_path: Path, capsys):
    asked = ["--samples", "images", "--loss", "error", "--where", "images<5e3"]
    assert main(["regions", write(tmp_path), *asked]) == 2
    assert "regions need at least 5" in capsys.readouterr().err


def test_runs_on_different_data_are_named(tmp_path: Path, capsys):
    table = pd.read_csv(write(tmp_path)).assign(**{"data.fingerprint": "one"})
    table.loc[::2, "data.fingerprint"] = "two"
    table.to_csv(tmp_path / "two.csv", index=False)
    asked = ["regions", str(tmp_path / "two.csv"), "--samples", "images", "--loss", "error"]
    assert main(asked) == 2
    assert "2 values of 'data.fingerprint' (one, two): take one" in capsys.readouterr().err
    assert main([*asked, "--where", "data.fingerprint==*"]) == 0
    assert "taken as one on request" in capsys.readouterr().out
