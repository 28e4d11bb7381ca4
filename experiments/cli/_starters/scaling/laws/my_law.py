"""A law of loss: change the form, its terms and its source.

    windtunnel laws my_law
    windtunnel fit table.csv --law my_law --params n --tokens d

A term is coefficient / variable^exponent. `scaling/laws/kaplan.py` has a law with a formula of its
own, `scaling/laws/chinchilla.py` one with published constants.
"""

from __future__ import annotations

from scaling.laws._law import Term, additive

LAW = additive(
    "my_law",
    form="L(N, D) = E + A / N^alpha + B / D^beta",
    units="N parameters, D tokens, L and E in the unit of the loss column",
    source="of my own",
    constant="E",
    terms=(Term("params", "A", "alpha"), Term("tokens", "B", "beta")),
)
