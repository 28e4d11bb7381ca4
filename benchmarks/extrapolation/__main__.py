"""The league of extrapolations: fit the small runs of every released table, predict the large ones.

    WINDTUNNEL_DATA=../shared/data python -m benchmarks.extrapolation
    WINDTUNNEL_DATA=../shared/data python -m benchmarks.extrapolation --last-look
    WINDTUNNEL_DATA=../shared/data python -m benchmarks.extrapolation --fresh
    python -m benchmarks.extrapolation --synthetic --ladders 100
    WINDTUNNEL_DATA=../shared/data python -m benchmarks.extrapolation --curves

Every family of runs (`families`) is cut by compute (`cut`); each method (`methods`) fits the rows
below and gives an interval at those above, which are scored (`score`). A third of the studies, by a
hash of their names, is left out until the last look, which scores them alone. `--fresh` plays
runs that neither part has read. `curves` compares the laws of learning curves.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from benchmarks.extrapolation import curves
from benchmarks.extrapolation.cut import Cut, cuts
from benchmarks.extrapolation.evidence import gather
from benchmarks.extrapolation.families import FRESH, Family, families
from benchmarks.extrapolation.methods import METHODS
from benchmarks.extrapolation.score import SHORT_REACH, outcomes, report, report_studies
from benchmarks.extrapolation.synthetic import ladders
from scaling.common.errors import UserError


def played(chosen: Iterable[Cut], methods: Iterable[str]) -> Iterator[pd.DataFrame]:
    """Scored rows of every cut by every method; a cut that cannot be fitted is said and skipped."""
    for cut in chosen:
        family = cut.family
        print(f"{family.name}: rung {cut.rung}, {len(cut.below)} rows below", file=sys.stderr)
        try:
            evidence = gather(cut)
        except UserError as error:
            print(f"  no fit: {' '.join(str(error).split())[:160]}", file=sys.stderr)
            continue
        measured = np.log(cut.above["loss"].to_numpy())
        for name in methods:
            said = METHODS[name](evidence)
            yield pd.DataFrame(
                {
                    "study": family.study,
                    "family": family.name,
                    "method": name,
                    "reach": cut.above["reach"].to_numpy(),
                    "kind": family.name.split()[0],
                    "rungs": "rolled" if evidence.result.rolled else "none rolled",
                    **outcomes(measured, said.value, said.low, said.high),
                }
            )


def of_tables(last_look: bool) -> Iterator[Cut]:
    """Cuts of the studies that are set aside, or of all others."""
    known = families()
    aside = sorted({family.study for family in known if family.is_set_aside})
    shown = "scored here alone" if last_look else "not read here"
    print(f"set aside for the last look, {shown}: {', '.join(aside)}")
    yield from of_families(each for each in known if each.is_set_aside == last_look)


def of_families(known: Iterable[Family]) -> Iterator[Cut]:
    """The cuts of each; a family without one is said."""
    for family in known:
        found = cuts(family)
        if not found:
            print(f"{family.name}: no cut has more rows below than its law has constants")
        yield from found


def of_ladders(count: int) -> Iterator[Cut]:
    """The cut of each synthetic ladder below its target."""
    for family in ladders(count):
        yield from cuts(family)[-1:]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--last-look", action="store_true", help="the set-aside studies alone")
    parser.add_argument("--fresh", action="store_true", help="runs that neither part has read")
    parser.add_argument("--synthetic", action="store_true", help="random ladders of known truth")
    parser.add_argument("--ladders", type=int, default=100, help="of each kind")
    parser.add_argument("--curves", action="store_true", help="laws of learning curves")
    parser.add_argument("--laws", nargs="+", choices=curves.FORMS, default=list(curves.FORMS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--csv", help="file for every scored row")
    args = parser.parse_args()
    scored = curves.played(args.laws) if args.curves else played(_chosen(args), args.methods)
    rows = pd.concat(scored, ignore_index=True)
    if args.csv:
        rows.to_csv(args.csv, index=False)
    if args.curves:
        print(curves.report_fits(rows))
        print(curves.report_laws(rows))
    elif args.synthetic:
        print(report(rows, ["kind", "rungs"]))
    else:
        rows = rows.sort_values("reach", kind="stable")
        near = rows[rows["reach"] <= SHORT_REACH]
        print(report(near.assign(reach=f"all to {SHORT_REACH}"), ["reach"]))
        print(report(rows, ["reach"]))
        print(f"\ncoverage / score by study, at reaches up to {SHORT_REACH}\n")
        print(report_studies(rows))


def _chosen(args: argparse.Namespace) -> Iterator[Cut]:
    if args.synthetic:
        return of_ladders(args.ladders)
    return of_families(families(FRESH)) if args.fresh else of_tables(args.last_look)


if __name__ == "__main__":
    main()
