"""The arms of a study at equal bills of tuning: `compare --equal-tuning`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any

from analysis.cli._families import of_labels
from analysis.cli._plot import plot
from analysis.cli._table_options import TableSource, read, refuse_idle
from scaling.common.answers import AnswerPart, Estimate, Note, Rows, Shown
from scaling.common.errors import UserError

if TYPE_CHECKING:
    from analysis.inference.budgets.equal_tuning import Search

COSTS = ("flops_model", "flops_6nd")  # the first that all rows have
READ = ("where", "loss", "params", "tokens")
OF_LAWS = ("law", "against", "over", "below", "at")
IDLE = "compare --equal-tuning fits no law: leave out"
LUCK = (
    "the median over orders of search, and 95 % of them; chosen and told on the same runs, so that "
    "with noise between seeds it is low by luck"
)


def compare(options: argparse.Namespace) -> Iterator[AnswerPart]:
    """A row for each bill: the best loss of every arm, and the arm that is likeliest lowest.

    Raises:
        UserError: fewer than two labels, or the rows of a label are of several sizes or tokens.
    """
    from analysis.inference.budgets.equal_tuning import bills, flipped, lowest

    refuse_idle(options, IDLE, READ)
    for name in OF_LAWS:
        if getattr(options, name):
            raise UserError(f"{IDLE} --{name}")
    source = read(options.path, options)
    cost = next((name for name in COSTS if name in source.table), None)
    if cost is None:
        raise UserError(
            f"compare {options.path}: --equal-tuning needs a column {COSTS[0]}, or parameters and "
            "tokens"
        )
    arms, notes = _arms(of_labels(source, options), cost)
    searches = list(arms.values())
    every = [float(bill) for bill in bills(searches)]
    rows = []
    for bill in every:
        won = lowest(searches, bill)
        best = [Estimate(*each.best(bill)) for each in searches]
        chance = Shown.of(float(won.max()), ".0%")
        rows.append((bill, *best, list(arms)[won.argmax()], chance))
    yield Rows("equal_tuning", (f"{cost} spent", *arms, "lowest", "of orders"), rows, left=())
    yield Note(f"{source.loss}: {LUCK}")
    yield from map(Note, notes)
    turned = [
        " and ".join(pair)
        for pair in combinations(arms, 2)
        if flipped(arms[pair[0]], arms[pair[1]], every[0], every[-1])
    ]
    pairs = len(arms) * (len(arms) - 1) // 2
    told = f" ({', '.join(turned)})" if turned else ""
    yield Note(f"from the first bill to the last {len(turned)} of {pairs} pairs change order{told}")
    yield from plot(options, lambda: _draw(arms, cost, source.loss))


def _arms(
    families: Mapping[str, TableSource], cost: str
) -> tuple[dict[str, Search], dict[str, None]]:
    """The search of each label, and notes."""
    import numpy as np

    from analysis.inference.budgets.equal_tuning import Search
    from analysis.tables.columns import numeric
    from analysis.tables.population import diverged, kept

    found: dict[str, Search] = {}
    notes: dict[str, None] = {}
    for name, arm in families.items():
        lost = diverged(arm.table, arm.loss)
        rows, said = kept(arm.table[~lost], arm.loss, apart=("label",))
        for column in (arm.params, arm.tokens):
            if column in rows and rows[column].nunique() > 1:
                raise UserError(
                    f"compare --equal-tuning: {name} has {rows[column].nunique()} values of "
                    f"{column}; choose one search: --where '{column}=={rows[column].max():g}'"
                )
        losses = np.append(numeric(rows[arm.loss]), np.full(lost.sum(), np.inf))
        found[name] = Search.of(losses, numeric(rows[cost]))
        paid = f", {lost.sum()} of them diverged: paid for, and nothing found" if lost.any() else ""
        notes[f"{name}: {losses.size} trials of {found[name].cost:.3g} {cost}{paid}"] = None
        notes.update(dict.fromkeys(said))
    return found, notes


def _draw(arms: Mapping[str, Search], cost: str, loss: str) -> Any:
    """The best loss by what was spent: a line and a band for each arm."""
    import numpy as np

    from analysis.plotting.labels import label
    from analysis.plotting.style import band, house_style, log_ticks, panels, rung_style

    with house_style():
        figure = panels(1)
        axes = figure.axes[0]
        drawn = []
        for place, (name, search) in enumerate(arms.items()):
            spent = search.cost * np.arange(1, search.losses.size + 1)
            ends = np.array([search.best(float(each)) for each in spent])
            found, look = np.isfinite(ends[:, 0]), rung_style(place, len(arms))
            axes.plot(spent[found], ends[found, 0], label=name, **look)
            drawn.append((spent[found], ends[found].T, look["color"]))
        for x, orders, color in drawn:  # once the lines have set the axes
            band(axes, x, orders, color=color)
        axes.set(
            xscale="log", xlabel=f"spent on tuning, {label(cost)}", ylabel=f"best {label(loss)}"
        )
        log_ticks(axes.xaxis, *axes.get_xlim())
        axes.legend()
    return figure
