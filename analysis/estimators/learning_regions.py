"""The power-law region of a learning curve, between the plateau of chance and the irreducible part.

    ln eps = u - b clip(ln m, ln m1, ln m2),     m1 < m2, either of which may be absent

(Hestness et al. 2017, arXiv 1712.00409, figure 6). Least squares fits four shapes, a line with
neither plateau, one or both, at every pair of breaks on a fine grid. The least BIC = n ln(RSS / n)
+ P ln n chooses among them. Fit a power law without offset only to the rows between the breaks. A
curve that bends slowly, a m^-b + g, has no sharp end. Beyond its break a plateau describes the rows
better than the line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from analysis.tables.columns import Array, numbers, row_labels
from analysis.tables.points import distinct_values
from scaling.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

LEAST_SIZES = 5  # different m that separate a line from its plateaus
FEW = 4  # sizes below which a slope is unreliable
PER_GAP, MOST_BREAKS = 8, 400  # breaks tried: between two sizes, and in all
NOISE = 1e-7  # rms log residuals below this are the grid's, not the data's


class Region(StrEnum):
    """Part of a learning curve."""

    SMALL_DATA = "small data"
    POWER_LAW = "power law"
    IRREDUCIBLE = "irreducible"


@dataclass(frozen=True)
class Regions:
    """`region` of each row of the table, in its order; the breaks m1 and m2 in the unit of the
    size column (nan where absent); the exponent b of the middle; and the BIC of each shape."""

    region: NDArray[np.object_]
    start: float
    end: float
    exponent: float
    bic: dict[str, float]
    warnings: tuple[str, ...]

    def rows(self, region: Region) -> NDArray[np.bool_]:
        """True for the rows of the table in that region."""
        return np.asarray(self.region == region, dtype=bool)


@dataclass(frozen=True)
class _Shape:
    """One of the four, fitted: breaks in ln m, at the ends of the sizes where absent."""

    name: str
    parameters: int
    low: float
    high: float
    slope: float
    mean_square: float

    def bic(self, rows: int) -> float:
        fit = rows * np.log(max(self.mean_square, NOISE**2))
        return float(fit + self.parameters * np.log(rows))


def regions(table: pd.DataFrame, *, samples: str = "samples", loss: str = "loss") -> Regions:
    """Find the three regions of the curve of column `loss` against column `samples`.

    One curve: the best error at each m (the lower envelope over model sizes and settings). Raises
    UserError where there are fewer than five different m, or bad numbers.
    """
    labels = row_labels(table)
    z = np.log(numbers(table, samples, labels))
    y = np.log(numbers(table, loss, labels))
    sizes = distinct_values(z) if len(z) else z
    if len(sizes) < LEAST_SIZES:
        raise UserError(
            f"column '{samples}' holds {len(sizes)} different sizes: regions need at least "
            f"{LEAST_SIZES}"
        )
    shapes = list(_shapes(z, y, sizes))
    best = min(shapes, key=lambda shape: shape.bic(len(z)))
    region = np.full(len(z), Region.POWER_LAW, dtype=object)
    region[z < best.low] = Region.SMALL_DATA
    region[z > best.high] = Region.IRREDUCIBLE
    return Regions(
        region=region,
        start=float(np.exp(best.low)) if best.low > sizes[0] else float("nan"),
        end=float(np.exp(best.high)) if best.high < sizes[-1] else float("nan"),
        exponent=-best.slope,
        bic={shape.name: shape.bic(len(z)) for shape in shapes},
        warnings=tuple(_warnings(best, sizes)),
    )


def _shapes(z: Array, y: Array, sizes: Array) -> Iterator[_Shape]:
    count = min(MOST_BREAKS, PER_GAP * (len(sizes) - 1))
    at = np.linspace(0, len(sizes) - 1, count + 1)[1:-1]
    breaks = np.interp(at, np.arange(len(sizes)), sizes)
    for name, low, high, parameters in (
        ("power law", sizes[:1], sizes[-1:], 2),
        ("small data, power law", breaks, sizes[-1:], 3),
        ("power law, irreducible", sizes[:1], breaks, 3),
        ("small data, power law, irreducible", breaks, breaks, 4),
    ):
        starts, ends = (each.ravel() for each in np.meshgrid(low, high, indexing="ij"))
        # a middle without two sizes is a jump, not a line
        inside = np.searchsorted(sizes, ends, "right") - np.searchsorted(sizes, starts, "left")
        starts, ends = starts[inside >= 2], ends[inside >= 2]
        slope, mean_square = _clipped_lines(z, y, starts, ends)
        best = int(mean_square.argmin())
        yield _Shape(
            name,
            parameters,
            *(float(each[best]) for each in (starts, ends, slope, mean_square)),
        )


def _clipped_lines(z: Array, y: Array, starts: Array, ends: Array) -> tuple[Array, Array]:
    """Slope and mean squared residual of y on clip(z, start, end), for each pair of breaks (K,).
    Running sums over the rows (n,) take n + K steps."""
    order = np.argsort(z, kind="stable")
    middle = z.mean()
    z, y = z[order] - middle, y[order] - y.mean()
    starts, ends = starts - middle, ends - middle
    below, upto = np.searchsorted(z, starts, "left"), np.searchsorted(z, ends, "right")
    above = len(z) - upto

    def between(values: Array) -> Array:
        sums = np.concatenate([[0.0], np.cumsum(values)])
        return np.asarray(sums[upto] - sums[below])

    sums_y = np.concatenate([[0.0], np.cumsum(y)])
    mean = (below * starts + between(z) + above * ends) / len(z)
    square = (below * starts**2 + between(z**2) + above * ends**2) / len(z) - mean**2
    cross = (starts * sums_y[below] + between(z * y) - ends * sums_y[upto]) / len(z)
    return cross / square, np.mean(y**2) - cross**2 / square


def _warnings(best: _Shape, sizes: Array) -> Iterator[str]:
    inside = sizes[(sizes >= best.low) & (sizes <= best.high)]
    if best.slope >= 0:
        yield "the loss does not fall with size: this is no learning curve"
    if len(inside) < FEW:
        yield (
            f"the power-law region holds {len(inside)} sizes: too few for a slope; add sizes there"
        )
    if np.ptp(inside) < np.log(10):
        yield (
            f"the power-law region spans a factor of {np.exp(np.ptp(inside)):.3g} in size: "
            "a slope needs about ten"
        )
