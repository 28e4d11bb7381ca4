"""Time the global fit of the Chinchilla form and its bootstrap, beside the usual ways, on one core.

    WINDTUNNEL_DATA=../shared/data taskset -c 0 python benchmarks/fit.py

The 240 points of Besiroglu et al. (245 less the 5 highest losses), Huber 1e-3 on log residuals. All
methods fit the same resamples; slow ones fit a sample, and their time is scaled. The last column is
the excess of the worst resample over its best end from many starts.
"""

from __future__ import annotations

import argparse
import os

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
for _variable in THREADS:  # before NumPy is imported
    os.environ[_variable] = "1"

import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from itertools import product  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from scipy.optimize import least_squares, minimize  # noqa: E402

from analysis.datasets import load  # noqa: E402
from analysis.fitting.bootstrap import resample_weights  # noqa: E402
from analysis.fitting.fit import fit  # noqa: E402
from analysis.fitting.solvers.additive import Problem, scan  # noqa: E402
from analysis.fitting.solvers.newton import CONTINUATION, Array, newton  # noqa: E402
from scaling import laws  # noqa: E402

DELTA, DROP = 1e-3, 5
CELLS, OTHERS = 6, 6  # starts of the reference: cells of the scan, and ends of other resamples
COLD = """
from analysis.datasets import load
from analysis.fitting.fit import fit
from scaling import laws
fit(laws.chinchilla, load("chinchilla_epoch"), drop_highest={drop}, bootstrap={resamples})
"""


def reference(problem: Problem, weights: Array, best: Array) -> Array:
    """The least objective of every resample over many starts, most also by continuation."""
    cells = scan(problem, weights, CELLS)
    starts = [np.repeat(best[None], len(weights), axis=0), *cells.transpose(1, 0, 2)]
    ends = [newton(problem, weights, start, DELTA) for start in starts]
    for start in starts[:4]:
        for wider in CONTINUATION:
            if wider > DELTA:
                start = newton(problem, weights, start, wider).theta
        ends.append(newton(problem, weights, start, DELTA))
    rng = np.random.default_rng(1)
    for _ in range(OTHERS):
        ends.append(newton(problem, weights, rng.permutation(ends[-1].theta), DELTA))
    return np.min([end.value for end in ends], axis=0)


def seconds(action: Callable[[], object], rounds: int) -> float:
    """The median over the rounds."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        action()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def cold(resamples: int) -> None:
    code = COLD.format(drop=DROP, resamples=resamples)
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def trust_region(centred: Array, y: Array, counts: Array, start: Array) -> float:
    """The final objective of SciPy's least_squares with the derivative, on (E, a, b, alpha, beta).

    Rows repeat as drawn; residuals are in units of delta.
    """
    drawn = np.repeat(np.arange(y.size), counts.astype(int))
    (log_n, log_d), log_loss = centred[:, drawn], y[drawn]

    def terms(theta: Array) -> tuple[Array, Array, Array]:
        first, second = np.exp(theta[1] - theta[3] * log_n), np.exp(theta[2] - theta[4] * log_d)
        return first, second, theta[0] + first + second

    def residuals(theta: Array) -> Array:
        return (np.log(terms(theta)[2]) - log_loss) / DELTA

    def jacobian(theta: Array) -> Array:
        first, second, total = terms(theta)
        slopes = [np.ones_like(total), first, second, -first * log_n, -second * log_d]
        return np.stack(slopes, axis=1) / total[:, None] / DELTA

    floor = np.array([0.0, -np.inf, -np.inf, 0.0, 0.0])
    end = least_squares(
        residuals, start, jacobian, bounds=(floor, np.inf), loss="huber", x_scale="jac"
    )
    return float(end.cost) * DELTA**2


def quasi_newton(logs: Array, y: Array, counts: Array, start: Array) -> float:
    """The final objective of L-BFGS-B by its defaults, without a derivative.

    The parameters are the published (a, b, e, alpha, beta), on uncentred logs.
    """

    def value(theta: Array) -> float:
        a, b, e, alpha, beta = theta
        model = np.logaddexp(np.logaddexp(a - alpha * logs[0], b - beta * logs[1]), e)
        size = np.abs(model - y)
        each = np.where(size <= DELTA, size**2 / 2, DELTA * (size - DELTA / 2))
        return float(np.sum(counts * each))

    return float(minimize(value, start, method="L-BFGS-B").fun)


def published_grid() -> Array:
    """The 4,500 starts of the replication."""
    fives, halves = np.arange(0, 30, 5.0), np.arange(0, 2.5, 0.5)
    return np.array(list(product(fives, fives, np.arange(-1, 1.5, 0.5), halves, halves)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--resamples", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5, help="of our fit; the median is printed")
    parser.add_argument("--sample", type=int, default=200, help="resamples that the others fit")
    parser.add_argument("--starts", type=int, default=100, help="of the 4,500 of the published way")
    args = parser.parse_args()

    table = load("chinchilla_epoch")
    result = fit(laws.chinchilla, table, drop_highest=DROP)
    logs, y = result.points.log_x, np.log(result.points.loss)
    centre = logs.mean(axis=1)
    problem = Problem(logs - centre[:, None], y, 1, DELTA)
    counts = resample_weights("pairs", np.arange(y.size), args.resamples, 0, 5)
    values = np.array([result.estimates[name] for name in laws.chinchilla.parameters])
    raw = np.array([*np.log(values[[1, 2, 0]]), *values[3:]])
    best = np.array([values[0] / problem.scale, *(raw[:2] - raw[3:] * centre), *raw[3:]])
    least = reference(problem, counts, best)

    def row(way: str, taken: float, on: str, ends: Array) -> None:
        excess = float((ends / least[: len(ends)] - 1).max())
        print(f"{way:44s} {taken:9.2f} s  {on:24s} {excess:9.1e}")

    print(f"{y.size} points, {args.resamples} resamples, NumPy {np.__version__}, one core")
    print(f"{'':44s} {'fit + bootstrap':>11s}  {'timed on':17s} worst excess")
    ours = result.engine(counts, 1, values).objective

    def warm() -> None:
        fit(laws.chinchilla, table, drop_highest=DROP, bootstrap=args.resamples)

    free = seconds(warm, args.rounds)
    row("this fitter, warm", free, "all", ours)

    def held() -> None:
        law = laws.chinchilla.given(E=float(values[0]))
        fit(law, table, drop_highest=DROP, bootstrap=args.resamples)

    taken = seconds(held, args.rounds)
    print(f"{'this fitter, E held, warm':44s} {taken:9.2f} s  {taken / free:.2f} of all free")
    taken = seconds(lambda: cold(args.resamples), args.rounds)
    row("this fitter, cold (python -c, with imports)", taken, "all", ours)

    some, share = counts[: args.sample], args.resamples / args.sample
    start = time.perf_counter()
    guess = np.array([values[0], *best[1:]])
    ends = np.array([trust_region(problem.z, y, each, guess) for each in some])
    taken = (time.perf_counter() - start) * share
    row("SciPy least_squares, from the best fit", taken, f"{len(some)} resamples, scaled", ends)

    grid = published_grid()
    chosen = np.random.default_rng(0).permutation(grid)[: args.starts]
    start = time.perf_counter()
    for each in chosen:
        quasi_newton(logs, y, np.ones(y.size), each)
    whole_grid = (time.perf_counter() - start) * len(grid) / len(chosen)
    start = time.perf_counter()
    ends = np.array([quasi_newton(logs, y, each, raw) for each in some])
    taken = (time.perf_counter() - start) * share
    row("L-BFGS-B, from the best fit", taken, f"{len(some)} resamples, scaled", ends)
    way = f"L-BFGS-B, with its {len(grid)} starts first"
    row(way, whole_grid + taken, f"{len(chosen)} starts, scaled", ends)


if __name__ == "__main__":
    main()
