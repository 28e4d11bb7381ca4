"""The league of extrapolations: scores of planted numbers, the split, and the default's bars."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from paths import needs_tables
from scipy.stats import norm

from benchmarks.extrapolation import __main__ as league
from benchmarks.extrapolation.cut import CUTS, REACHES, cuts
from benchmarks.extrapolation.evidence import gather
from benchmarks.extrapolation.families import TABLES, Family, set_aside
from benchmarks.extrapolation.methods import METHODS
from benchmarks.extrapolation.score import SHORT_REACH, outcomes, summary
from benchmarks.extrapolation.synthetic import ladders
from scaling import laws


def scored(sd: float, said: float, count: int, study: str, seed: int) -> pd.DataFrame:
    """Normal errors of this sd, under an interval made for the sd `said`."""
    measured = np.random.default_rng(seed).normal(0, sd, count)
    half = np.full(count, norm.ppf(0.975) * said)
    made = outcomes(measured, np.zeros(count), -half, half)
    return pd.DataFrame({"study": study, "family": study, "method": "default", "reach": 2, **made})


def test_planted_errors_have_their_coverage_and_score():
    z, n = norm.ppf(0.975), 200_000
    right = summary(scored(0.01, 0.01, n, "a", 0), ["reach"]).iloc[0]
    least = 2 * z + 40 * 2 * (norm.pdf(z) - z * 0.025)  # mean score of the true quantiles, sd 1
    assert right["covers"] == pytest.approx(95, abs=0.3)
    assert right["width"] == pytest.approx(2 * z, rel=1e-6)
    assert right["score"] == pytest.approx(least, rel=0.01)
    assert right["error"] == pytest.approx(norm.ppf(0.75), rel=0.02)
    for said in (0.007, 0.014):  # neither a narrower nor a wider interval wins
        assert summary(scored(0.01, said, n, "a", 0), ["reach"]).iloc[0]["score"] > right["score"]


def test_studies_weigh_alike_and_a_missing_interval_counts_as_missing():
    large, small = scored(0.01, 0.1, 900, "large", 1), scored(0.01, 1e-6, 10, "small", 2)
    small.loc[:4, ["covers", "width", "score"]] = np.nan
    small.loc[:4, "given"] = 0.0
    both = summary(pd.concat([large, small]), ["reach"]).iloc[0]
    assert both["covers"] == pytest.approx(50)
    assert both["given"] == pytest.approx(75)
    assert both["covers_se"] == pytest.approx(50) and both["studies"] == 2


def test_the_split_is_fixed_and_never_leaks(monkeypatch, capsys):
    assert 0.28 < np.mean([set_aside(f"study {at}") for at in range(1000)]) < 0.38
    assert set_aside("chinchilla_epoch") and not set_aside("steplaw")
    one = next(ladders(1))
    known = [Family(f"study {at}/{part}", one.law, one.rows) for at in range(30) for part in "ab"]
    monkeypatch.setattr(league, "families", lambda: known)
    seen = {look: {cut.family.study for cut in league.of_tables(look)} for look in (False, True)}
    assert seen[False] and seen[True] and not seen[False] & seen[True]
    assert seen[True] == {name for name in seen[False] | seen[True] if set_aside(name)}
    said = capsys.readouterr().out
    assert "not read here" in said and "scored here alone" in said


def test_a_cut_never_sees_the_rows_above():
    rows = pd.DataFrame({"run": map(str, range(12)), "x": 3.0 ** np.arange(12)})
    rows["loss"] = 2 + 3 * rows["x"] ** -0.3 * np.exp(0.01 * np.sin(np.arange(12)))
    family = Family("study/all", laws.power_law, rows)
    found = cuts(family)
    assert len(found) == CUTS
    for cut in found:
        assert cut.below["x"].max() < cut.above["x"].min()
        assert set(cut.above["reach"]) <= set(REACHES)
    spoilt = rows.assign(loss=rows["loss"].where(rows["x"] < found[1].above["x"].min(), 9.0))
    seen = gather(found[1])
    blind = gather(cuts(Family("study/all", laws.power_law, spoilt))[1])
    for name, method in METHODS.items():
        whole, other = method(seen), method(blind)
        assert (whole.high > whole.low).all(), name
        np.testing.assert_allclose(other.high, whole.high, err_msg=name)


@pytest.mark.slow
@needs_tables(*{table.dataset for table in TABLES})
def test_the_default_covers_what_it_says():
    """90 to 99 % at a nominal 95 %, over the studies that are not set aside and reaches up to 20;
    study by study its score is below those of the bootstrap and of the rms of rolled errors."""
    methods = ["bootstrap", "bootstrap + noise", "rolled rms", "default"]
    rows = pd.concat(league.played(league.of_tables(last_look=False), methods))
    near = rows[rows["reach"] <= SHORT_REACH].assign(all="tables")
    found = summary(near, ["all"]).loc["tables"]
    print(found.to_string())
    assert found.loc["default", "studies"] >= 9
    assert 90 <= found.loc["default", "covers"] <= 99
    assert found["relative"].idxmin() == "default"
