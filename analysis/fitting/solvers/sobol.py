"""Scrambled Sobol points: even designs over the unit cube.

    x_i = s xor V g,    g = i xor (i >> 1)

bit by bit, V the direction numbers of Joe and Kuo 2008, scrambled by a random lower triangular
matrix for each coordinate, and s a random shift. Every stretch of 2^k points fills the cube evenly.
They are the points of `scipy.stats.qmc.Sobol`, to the bit, without the import of `scipy.stats`,
which takes longer than most fits; past the table's coordinates SciPy makes them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.tables.points import Array

BITS = 30
# of each coordinate after the first: a primitive polynomial, and the first of its odd numbers
JOE_KUO = (
    (3, 1),
    (7, 1, 3),
    (11, 1, 3, 1),
    (13, 1, 1, 1),
    (19, 1, 1, 3, 3),
    (25, 1, 3, 5, 13),
    (37, 1, 1, 5, 5, 17),
    (41, 1, 1, 5, 5, 5),
    (47, 1, 1, 7, 11, 19),
    (55, 1, 1, 5, 1, 1),
    (59, 1, 1, 1, 3, 11),
    (61, 1, 3, 5, 5, 31),
    (67, 1, 3, 3, 9, 7, 49),
    (91, 1, 1, 1, 15, 21, 21),
    (97, 1, 3, 1, 13, 27, 49),
    (103, 1, 1, 1, 15, 7, 5),
    (109, 1, 3, 1, 15, 13, 25),
    (115, 1, 1, 5, 5, 19, 61),
    (131, 1, 3, 7, 11, 23, 15, 103),
)


def sobol(coordinates: int, points: int, seed: int) -> Array:
    """The first `points` of a design (points, coordinates) in [0, 1), a function of its arguments.

    The points are a power of two, at most 2^30.
    """
    if coordinates > len(JOE_KUO) + 1:
        from scipy.stats import qmc

        return np.asarray(qmc.Sobol(coordinates, rng=seed).random(points))
    (rng,) = np.random.default_rng(seed).spawn(1)
    weights = np.uint32(1) << np.arange(BITS, dtype=np.uint32)
    shift = rng.integers(2, size=(coordinates, BITS), dtype=np.uint32) @ weights
    mixed = np.tril(rng.integers(2, size=(coordinates, BITS, BITS), dtype=np.uint32))
    mixed |= np.eye(BITS, dtype=np.uint32)
    digits = np.array([_directions(each) for each in ((), *JOE_KUO)[:coordinates]])
    scrambled = mixed @ digits % 2  # the first digit of a number is that of a half
    numbers = weights[::-1] @ scrambled
    order = np.arange(points, dtype=np.uint32)
    gray = order ^ (order >> np.uint32(1))
    found = np.broadcast_to(shift, (points, coordinates)).copy()
    for bit in range(max(points - 1, 1).bit_length()):
        found ^= np.where(gray >> np.uint32(bit) & 1, numbers[:, bit, None], 0).T.astype(np.uint32)
    return found * 2.0**-BITS


def _directions(row: tuple[int, ...]) -> NDArray[np.uint32]:
    """Binary digits (BITS, BITS) of the direction numbers of a coordinate, one a column."""
    polynomial, *known = row or (1,)
    degree = len(known)
    numbers = [1] * BITS if not row else list(known)
    for at in range(len(numbers), BITS):
        value = numbers[at - degree] ^ numbers[at - degree] << degree
        for step in range(1, degree):
            if polynomial >> degree - step & 1:
                value ^= numbers[at - step] << step
        numbers.append(value)
    whole = np.array([value << BITS - 1 - at for at, value in enumerate(numbers)], np.uint32)
    places = np.arange(BITS - 1, -1, -1, dtype=np.uint32)
    return (whole >> places[:, None]) & np.uint32(1)
