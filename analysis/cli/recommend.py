"""Learning rate, batch and weight decay of a run by every published law, side by side.

Each value is in the same units, with its place in the law's range and the law's assumptions. The
spread of the laws follows. Your own fits (save_law) stand beside the published laws. Of a mixture
of experts (--params-active) a law of N is asked by its total and by its active parameters; the
table says which its authors count.

  windtunnel recommend --params 1e9 --tokens 1e11
  windtunnel recommend --params 1.3e9 --params-nonembedding 1.2e9 --tokens 1e11
  windtunnel recommend --params 1e9 --tokens 1e11 --tuned lr=3e-4 --tuned tokens=1e10
  windtunnel recommend --params 1e9 --tokens 1e11 --fit law.json
  windtunnel recommend --params 7e9 --params-active 1e9 --tokens 1e12 --experts total
"""

from __future__ import annotations

import argparse

from analysis.cli._table_options import named, pairs
from scaling.common import quantities
from scaling.common.answers import Answer, Whole
from scaling.common.quantities import number
from scaling.hyperparameters.given import GIVEN, TUNED

OPTIONS = {"params_total": "--params"}  # the others have their own name


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    for name, meaning in GIVEN.items():
        if not name.startswith(TUNED):
            needed = name in ("params_total", "tokens")
            parser.add_argument(
                option(name),
                dest=name,
                type=number,
                required=needed,
                metavar="X",
                help=meaning,
            )
    tuned = ", ".join(name.removeprefix(TUNED) for name in GIVEN if name.startswith(TUNED))
    parser.add_argument(
        "--tuned",
        action="append",
        default=[],
        metavar="NAME=X",
        help=f"of a tuned run, for laws that move its values: {tuned}",
    )
    parser.add_argument(
        "--experts",
        default="both",
        help="the N of published laws for a mixture of experts: total, active or both (default)",
    )
    parser.add_argument(
        "--fit", action="append", default=[], metavar="FILE", help="a law that save_law wrote"
    )


def option(name: str) -> str:
    """The option that gives a quantity."""
    return OPTIONS.get(name, f"--{name.replace('_', '-')}")


def run(options: argparse.Namespace) -> Answer:
    """Ask the laws and print."""
    from analysis.hyperparameters.recommend import recommend

    stated = vars(options)
    given = {name: stated[name] for name in GIVEN if stated.get(name) is not None}
    found = recommend(fits=options.fit, experts=options.experts, **given, **_tuned(options.tuned))
    yield Whole(found.to_json(), str(found))
    return 0


def _tuned(texts: list[str]) -> dict[str, float]:
    return {
        f"{TUNED}{name}": named("--tuned", name, value, quantities.number)
        for name, value in pairs("--tuned", texts).items()
    }
