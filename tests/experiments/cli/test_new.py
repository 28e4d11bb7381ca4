"""A starting file of each kind works as it stands, with its test, from a folder of plug-ins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT

from experiments.cli.new import FOLDERS, STARTERS
from scaling.common import plugins
from scaling.common.console import main

# Its own tests, and then a command that uses it
PROGRAM = """
import json, pytest, sys
from scaling.common.console import main
failed = pytest.main(["-q", "-p", "no:cacheprovider", "tests"])
sys.exit(failed or any([main(words) for words in json.loads(sys.argv[1])]))
"""


def test_a_file_is_of_a_plug_in_folder():
    assert FOLDERS.keys() == {"study", "law", "mixer", "figure"}
    for folder in FOLDERS.values():
        assert plugins.names(".".join(folder.relative_to(STARTERS).parts))


# tests/models/test_part.py has the mixer
@pytest.mark.parametrize(
    "kinds",
    [["law", "study"], pytest.param(["mixer", "figure"], marks=pytest.mark.slow)],
    ids=" ".join,
)
def test_starting_files_work(kinds, texts: Path, cache: Path, tmp_path: Path, capsys):
    for kind in kinds:
        assert main(["new", kind, f"a_{kind}", "--to", str(tmp_path)]) == 0
        assert f"export WINDTUNNEL_PLUGINS={tmp_path}" in capsys.readouterr().out
        assert main(["new", kind, f"a_{kind}", "--to", str(tmp_path)]) == 2
        assert "exists already" in capsys.readouterr().err
    uses = {
        "study": ["run", "a_study", "--dry-run", "--set", f"text={texts}", "--cache", str(cache)],
        "law": ["laws", "a_law"],
        "mixer": ["describe", "quickstart", "--set", "model.pattern=a_mixer"],
        "figure": ["figure", "a_figure"],
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps([uses[kind] for kind in kinds])],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), plugins.VARIABLE: str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(kinds)} passed" in done.stdout


def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, capsys):
    for name in ("my-law", "2nd", "_mine", "Mine", "class"):
        assert main(["new", "law", name, "--to", str(tmp_path)]) == 2
        assert capsys.readouterr().err.startswith(f"error: {name}: not a word")
    assert not list(tmp_path.iterdir())
