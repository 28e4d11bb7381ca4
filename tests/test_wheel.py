"""A wheel holds every file that the installed package reads."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest
from paths import ROOT

from scaling.common.packages import ROOMS

PACKAGES = ("scaling", "models", *ROOMS)
OF_THE_SITE = {".ipynb", ".md"}  # read in the repository alone


def data_files() -> set[str]:
    """Files of the packages that are no code."""
    return {
        str(file.relative_to(ROOT))
        for room in PACKAGES
        for file in (ROOT / room).rglob("*")
        if file.is_file() and file.suffix not in {".py", ".pyc", *OF_THE_SITE}
    }


def test_each_data_file_is_declared():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    declared = {
        str(file.relative_to(ROOT))
        for room, patterns in settings["package-data"].items()
        for pattern in patterns
        for file in (ROOT / room).glob(pattern)
    }
    assert len(declared) > 5 and data_files() == declared


@pytest.mark.slow
def test_a_wheel_holds_them(tmp_path: Path):
    """Built as a user builds it; the build's own requirement comes over the network."""
    source = tmp_path / "source"
    for room in PACKAGES:
        shutil.copytree(ROOT / room, source / room)
    for name in ("pyproject.toml", "README.md", "LICENSE", "windtunnel.py"):
        shutil.copy(ROOT / name, source)
    made = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", tmp_path, source],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "No matching distribution" in made.stderr:
        pytest.skip("no network for the build")
    (wheel,) = tmp_path.glob("*.whl")
    held = set(ZipFile(wheel).namelist())
    assert data_files() <= held
    assert {"windtunnel.py", "tpu/pod/launch.py", "analysis/cli/fit.py"} <= held
