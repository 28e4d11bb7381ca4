"""`import windtunnel as wt`: all public names by one door, each loaded when it is used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from paths import ROOT

import analysis
import experiments
import windtunnel as wt
from scaling.common.packages import ROOMS

SLOW = ("jax", "pandas", "numpy", "matplotlib", "scipy")


def test_the_door_has_the_names_of_both_rooms():
    assert set(wt.__all__) == {*analysis.__all__, *experiments.__all__}
    assert len(wt.__all__) == len(analysis.__all__) + len(experiments.__all__)
    for name in wt.__all__:
        home = analysis if name in analysis.__all__ else experiments
        assert getattr(wt, name) is getattr(home, name)
    assert not hasattr(wt, "no_such_name")


def test_it_loads_nothing_before_it_is_used():
    asked = f"import sys, windtunnel; print([name for name in {SLOW} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_as_a_program_it_is_the_command(tmp_path: Path):
    """Folders of the user's that have our names do no harm."""
    for name in (*ROOMS, "models", "scaling"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('not ours')\n")
    asked = [sys.executable, "-m", "windtunnel", "fields", "no_such_field"]
    path = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(asked, cwd=tmp_path, env=path, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: no_such_field: no field")


def test_results_show_themselves_in_a_notebook():
    rows = [{"n": n, "loss": 1.7 + 400 / n**0.34} for n in (1e7, 2e7, 4e7, 8e7, 1.6e8)]
    fits = [wt.fit("power_law", rows, columns={"x": "n"}, bootstrap=20, seed=0) for _ in range(2)]
    gain = wt.gain(*fits, budget=1e8)
    assert gain.table()["value"][0] == 1
    assert "<table" in gain._repr_html_() and "1 times the n of A" in gain._repr_html_()
    best = wt.best_setting(*_valley())
    assert "0.004" in best._repr_html_()


def _valley():
    import numpy as np

    rates = 0.001 * 2.0 ** np.arange(5)
    return rates, (3 + 0.01 * np.log(rates / 0.004) ** 2)[None]
