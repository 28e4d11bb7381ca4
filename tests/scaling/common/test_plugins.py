"""A law and a hyperparameter law are one file each, in the package or in a folder of the user's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from paths import ROOT
from plugged import plugged

from scaling.common import plugins
from scaling.common.errors import UserError
from scaling.common.plugins import import_extra

LAW = """
from scaling.laws._law import Term, additive

doubled = additive(
    "doubled",
    form="L(x) = E + A / x^alpha",
    units="none",
    source="a test",
    constant="E",
    terms=(Term("x", "A", "alpha"),),
)
"""

HYPERPARAMETER_LAW = """
from scaling.hyperparameters.law import Batch, Confidence, HyperparameterLaw, Power
from scaling.laws._law import Convention

FLAT = HyperparameterLaw(
    name="flat",
    form="batch = 1000",
    rules={"batch_tokens": Power(1000.0, {}, confidence=Confidence.PRIMARY)},
    batch=Batch.OWN,
    schedule="none",
    convention=Convention(params="none", tokens="none", loss="none"),
    recipe="none",
    source="a test",
)
"""

FILES = {"scaling.laws.doubled": LAW, "scaling.hyperparameters.published.flat": HYPERPARAMETER_LAW}

USE = """
from scaling import laws
from scaling.hyperparameters.published import by_name
from scaling.hyperparameters.recommendation import recommend
print(laws.by_name("doubled").form)
print(round(recommend(by_name("flat")).values["batch_tokens"]))
"""


def test_a_file_is_a_law(tmp_path: Path) -> None:
    with plugged(tmp_path, FILES):
        done = subprocess.run(
            [sys.executable, "-c", USE], env=os.environ, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["L(x) = E + A / x^alpha", "1000"]


def test_an_unknown_name_has_its_nearest() -> None:
    with pytest.raises(UserError, match=r"^mixer 'atention': did you mean 'attention'"):
        plugins.load("models.mixers", "atention", "mixer")


def test_a_file_without_its_value_is_one_line(tmp_path: Path) -> None:
    message = r"mixers/empty\.py: defines no 'PART'"
    with plugged(tmp_path, {"models.mixers.empty": ""}), pytest.raises(UserError, match=message):
        plugins.find("models.mixers", "empty", "mixer", "PART")


# ---- packages that only some users need ----

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


def test_another_python_is_sent_to_the_one_that_make_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the folder has the project's metadata, as a clone has after an installation."""
    command = tmp_path / ".venv" / "bin" / "windtunnel"
    command.parent.mkdir(parents=True)
    command.touch()
    monkeypatch.setattr(plugins, "COMMAND", command)
    assert plugins.missing("msgspec") == f"needs the package 'msgspec': use {command}"
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert plugins.missing("msgspec").endswith("install it")


def test_a_plug_in_of_the_user_names_no_extra_that_does_not_exist(tmp_path: Path) -> None:
    file = {"experiments.data.sources.mine": "import no_such_package"}
    with plugged(tmp_path, file), pytest.raises(UserError, match=r"'no_such_package': install it$"):
        plugins.load("experiments.data.sources", "mine", "data.source")
