"""The designed ladder beside the geometric one and the quickstart, at the quickstart's cost.

    python benchmarks/designs.py --studies 100

Truths are drawn about a law per byte that passes near the quickstart's own held-out loss, with run
noise of 0.4 %. The design sees other truths than the comparison. Sizes are those of real widths,
no run has fewer than 900 steps or more compute than the quickstart's largest, as the study says.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from analysis.inference.designs.search import Space, geometric, search
from analysis.inference.designs.simulate import Ladder, simulate
from analysis.inference.designs.truths import KINDS, published, truths
from experiments.studies import quickstart
from models.shapes import plain
from scaling import laws
from scaling.common.tables import table
from scaling.counting.formulas import params_total
from scaling.designs import fixed_ratios
from scaling.laws import Convention, Published

TRUTH = {"E": 0.35, "A": 25.0, "B": 60.0, "alpha": 0.36, "beta": 0.29}
NOISE = 0.004
WIDTHS = (16, 24, 32, 40, 48)
LEAST_TOKENS = 900 * 4 * quickstart.CONTEXT
RATIOS = (25, 30, 45, 60, 80, 110, 145)


def size(width: int) -> int:
    return params_total(plain(width, layers=2, head_dim=8).dims(quickstart.CONTEXT))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument("--bootstrap", type=int, default=100)
    options = parser.parse_args()
    law = laws.chinchilla
    source = published(law, Published("own", TRUTH, Convention("", "", ""), "", "this file"))
    sizes = [size(width) for width in quickstart.WIDTHS]
    points = fixed_ratios(sizes, quickstart.RATIOS)
    shipped = Ladder(
        law,
        {
            "params": np.array([sizes[point.size] for point in points], float),
            "tokens": np.array([point.tokens for point in points], float),
        },
        np.array([point.rung for point in points]),
    )
    width, ratio = quickstart.HELD_OUT
    target = {"params": float(size(width)), "tokens": float(ratio * size(width))}
    aims = {name: np.array([value]) for name, value in target.items()}
    budget, largest = float(shipped.compute.sum()), float(shipped.compute.max())
    space = Space(np.array([size(w) for w in WIDTHS], float), np.array(RATIOS, float), LEAST_TOKENS)
    start = time.process_time()
    made = search(law, space, target, budget, [source], NOISE, largest)
    print(f"search: {time.process_time() - start:.1f} s of CPU")
    for rung in made.rungs:
        runs = ", ".join(f"{tokens / rung.params:.0f} x{seeds}" for tokens, seeds in rung.runs)
        print(f"  N {rung.params:.0f}: tokens per parameter {runs}")
    ladders = {
        "shipped": shipped,
        "geometric": geometric(law, space, budget, largest),
        "designed": made.best.ladder,
    }
    rows = []
    for name, ladder in ladders.items():
        for kind in KINDS:
            start = time.process_time()
            drawn = truths(kind, [source], ladder.variables, aims, NOISE, options.studies, seed=999)
            found = simulate(ladder, aims, drawn, options.bootstrap, seed=999)
            spent = time.process_time() - start
            rows.append(
                (
                    name,
                    f"{len(ladder)}",
                    f"{ladder.compute.sum():.3g}",
                    kind,
                    f"{100 * np.median(found.width):.2f}",
                    f"{100 * np.abs(found.error).mean():.2f}",
                    f"{100 * found.coverage:.0f} +- {100 * found.coverage_se:.0f}",
                    f"{100 * found.score:.2f}",
                    f"{spent:.0f}",
                )
            )
    head = (
        "ladder",
        "runs",
        "FLOPs",
        "truth",
        "half-width %",
        "|error| %",
        "covers %",
        "score",
        "s",
    )
    print(table(head, rows))


if __name__ == "__main__":
    main()
