"""Designs without `scipy.stats`."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import qmc

from analysis.fitting.solvers.sobol import JOE_KUO, sobol


@pytest.mark.parametrize("coordinates", [1, 2, 7, len(JOE_KUO) + 1, len(JOE_KUO) + 2])
def test_the_points_of_scipy_to_the_bit(coordinates: int):
    for points in (1, 2, 512):
        theirs = qmc.Sobol(coordinates, rng=points + 3).random(points)
        assert np.array_equal(sobol(coordinates, points, points + 3), theirs)


FIRST = """
import sys, time
import numpy as np
from analysis.fitting.fit import fit
from scaling.laws import learning_curves as forms
x = np.geomspace(1e6, 1e10, 40)
noise = np.exp(0.003 * np.random.default_rng(3).standard_normal(40))
law, truth = {laws}[sys.argv[1]]
table = dict(x=x, loss=law.predict(truth, x=x) * noise)
started = time.process_time()
fit(law, table, x="x")
print(time.process_time() - started, "scipy.stats" in sys.modules)
"""
TRUTHS = """{
    "M4": (forms.sigmoidal_power_law, dict(eps_inf=.1, eps_0=5, alpha=.6, beta=1e4, c=.7)),
    "two": (forms.TWO_POWERS, dict(A=3, h=1e8, alpha=.1, beta=.3)),
    "one": (forms.ONE_BREAK, dict(a=1, b=9, c0=.05, c1=.3, d1=1e8, f1=.2)),
    "three": (forms.THREE_BREAKS, dict(a=1, b=50, c0=.1, c1=.3, d1=2e7, f1=.2, c2=-.25,
                                       d2=5e8, f2=.2, c3=.3, d3=2e9, f3=.15)),
}"""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "most"), [("M4", 2), ("two", 2), ("one", 2), ("three", 3)])
def test_the_first_fit_of_a_form_takes_less_than_two_seconds(name: str, most: float):
    """Of CPU in a process of its own, its compiling and all imports beyond those of `fit`; three
    breaks are compiled for about two."""
    code = FIRST.format(laws=TRUTHS)
    said = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True)
    assert not said.returncode, said.stderr
    seconds, imported = said.stdout.split()
    assert float(seconds) < most and imported == "False", seconds
