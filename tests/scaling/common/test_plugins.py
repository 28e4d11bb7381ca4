"""A law and a hyperparameter law are one file each, in the package or in a folder of the user's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from plugged import plugged

from scaling.common import plugins
from scaling.common.errors import UserError

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
