"""The interval of a new run beyond the fitted rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from anybody import ladder

from analysis import fit
from analysis.fitting.prediction import extrapolation
from analysis.fitting.prediction.extrapolation import posterior
from analysis.fitting.prediction.reach import trend
from analysis.fitting.prediction.roll import Origin
from scaling import laws
from scaling.common.errors import UserError

FAR = {"params": 1e10, "tokens": 2e11}
TREND = 0.06  # fall of ln L per e-fold


def origin(rung: int, errors: float) -> Origin:
    """One whose errors are this many times the size that the prior expects."""
    distance, sd = np.array([0.5, 1.0]), 0.005
    size = np.sqrt(2 * sd**2 + (extrapolation.TAU * TREND * distance) ** 2)
    signs = np.array([1, -1])
    return Origin(rung, 10, ("a", "b"), np.array([rung, rung + 1]), np.ones(2),
                  errors * signs * size, distance, np.full(2, sd), sd, TREND)  # fmt: skip


def half_width(origins: list[Origin]) -> float:
    found = posterior(origins, TREND).at(np.array(0.004), 0.004, np.array(2.0), 0.95, 20)
    return float(found.half_width())


def test_fewer_rungs_never_narrow_it():
    widths = [half_width([origin(at, 1.0) for at in range(count)]) for count in range(8)]
    assert (np.diff(widths) < 0).all()
    assert half_width([origin(0, 3.0)]) > widths[0], "large errors widen it"


def test_fewer_rows_never_narrow_the_interval_of_a_fit():
    """Rungs are taken off the top, then two of the five runs of each."""
    widths = []
    for count, every in ((6, 5), (4, 5), (2, 5), (2, 3)):
        rows = ladder().iloc[: 5 * count]
        said = fit(laws.chinchilla, rows[rows.index % 5 < every], bootstrap=30).predict(**FAR)
        widths.append(np.log(said.high / said.low))
    assert (np.diff(widths) > 0).all(), widths


def test_a_law_that_holds_makes_runs_no_less_noisy():
    """Inside the rows the interval is that of the residuals, however small the rolled errors."""
    found = posterior([origin(at, 0.1) for at in range(6)], TREND)
    assert found.scale < 0.6
    near = found.at(np.array(0.001), 0.004, np.array(0.0), 0.95, 25)
    assert near.half_width() == pytest.approx(2.06 * np.hypot(0.001, 0.004), rel=1e-3)
    assert near.half_width("law") == 0
    far = found.at(np.array(0.001), 0.004, np.array(2.0), 0.95, 25)
    assert far.half_width("law") < half_width([]), "but the law's error is smaller"


def test_without_a_rung_it_is_the_prior_alone():
    found = posterior([], TREND)
    assert (found.scale, found.drift, found.freedom) == (1.0, 0.0, 2.0)
    fall = 2 * TREND
    sd = np.sqrt(2 * 0.004**2 + fall**2 * (extrapolation.TAU**2 + extrapolation.DRIFT**2))
    assert half_width([]) == pytest.approx(4.303 * sd, rel=1e-3)
    few = fit(laws.chinchilla, ladder().iloc[:10], bootstrap=50)
    assert "no rung rolled" in few.predict_at({"params": 1e9, "tokens": 5e9}).contains


def test_the_posterior_is_that_of_its_model():
    """Against the normal and scaled inverse chi-square on a grid of mu and a."""
    origins = [origin(at, 1.5) for at in range(3)]
    origins = [replace(each, log_errors=each.log_errors + 0.01 * each.distance) for each in origins]
    mu, scale = np.meshgrid(np.linspace(-1, 1, 800), np.linspace(0.05, 24, 2400))
    nu, log_p = extrapolation.NU, 0.0
    log_p = -(nu + 2) * np.log(scale) - nu / (2 * scale**2)  # of a^2, and mu | a^2
    log_p = log_p - np.log(scale) - mu**2 / (2 * scale**2 * extrapolation.DRIFT**2)
    for each in origins:
        size = each.constants**2 + each.noise**2 + (extrapolation.TAU * each.fall) ** 2
        for e, fall, u, w in zip(each.log_errors, each.fall, size, each.share, strict=True):
            log_p = log_p - w * (np.log(scale) + (e - mu * fall) ** 2 / (2 * scale**2 * u))
    p = np.exp(log_p - log_p.max()) * scale  # da^2 = 2 a da
    p /= p.sum()
    found, variance = posterior(origins, TREND), float((p * scale**2).sum())
    assert found.drift == pytest.approx(float((p * mu).sum()), rel=1e-3)
    # the mean of a scaled inverse chi-square
    assert found.scale**2 * found.freedom / (found.freedom - 2) == pytest.approx(variance, rel=0.01)
    spread = float((p * (mu - found.drift) ** 2).sum())
    assert spread == pytest.approx(variance * found.drift_sd**2, rel=0.01)


def test_the_error_of_the_law_is_a_share_of_the_fall_of_the_loss():
    """Losses with half the fall in their logarithms have half the error of the law."""
    rows = ladder(noise=0.0)
    flat = rows.assign(loss=rows["loss"] ** 0.5)
    whole, half = (fit(laws.chinchilla, each).extrapolation.trend for each in (rows, flat))
    assert half == pytest.approx(whole / 2, rel=1e-9)
    assert whole == pytest.approx(0.06, abs=0.03)
    one_size = np.full(6, 1e18) * np.linspace(1, 1.1, 6)
    assert trend(one_size, np.array([2.0, 2.2, 2.1, 2.0, 2.2, 2.1])) > 0.3, "no slope is told"


def test_a_drift_is_found_removed_and_told():
    bent = fit(laws.chinchilla, ladder(bend=0.001, noise=0.0005), bootstrap=50)
    said = bent.predict(**FAR)
    law = laws.chinchilla.predict(bent.estimates, **FAR)
    assert bent.extrapolation.drift > 0 and said.value > law
    assert f"drift {100 * bent.extrapolation.drift_per_decade:+.2g} % per decade removed" in (
        said.contains
    )
    assert said.to_json()["interval"]["drift"] == pytest.approx(np.log(said.value / law))


def test_parts_add_in_squares_to_the_whole():
    said = fit(laws.chinchilla, ladder(), bootstrap=50).predict(**FAR)
    halves = [said.spread.half_width(name) for name in extrapolation.PARTS]
    assert np.log(said.high / said.value) == pytest.approx(
        np.hypot(np.hypot(*halves[:2]), halves[2])
    )
    assert list(said.to_json()["interval"]["parts"].values()) == halves
    low, high = said.interval("constants", "run noise")
    assert np.log(high / low) == pytest.approx(2 * np.hypot(*halves[:2]))
    with pytest.raises(UserError, match="name constants, run noise, law"):
        said.interval("bootstrap")


def test_without_evidence_there_is_no_interval_and_one_line():
    plain = fit(laws.chinchilla, ladder()).predict(**FAR)
    assert np.isnan(plain.low) and plain.contains == plain.without
    assert "bootstrap=1000" in plain.without and "\n" not in plain.without
    five = ladder().iloc[[0, 7, 14, 20, 27]]
    exact = fit(laws.chinchilla, five, bootstrap=50)
    assert np.isnan(exact.predict_at({"params": 1e9, "tokens": 2e10}).low)
    assert "there is no interval" in " ".join(exact.warnings)
    with pytest.raises(UserError, match="no parts of an interval"):
        plain.interval("constants")
