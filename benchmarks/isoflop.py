"""Exponents of the released IsoFLOP profiles, by the recipe of the papers and by the default.

    WINDTUNNEL_DATA=../shared/data python benchmarks/isoflop.py

N* = G C^a and D* = H C^b with 95 % intervals, from every family of the tables isoflop_collection
and xlstm_isoflop, as Markdown. A minute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from analysis.datasets import load
from analysis.estimators.isoflop import isoflop
from scaling.common.errors import UserError
from scaling.common.tables import table

if TYPE_CHECKING:
    import pandas as pd

    from analysis.estimators.frontier import PowerLaw

RECIPES: Mapping[str, Mapping[str, Any]] = {
    "parabola, all sizes": {"curve": "parabola", "window": "all", "edge": "run"},
    "parabola, window by noise": {"curve": "parabola"},
    "skewed (default)": {},
}


def families() -> Iterator[tuple[str, pd.DataFrame, Mapping[str, str]]]:
    """Name, rows and columns of each family; the second scale of Llama 3's loss is left out."""
    collection = load("isoflop_collection")
    collection = collection[~collection["outlier"]]
    for name, rows in collection.groupby("experiment", sort=False):
        if name != "llama_3__raw_loss":
            yield str(name), rows, {"budget": "flops_budget", "flops": "flops_budget"}
    xlstm = load("xlstm_isoflop")
    xlstm = xlstm[~xlstm["diverged"]]
    for (name, context), rows in xlstm.groupby(["architecture", "context"]):
        yield f"{name}, context {context}", rows, {"budget": "budget"}


def said(law: PowerLaw) -> str:
    return "{:.3f} [{:.3f}, {:.3f}]".format(law.exponent, *law.interval())


def cell(rows: pd.DataFrame, choices: Mapping[str, Any]) -> tuple[str, str]:
    """Both exponents by one recipe, and the noise and budgets used; or the refusal."""
    try:
        found = isoflop(rows, **choices)
    except UserError as error:
        return str(error).split(":")[0], "-"
    used = f"{int(found.optima['used'].sum())} of {len(found.optima)}"
    return f"a {said(found.params)}, b {said(found.tokens)}", f"{100 * found.noise:.2f} %, {used}"


def main() -> None:
    lines = []
    for name, rows, columns in families():
        cells = [cell(rows, {**columns, **recipe}) for recipe in RECIPES.values()]
        lines.append((name, *(exponents for exponents, _ in cells), cells[-1][1]))
    head = ("runs", *RECIPES, "noise, budgets used")
    print("\n".join(table(head, lines, "markdown", left=len(head)).splitlines()))


if __name__ == "__main__":
    main()
