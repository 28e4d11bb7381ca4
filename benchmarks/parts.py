"""Speed of every mixer and feed-forward beside attention and the dense layer, in one run.

    python -m benchmarks.parts                  # one core of a CPU, sequences of 1,024
    python -m benchmarks.parts --parts gated_delta sliding_window --seq-len 512
    python -m benchmarks.parts --parts experts grouped --capacity-factor 4

Each model has layers of one part; rounds of all of them alternate. A round counts CPU seconds, so
that other work on the machine takes little from the ratios. FLOPs are `flops_model`: every matrix
product of the program that runs. "of attention" is the ratio of FLOP/s to those of attention, and
of experts to those of the dense layer. "grouped" is the layer of experts without slots.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.train_step import matmul_peak, program
from scaling.common import plugins


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", help="mixers and feed-forwards (default: all)")
    parser.add_argument("--seq-len", type=int, default=1024)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--head-dim", type=int, default=64)
    parser.add_argument(
        "--capacity-factor", type=float, default=1.25, help="of 8 experts, 2 active"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of CPU, of one round")
    return parser.parse_args()


def patterns(chosen: list[str] | None) -> dict[str, tuple[str, str]]:
    """Of each part: the pattern of its model, and the one it is compared with."""
    found = {name: (name, "attention") for name in plugins.names("models.mixers")}
    found |= {name: (f"attention+{name}", "attention+mlp") for name in plugins.names("models.ffn")}
    found["grouped"] = found["experts"]
    names = list(found) if chosen is None else ["attention", "mlp", *chosen]
    return {name: found[name] for name in dict.fromkeys(names)}


def cpu_rate(run: Callable[[], None], tokens: int, seconds: float) -> float:
    """Tokens per CPU second of this process, over at least `seconds`."""
    start, dispatches = time.process_time(), 0
    while (elapsed := time.process_time() - start) < seconds:
        run()
        dispatches += 1
    return tokens * dispatches / elapsed


def config(name: str, pattern: str, args: argparse.Namespace) -> Any:
    from experiments.config.run import BatchConfig, BudgetConfig, Execution, RunConfig, Science
    from models.shapes import plain
    from scaling.machines.program import Program

    experts = {
        "experts": 8,
        "experts_active": 2,
        "ffn": 2 * args.width,
        "capacity_factor": args.capacity_factor,
    }
    model = plain(
        args.width, 1, args.head_dim, pattern=(pattern,),
        **experts if pattern.endswith("+experts") else {},
    )  # fmt: skip
    return RunConfig(
        Science(
            model=model, batch=BatchConfig(1, args.seq_len), budget=BudgetConfig(tokens=10**12)
        ),
        Execution(Program(experts="grouped" if name == "grouped" else "slots")),
    )


def main() -> None:
    args = parse()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    import jax

    from scaling.counting.formulas import flops_model

    chosen = patterns(args.parts)
    peak = matmul_peak()
    print(f"one core, jax {jax.__version__}, measured float32 matmul peak {peak / 1e9:.0f} GFLOP/s")
    print(f"one layer of width {args.width}, heads of {args.head_dim}, sequences of {args.seq_len}")
    runs, flops = {}, {}
    for name, (pattern, _) in chosen.items():
        made = config(name, pattern, args)
        run, tokens, seconds, _ = program(made, 1)
        runs[name] = (run, tokens, seconds)
        flops[name] = flops_model(made.science.model.dims(args.seq_len))
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(args.rounds):
        for name, (run, tokens, _) in runs.items():
            rates[name].append(cpu_rate(run, tokens, args.seconds))
    speed = {name: statistics.median(found) * flops[name] for name, found in rates.items()}
    beside = {"attention": "attention", "attention+mlp": "mlp"}
    print(f"\n{'part':>16} {'ktok/s':>8} {'kFLOP/tok':>10} {'GFLOP/s':>8} {'of peak':>8} "
          f"{'compile s':>10} {'of attention':>13}")  # fmt: skip
    for name, (_, other) in chosen.items():
        print(
            f"{name:>16} {statistics.median(rates[name]) / 1e3:>8.2f} {flops[name] / 1e3:>10.0f} "
            f"{speed[name] / 1e9:>8.1f} {speed[name] / peak:>8.1%} {runs[name][2]:>10.1f} "
            f"{speed[name] / speed[beside[other]]:>12.2f}x",
            flush=True,
        )


if __name__ == "__main__":
    main()
