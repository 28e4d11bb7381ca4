"""Intervals of IsoFLOP exponents on profiles of known laws and noise: coverage, and width."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.estimators.isoflop import isoflop
from scaling import laws

LAWS: Mapping[str, Mapping[str, float]] = {
    "even": {"E": 1.7, "A": 400.0, "B": 410.0, "alpha": 0.34, "beta": 0.28},
    "steep": {"E": 1.7, "A": 1500.0, "B": 60.0, "alpha": 0.40, "beta": 0.20},
    "shallow": {"E": 1.7, "A": 60.0, "B": 3000.0, "alpha": 0.22, "beta": 0.38},
}
WIDE = np.log(8.0)  # sizes reach from 1/8 to 8 times the optimum
Z = 1.96
DRAWS = 60


@dataclass(frozen=True)
class Grid:
    """Sizes about the optimum of each budget. The middle of the sizes drifts by `drift` in ln N
    from the first budget to the last; `jitter` moves each by that share of a step."""

    budgets: int
    sizes: int
    drift: float = 0.0
    jitter: float = 0.0
    seeds: int = 1

    def table(self, law: str, rng: np.random.Generator, noise: float) -> pd.DataFrame:
        parts = []
        places = np.random.default_rng(1)  # the design is the same for every draw of the noise
        for at, flops in enumerate(np.geomspace(1e18, 1e21, self.budgets)):
            away = np.linspace(-WIDE, WIDE, self.sizes)
            away += self.drift * (at / (self.budgets - 1) - 0.5)
            away += self.jitter * (away[1] - away[0]) * places.uniform(-1, 1, self.sizes)
            size = np.repeat(best(law, flops) * np.exp(away), self.seeds)
            tokens = flops / 6 / size
            parts.append(pd.DataFrame({"params_total": size, "tokens": tokens, "flops_6nd": flops}))
        table = pd.concat(parts, ignore_index=True)
        loss = laws.chinchilla.predict(
            LAWS[law], params=table["params_total"], tokens=table["tokens"]
        )
        return table.assign(loss=loss * np.exp(noise * rng.standard_normal(len(table))))


GRIDS: Mapping[str, Grid] = {
    "4 budgets of 5": Grid(4, 5),
    "4 of 5, off centre by a factor 9": Grid(4, 5, drift=2 * np.log(3)),
    "5 of 6, uneven": Grid(5, 6, jitter=0.4),
    "6 of 8": Grid(6, 8),
    "6 of 8, off centre by a factor 9": Grid(6, 8, drift=2 * np.log(3)),
    "9 of 12, uneven": Grid(9, 12, jitter=0.4),
    "5 of 5, two seeds": Grid(5, 5, seeds=2),
}


def best(law: str, flops: float) -> float:
    return float(laws.chinchilla.optimal(LAWS[law], flops)[0])


@dataclass(frozen=True)
class Score:
    """Shares of draws whose 95 % interval holds a and N* at the last budget, the median width of
    that of a, and the root mean square error of a."""

    holds: float
    holds_size: float
    width: float
    error: float


def score(
    law: str, grid: Grid, sd: float, draws: int, bootstrap: int = 200, **choices: Any
) -> Score:
    power = LAWS[law]["beta"] / (LAWS[law]["alpha"] + LAWS[law]["beta"])
    rng, rows = np.random.default_rng(0), []
    for seed in range(draws):
        found = isoflop(grid.table(law, rng, sd), seed=seed, bootstrap=bootstrap, **choices).params
        low, high = found.interval()
        _, small, large = found.predict(1e21)
        held = low <= power <= high, small <= best(law, 1e21) <= large
        rows.append((*held, high - low, found.exponent - power))
    holds, sizes, widths, off = np.array(rows, float).T
    return Score(
        float(holds.mean()), float(sizes.mean()), float(np.median(widths)),
        float(np.sqrt(np.mean(off**2))),
    )  # fmt: skip


def test_default_intervals_hold_and_are_as_wide_as_the_error():
    """24 draws of a hard design at low noise: at least 20 hold a (0.95 less 3 standard errors), and
    the width is within 1.5 of 2 x 1.96 errors that the estimator really has. N* has a bias of a
    part of its error there: 0.87 of 60 held it, and of parabolas through all sizes few."""
    grid = GRIDS["6 of 8, off centre by a factor 9"]
    found = score("steep", grid, 0.001, 24, bootstrap=100)
    assert found.holds >= 20 / 24 and found.holds_size >= 16 / 24
    assert 2 * Z * found.error / 1.5 < found.width < 1.5 * 2 * Z * found.error
    parabolas = {"curve": "parabola", "window": "all"}
    assert score("steep", grid, 0.001, 12, bootstrap=60, **parabolas).holds_size < 0.5


def test_the_misfit_of_a_parabola_is_not_taken_for_noise():
    """Through sizes from 1/8 to 8 a parabola misses a skewed profile by 1 %, above the noise."""
    table = GRIDS["6 of 8"].table("steep", np.random.default_rng(0), 0.0005)
    found = isoflop(table, curve="parabola", window="all")
    assert 0.0003 < found.noise < 0.001
    assert any("the curves miss the runs" in each for each in found.warnings)
    narrow = isoflop(table, curve="parabola")
    assert (narrow.optima["window"] < 8).all()


def test_noise_comes_from_seeds_where_they_repeat():
    grid = Grid(5, 6, seeds=3)
    rng = np.random.default_rng(3)
    found = [isoflop(grid.table("even", rng, 0.004), bootstrap=0).noise for _ in range(5)]
    assert np.mean(found) == pytest.approx(0.004, rel=0.15)


@pytest.mark.slow
def test_coverage_and_width_of_every_design():
    """Nominal 95 %: each design holds 86 % or more (3 standard errors of 60 draws), all together
    92 to 98 %. Widths are within 1.5 of those that the errors call for, and in the median within
    1.5 of those of an oracle that knows the noise."""
    print(
        "\nlaw      design                            noise  holds a  N*   width  /error  /oracle"
    )
    held, wider = [], []
    for law, (name, grid), noise in product(LAWS, GRIDS.items(), (0.001, 0.003, 0.01)):
        found = score(law, grid, noise, DRAWS)
        oracle = score(law, grid, noise, 5, noise=noise)
        over, beside = found.width / (2 * Z * found.error), found.width / oracle.width
        print(
            f"{law:8} {name:33} {noise:5.3f}  {found.holds:6.1%} {found.holds_size:6.1%} "
            f"{found.width:.4f}  {over:5.2f}   {beside:5.2f}",
            flush=True,
        )
        held.append(found.holds)
        wider.append(beside)
        assert found.holds >= 0.86 and over < 1.5
    print(f"mean {np.mean(held):.1%}, median width beside the oracle's {np.median(wider):.2f}")
    assert 0.92 < np.mean(held) < 0.98 and np.median(wider) < 1.5
