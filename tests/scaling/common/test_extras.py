"""Packages that only some users need: an error names an extra of this project, or none."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest
from paths import ROOT
from plugged import plugged

from scaling.common import plugins
from scaling.common.errors import UserError
from scaling.common.extras import import_extra

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
NAMED = re.compile(r"import_extra\(\s*\"[\w.]+\", \"(\w+)\"|pip install [^\n]*-e '\.\[(\w+)")


def test_every_extra_that_a_source_or_a_text_names_is_one_of_the_project() -> None:
    files = [
        path
        for room in ("scaling", "experiments", "analysis", "tpu")
        for path in ROOT.glob(f"{room}/**/*.py")
    ]
    texts = [path.read_text() for path in [*files, ROOT / "README.md", *ROOT.glob("docs/*.md")]]
    named = {a or b for text in texts for a, b in NAMED.findall(text)}
    assert {"text", "hub", "ray", "safetensors", "slurm"} <= named
    assert named <= EXTRAS.keys()


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(
        UserError, match=r"a BPE needs the package .*: pip install -e '\.\[text\]'$"
    ):
        import_extra("tokenizers", "text", "a BPE")


def test_a_plug_in_of_the_user_names_no_extra_that_does_not_exist(tmp_path: Path) -> None:
    file = {"experiments.data.sources.mine": "import no_such_package"}
    with plugged(tmp_path, file), pytest.raises(UserError, match=r"'no_such_package': install it$"):
        plugins.load("experiments.data.sources", "mine", "data.source")
