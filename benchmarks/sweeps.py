"""Tokens per second of a sweep, by how its runs share the machine, in alternating rounds.

    python benchmarks/sweeps.py                                      # three sizes, 2 and 4 members
    python benchmarks/sweeps.py --sizes 1M 5M 20M --members 4 16 64  # on an accelerator

    stepwise    one run after the other, one step per dispatch
    solo        one run after the other, --steps steps per dispatch: the others' denominator
    together K    K runs in one program
    processes   one run in each of --processes processes at once, each on a separate core (CPU)

All columns train the same recipe on the same batches; tokens are those of all runs together.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

SIZES = {"30k": (32, 2), "300k": (96, 3), "1M": (144, 4), "5M": (256, 6), "20M": (512, 6)}
HEAD_DIM = 16
Round = Callable[[float], float]  # least seconds of work -> tokens per second


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["30k", "300k", "1M"])
    parser.add_argument(
        "--members", nargs="+", type=int, default=[2, 4], help="K of the populations"
    )
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seq-len", type=int, default=128)
    parser.add_argument("--sequences", type=int, default=8)
    parser.add_argument("--steps", type=int, default=16, help="of one dispatch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one timed round")
    return parser.parse_args()


def config(size: str, args: argparse.Namespace) -> Any:
    from experiments.config.run import BatchConfig, BudgetConfig, RunConfig, Science
    from models.config import TransformerConfig

    width, layers = SIZES[size]
    heads = width // HEAD_DIM
    model = TransformerConfig(
        layers=layers, width=width, heads=heads, kv_heads=heads, head_dim=HEAD_DIM, ffn=4 * width
    )
    batch = BatchConfig(args.sequences, args.seq_len)
    return RunConfig(Science(model=model, batch=batch, budget=BudgetConfig(10**12)))


def program(size: str, args: argparse.Namespace, members: int, steps: int) -> Round:
    """Rounds of one compiled program, by members and steps per dispatch."""
    import jax
    import numpy as np

    from experiments.training.hypers import hypers
    from experiments.training.populations.programs import programs
    from experiments.training.step import recipe

    made = config(size, args)
    batch = made.science.batch
    compiled, leaves = programs(recipe(made), members), hypers(made.science)
    shape = (steps, batch.sequences, batch.seq_len + 1)
    windows = np.random.default_rng(0).integers(0, 256, shape, dtype=np.int32)
    batches = compiled.join([windows] * members)
    several = compiled.join([leaves] * members)
    state = compiled.join([compiled.init(leaves)] * members)

    def work(seconds: float) -> float:
        nonlocal state
        start, dispatches = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - start) < seconds:
            state, metrics = compiled.chunk(state, several, batches)
            jax.block_until_ready(metrics)
            dispatches += 1
        return dispatches * members * steps * batch.batch_tokens / elapsed

    work(0.001)  # compile
    return work


def serve(pipe: Any, core: int, size: str, args: argparse.Namespace) -> None:
    """The main function of one process: a round for every number of seconds from the pipe."""
    os.sched_setaffinity(0, {core})  # before JAX counts its threads
    work = program(size, args, 1, args.steps)
    pipe.send(0.0)
    while seconds := pipe.recv():
        pipe.send(work(seconds))


class Processes:
    """Rounds of several processes at once."""

    def __init__(self, size: str, args: argparse.Namespace) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes = []
        for core in sorted(os.sched_getaffinity(0))[: args.processes]:
            ours, theirs = context.Pipe()
            context.Process(target=serve, args=(theirs, core, size, args), daemon=True).start()
            self._pipes.append(ours)
        self._answers()  # all are compiled

    def __call__(self, seconds: float) -> float:
        for pipe in self._pipes:
            pipe.send(seconds)
        return self._answers()

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.send(0.0)

    def _answers(self) -> float:
        return sum(pipe.recv() for pipe in self._pipes)


def main() -> None:
    args = parse()
    import jax

    device = jax.devices()[0]
    cores = len(os.sched_getaffinity(0))
    print(f"{device.platform} {device.device_kind}, {cores} core(s), jax {jax.__version__}")
    print(f"sequence {args.seq_len}, batch {args.sequences} sequences, {args.steps} steps/dispatch")
    names = ["stepwise", *(f"together {k}" for k in args.members)]
    if device.platform == "cpu":
        names.append(f"processes {args.processes}")
    print(f"\n{'size':>5} {'solo tok/s':>12}" + "".join(f"{name:>13}" for name in names))
    for size in args.sizes:
        rounds: dict[str, Round] = {
            "solo": program(size, args, 1, args.steps),
            "stepwise": program(size, args, 1, 1),
            **{f"together {k}": program(size, args, k, args.steps) for k in args.members},
        }
        several = Processes(size, args) if device.platform == "cpu" else None
        if several:
            rounds[names[-1]] = several
        rates = [
            {name: work(args.seconds) for name, work in rounds.items()} for _ in range(args.rounds)
        ]
        if several:
            several.close()
        solo = statistics.median(rate["solo"] for rate in rates)
        ratios = (statistics.median(rate[name] / rate["solo"] for rate in rates) for name in names)
        cells = "".join(f"{ratio:>12.2f}x" for ratio in ratios)
        print(f"{size:>5} {solo:>12,.0f}" + cells, flush=True)


if __name__ == "__main__":
    main()
