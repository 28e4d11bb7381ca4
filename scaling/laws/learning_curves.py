"""Forms of learning curves beyond one power law. Judge them by extrapolation, not by their fit.

    M1    eps = beta x^-c                                          `power_law_no_offset`
    M2    eps = eps_inf + beta x^-c                                `power_law`
    M3    eps = beta (1/x + gamma)^c                               `shifted_power_law`
    M4    (eps - eps_inf) / (eps_0 - eps)^alpha = beta x^-c        `sigmoidal_power_law`
    BNSL  eps = a + b x^-c0 prod_i (1 + (x/d_i)^(1/f_i))^(-c_i f_i)  `bnsl`
    PPL   a quadratic of ln eps in ln x, then a power law          `quadratic_then_power_law`
    and   one power law up to a horizon, another beyond it         `two_power_laws`

c > 0 falls throughout (the papers of M1 to M4 write the exponent as c < 0). Breaks lie among the
rows, or in a range of x, `within`. BNSL alone, and a quadratic, can turn up again.

AICc counts the place of a break of BNSL as three constants, and a horizon as two. A break that is
not there has no place, so the search finds the one that fits most noise. Along 40 rows with normal
noise, to first order, one more break takes up the noise of 4.7 constants beside one break and of
5.5 beside two; c and f are two of these. A horizon and a slope take that of 3.0, the end of a
quadratic and its q that of 2.0. Ninomiya 2015 counts three for the place of a jump.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scaling.common.errors import UserError
from scaling.laws._law import (
    Formula,
    Law,
    Parameter,
    amplitude,
    exponent,
    offset,
    positive,
    real,
)

HALLEY_STEPS = 3  # in M4: exact to 1e-12 for alpha from 0.05 to 6
FLAT = 700.0  # e^-u stays finite; eps is eps_inf long before
_M = "Alabdulmohsin et al. 2022, arXiv 2209.06640"


def _shifted(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    return p["beta"] * xp.exp(p["c"] * xp.logaddexp(-xp.log(x["x"]), xp.log(p["gamma"])))


shifted_power_law = Law(
    name="shifted_power_law",
    form="L(x) = beta (1/x + gamma)^c",
    variables=("x",),
    space=(
        amplitude("beta"),
        positive("gamma", 1e-12, 1e-9, 1e-6, 1e-4, 1e-2),
        exponent("c"),
    ),
    formula=_shifted,
    units="x as its column says; L in the unit of the loss column",
    source=f"{_M}, M3",
)


def _sigmoidal(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    """eps = eps_inf + (eps_0 - eps_inf) / (1 + e^-u) turns the equation into

        g(u) = u + (alpha - 1) ln(1 + e^u) = tau,
        tau = ln beta - c ln x - (1 - alpha) ln(eps_0 - eps_inf).

    g rises, with a slope between 1 and alpha, so it has one root. Halley's steps start at the root
    of u + (alpha - 1) max(u, 0). It is at most ln 2 |alpha - 1| / min(1, alpha) away.
    """
    alpha, span = p["alpha"], p["eps_0"] - p["eps_inf"]
    tau = xp.log(p["beta"]) - p["c"] * xp.log(x["x"]) - (1 - alpha) * xp.log(span)
    tau = xp.maximum(tau, -FLAT)
    u = xp.where(tau > 0, tau / alpha, tau)
    for _ in range(HALLEY_STEPS):
        against = xp.exp(-u)
        share = 1 / (1 + against)
        g = u + (alpha - 1) * (u + xp.log1p(against)) - tau
        slope = 1 + (alpha - 1) * share
        bend = (alpha - 1) * share * (1 - share)
        u = u - g * slope / (slope**2 - g * bend / 2)
    return p["eps_inf"] + span / (1 + xp.exp(-u))


def _of_beta(xp: Any, p: Mapping[str, Any], middle: Mapping[str, Any]) -> Any:
    """beta where eps - eps_inf is the middle loss at the middle of the rows, far below eps_0: in
    it, rows fix beta whatever alpha and eps_0 are."""
    far = p["c"] * xp.log(middle["x"]) - p["alpha"] * xp.log(p["eps_0"] - p["eps_inf"])
    return middle["loss"] * xp.exp(far)


sigmoidal_power_law = Law(
    name="sigmoidal_power_law",
    form="(L - eps_inf) / (eps_0 - L)^alpha = beta x^-c",
    variables=("x",),
    space=(
        real("eps_inf", low=0.0, within=("loss", 0.0, 1.0)),
        positive("eps_0", within=("loss", 1.0, 10.0)),
        real("alpha", 0.3, 2.0, low=0.05, high=6.0),
        positive("beta", 0.1, 3.0, unit=_of_beta),
        exponent("c"),
    ),
    formula=_sigmoidal,
    units="x as its column says; eps_inf and eps_0 (the level of chance) in the unit of L",
    source=f"{_M}, M4",
)


def bnsl(breaks: int = 1, within: tuple[float, float] | None = None) -> Law:
    """A power law that breaks smoothly `breaks` times: eps ~ x^-c0, then x^-(c0 + c1), and so on.

    d_i is the place of break i, and f_i its width: it spans about a factor exp(4 f_i). c_i < 0
    turns the curve up.
    """
    if breaks < 1:
        raise UserError(f"bnsl(breaks={breaks}): at least one break; else use power_law")
    numbers = range(1, breaks + 1)

    def shape(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
        log_x = xp.log(x["x"])
        log_y = -p["c0"] * log_x
        for i in numbers:
            width = p[f"f{i}"]
            past = xp.logaddexp(0.0, (log_x - xp.log(p[f"d{i}"])) / width)
            log_y = log_y - p[f"c{i}"] * width * past
        return xp.exp(log_y)

    def formula(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
        return p["a"] + p["b"] * shape(xp, p, x)

    each = [
        (
            real(f"c{i}", 0.3, 1.0, -0.3, low=-10, high=10),
            _place(f"d{i}", within, i, breaks, counted=3),
            positive(f"f{i}", 0.1, 0.5, low=0.02, high=5.0),
        )
        for i in numbers
    ]
    return Law(
        name="bnsl" if breaks == 1 else f"bnsl_{breaks}",
        form="L(x) = a + b x^-c0 prod_i (1 + (x/d_i)^(1/f_i))^(-c_i f_i)",
        variables=("x",),
        space=(
            offset("a"),
            amplitude("b", unit=_in_the_middle(shape)),
            real("c0", 0.05, 0.4, low=-10, high=10),
            *(parameter for group in each for parameter in group),
        ),
        formula=formula,
        units="x and d_i as the column of x says; L and a in the unit of the loss column",
        source="Caballero et al. 2023, arXiv 2210.14891",
    )


def two_power_laws(within: tuple[float, float] | None = None) -> Law:
    """eps = A (x/h)^-alpha up to the horizon h, and A (x/h)^-beta beyond: continuous at h."""

    def shape(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
        z = xp.log(x["x"]) - xp.log(p["h"])
        return xp.exp(-p["alpha"] * xp.minimum(z, 0.0) - p["beta"] * xp.maximum(z, 0.0))

    def formula(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
        return p["A"] * shape(xp, p, x)

    return Law(
        name="two_power_laws",
        form="L(x) = A (x/h)^-alpha for x < h, A (x/h)^-beta beyond",
        variables=("x",),
        space=(
            amplitude("A", unit=_in_the_middle(shape)),
            _place("h", within, counted=2),
            real("alpha", 0.05, 0.3),
            real("beta", 0.05, 0.3),
        ),
        formula=formula,
        units="x and h as the column of x says; A, the loss at h, in the unit of the loss column",
        source="a piecewise power law; the form of this package",
    )


def quadratic_then_power_law(within: tuple[float, float] | None = None) -> Law:
    """ln eps = ln A - alpha z + q min(z, 0)^2, z = ln(x / n): a quadratic in ln x up to n, and
    beyond it the power law that continues its value and slope.

    The idea of PPL; the parameters that its authors chose were not found, so these are our own.
    """

    def shape(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
        z = xp.log(x["x"]) - xp.log(p["n"])
        return xp.exp(-p["alpha"] * z + p["q"] * xp.minimum(z, 0.0) ** 2)

    def formula(xp: Any, p: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
        return p["A"] * shape(xp, p, x)

    return Law(
        name="quadratic_then_power_law",
        form="ln L = ln A - alpha z + q min(z, 0)^2, z = ln(x/n)",
        variables=("x",),
        space=(
            amplitude("A", unit=_in_the_middle(shape)),
            _place("n", within),
            real("alpha", 0.05, 0.3, 1.0),
            real("q", -0.1, -0.01, 0.01, 0.1),
        ),
        formula=formula,
        units="x and n as the column of x says; A, the loss at n, in the unit of the loss column",
        source="after Jain et al. 2023 (PPL), with our own parameters",
    )


def _in_the_middle(shape: Formula) -> Formula:
    """The unit of a factor of this shape, in which it is the value in the middle of the rows."""
    return lambda xp, p, middle: 1 / shape(xp, p, middle)


def _place(
    name: str,
    within: tuple[float, float] | None,
    part: int = 1,
    parts: int = 1,
    counted: int = 1,
) -> Parameter:
    """The place of a break: in a range of x, or else among the rows. Searches begin in its part."""
    if within is None:
        shares = (part - 0.99) / parts, part / parts
        return positive(name, shares, within=("x", 1.0, 1.0), counted=counted)
    if not 0 < within[0] < within[1] < np.inf:
        raise UserError(f"within={within}: give the least and the largest x, both positive")
    low, high = np.geomspace(*within, parts + 1)[part - 1 : part + 1]
    least, most = within[0] * (1 - 1e-9), within[1] * (1 + 1e-9)
    return positive(name, low, high, low=least, high=most, counted=counted)


ONE_BREAK, TWO_BREAKS, THREE_BREAKS = bnsl(1), bnsl(2), bnsl(3)
TWO_POWERS = two_power_laws()
QUADRATIC_FIRST = quadratic_then_power_law()
