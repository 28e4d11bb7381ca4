"""The interval that a study would buy, before it is run: simulated studies of known truth.

The planned runs meet a mixture of truths: a law with its constants, a bend, a break, noise that
grows, and the seed noise of every run. Each simulated study is fitted, rolled forward and asked for
the targets as a real one is. Coverage is the share of new runs at the target that lie inside. The
runs are those of study.json (`windtunnel run STUDY --dry-run --plan` writes it), or the rows of any
table with parameters and tokens.

  windtunnel simulate runs/quickstart --studies 3
  windtunnel simulate table.csv --params n --tokens d --at params=7B,tokens=140B \\
      --truth chinchilla:besiroglu2024 --studies 5
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from analysis.cli._at import add_at, points
from analysis.cli._table_options import TableSource, add_columns, add_source, choose, law_named
from analysis.cli._truths import HEAD, KEYS, add_truths, row, sources
from scaling.common.answers import Answer, Line, Note, Rows
from scaling.common.errors import UserError

if TYPE_CHECKING:
    from analysis.inference.designs.simulate import Ladder
    from analysis.tables.points import Array
    from scaling.laws import Law

PLAN = "`windtunnel run STUDY --dry-run --plan` writes the plan of a study"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_source(parser)
    add_at(parser, "params=N,tokens=D")
    add_truths(parser, studies=100)
    add_columns(parser)


def run(options: argparse.Namespace) -> Answer:
    """Simulate the study under each kind of truth."""
    from analysis.inference.designs.simulate import simulate
    from analysis.inference.designs.truths import KINDS, truths

    source = choose(read_plan(options.path), options)
    law = law_named(options.law or source.law, {})
    ladder = ladder_of(source, law)
    aims = _targets(options, source, law)
    found, noise = sources(options, law, source)
    reach = float((6 * aims["params"] * aims["tokens"]).max() / ladder.compute.max())
    yield Line(
        "{runs} runs of {flops} FLOPs in all, {targets} target(s), {reach} times the largest run; "
        "{law} is fitted, run noise {noise}",
        runs=len(ladder),
        flops=float(ladder.compute.sum()),
        targets=len(aims["params"]),
        reach=reach,
        law=law.name,
        noise=float(noise),
    )
    yield Line("truths about {truths}", truths=", ".join(each.name for each in found))
    rows = []
    for kind in KINDS:
        options.progress(f"simulating {options.studies} studies: {kind}")
        drawn = truths(
            kind, found, ladder.variables, aims, noise, options.studies, seed=options.seed
        )
        rows.append(row(simulate(ladder, aims, drawn, options.bootstrap, options.seed)))
    yield Rows("outcomes", HEAD, rows, above="\n", keys=KEYS)
    yield Note("interval and error of a new run at the target, in log loss; nominal coverage 95 %")
    return 0


def read_plan(path: str) -> TableSource:
    """The runs of a plan, or rows; held-out runs keep their column `part`."""
    from analysis.cli._table_options import open_source

    try:
        return open_source(path)
    except UserError as error:
        raise UserError(f"{error}; {PLAN}") from error


def ladder_of(source: TableSource, law: Law) -> Ladder:
    """The runs to fit.

    Raises:
        UserError: the law is not of params and tokens, or a column is missing.
    """
    from analysis.inference.designs.simulate import Ladder

    check_law(law)
    table = source.table
    if "part" in table:
        table = table[table["part"] == "fit"]
    rung = table["rung"].to_numpy(int) if "rung" in table else None
    return Ladder(law, _numbers(source, table), rung)


def check_law(law: Law) -> None:
    """Refuse a law of other variables than params and tokens."""
    if set(law.variables) != {"params", "tokens"}:
        raise UserError(
            f"law '{law.name}' is of {', '.join(law.variables)}: a design needs one of params and "
            "tokens, such as chinchilla"
        )


def _numbers(source: TableSource, table: object) -> dict[str, Array]:
    from analysis.tables.columns import numbers, row_labels

    labels = row_labels(table)  # type: ignore[arg-type]
    named = {"params": source.params, "tokens": source.tokens}
    return {name: numbers(table, column, labels) for name, column in named.items()}  # type: ignore[arg-type]


def _targets(options: argparse.Namespace, source: TableSource, law: Law) -> Mapping[str, Array]:
    """The points of --at, or the held-out runs of the plan, each once."""
    import numpy as np

    if options.at:
        asked = points(options.at, law.variables)
        return {name: np.array([each[name] for each in asked]) for name in law.variables}
    table = source.table
    held = table[table["part"] == "held_out"] if "part" in table else table.iloc[:0]
    if not len(held):
        raise UserError(f"{options.path}: no run is held out; give --at params=N,tokens=D")
    found = np.unique(np.stack(list(_numbers(source, held).values())), axis=1)
    return dict(zip(("params", "tokens"), found, strict=True))
