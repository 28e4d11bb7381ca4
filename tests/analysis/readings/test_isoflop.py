"""The report of an IsoFLOP study: Approach 2 with intervals, and figures of the same answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic import TRUTH, Plan, write_study

from analysis.estimators.isoflop import isoflop
from analysis.readings.isoflop import Profiles, read
from analysis.report.evidence import gather
from analysis.tables.study import StudyRecords, load_study

SPLIT = TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])  # N* goes as C to this


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyRecords:
    plan = Plan(isoflop="yes", noise=0.002)
    return load_study(write_study(tmp_path_factory.mktemp("study"), plan))


@pytest.fixture(scope="module")
def found(study: StudyRecords) -> Profiles:
    profiles = read(study)
    assert profiles is not None
    return profiles


def test_the_exponents_and_their_intervals(found: Profiles):
    for law, true in ((found.frontier.params, SPLIT), (found.frontier.tokens, 1 - SPLIT)):
        low, high = law.interval()
        assert low < true < high and high - low < 0.1
    assert str(found).startswith("the best size grows as C^0.4")
    (table,) = found.tables
    assert len(table.rows) == 4 and all("[" in cell for cell in (table.rows[0][2:4]))


def test_the_figure_draws_the_answer_of_the_estimator(study: StudyRecords, found: Profiles):
    picture, allocation = found.pictures()
    answer = isoflop(study.fit_runs, loss=study.loss, params=study.params, tokens=study.tokens)
    stars = [line for line in picture.draw().axes[0].lines if line.get_marker() == "*"]
    best = answer.optima[answer.optima["used"]]
    assert len(stars) == len(best) == 4
    drawn = [(line.get_xdata().item(), line.get_ydata().item()) for line in stars]
    np.testing.assert_allclose(drawn, best[["params", "loss"]].to_numpy(), rtol=1e-9)
    curves = allocation.draw().axes[0].lines
    assert {len(line.get_xdata()) for line in curves} >= {4, 60}


def test_the_report_of_the_study_shows_it(study: StudyRecords):
    evidence = gather(study)
    assert evidence.finding is not None and evidence.assessment is not None
    assert [picture.name for picture in evidence.finding.pictures()] == ["isoflop", "allocation"]


def test_one_budget_is_too_few(tmp_path: Path):
    study = load_study(write_study(tmp_path, Plan(isoflop="yes"), fit_runs="none"))
    assert read(study) is None
