"""A user's folder that hides one of ours is named in one line, where ours is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

from scaling.common.packages import ROOMS, ShadowedError, check_packages


@pytest.mark.parametrize("room", ROOMS)
def test_ours_are_found(room: str):
    check_packages(*ROOMS[room].uses)


def test_another_home_is_another_package(tmp_path: Path):
    with pytest.raises(ShadowedError, match=f"hides {tmp_path / 'experiments'}"):
        check_packages("experiments", home=tmp_path)


def test_own_experiments_hide_the_record_from_analysis(tmp_path: Path):
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "__init__.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "analysis", "laws"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    (said,) = done.stderr.splitlines()
    assert done.returncode == 2 and said.startswith(f"error: 'experiments' is {tmp_path}")


@pytest.mark.parametrize(
    ("statement", "fails"),
    [
        ("-m experiments list", True),
        ("-c 'from experiments import studies'", True),
        ("-m tpu estimate quickstart --chip v5e --chips 4", True),
        ("-m analysis laws chinchilla", False),  # needs no models
        ("-c 'from analysis import load_table'", False),
    ],
)
def test_own_models_beside_a_script(statement: str, fails: bool, tmp_path: Path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("")
    (tmp_path / "models" / "config.py").write_text("WIDTH = 3\n")
    done = subprocess.run(
        f"'{sys.executable}' {statement}",
        shell=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode != 0) == fails
    if fails:
        said = done.stderr.splitlines()[-1]
        assert f"'models' is {tmp_path / 'models'}, which hides {ROOT / 'models'}" in said
        assert "rename it" in said and ("-c" in statement or "Traceback" not in done.stderr)
