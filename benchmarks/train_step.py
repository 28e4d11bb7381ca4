"""Tokens per second of the training step, tuned beside plain, in alternating rounds of one run.

    python benchmarks/train_step.py                       # four sizes, sequence 256, one core
    python benchmarks/train_step.py --seq-len 128 --mlp relu2

"tuned" is a study's program on this device: small microbatches accumulated inside the step, the
backward pass that suits the device, many steps per dispatch. "plain" is the same Flax model with
the whole batch at once, autodiff's backward pass, and one step per dispatch.
FLOPs are `flops_model`; peak is the best float32 matrix product measured in the same process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

SIZES = {"30k": (32, 2), "300k": (96, 3), "1M": (144, 4), "3M": (208, 6)}  # width, layers
HEAD_DIM = 16


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seq-len", type=int, default=256)
    parser.add_argument("--sequences", type=int, default=8)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--mlp", choices=("gelu", "relu2", "swiglu"), default="gelu")
    parser.add_argument("--norm", choices=("rmsnorm", "layernorm"), default="layernorm")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one timed round")
    parser.add_argument("--cores", type=int, default=1, help="CPU cores to keep to")
    return parser.parse_args()


def matmul_peak(n: int = 1024, rounds: int = 20, dtype: str = "float32") -> float:
    """FLOP/s of the best of several n x n products."""
    import jax
    import jax.numpy as jnp

    a = jnp.ones((n, n), dtype)
    product = jax.jit(jnp.matmul)
    product(a, a).block_until_ready()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        product(a, a).block_until_ready()
        times.append(time.perf_counter() - start)
    return 2 * n**3 / min(times)


def program(config: Any, steps: int) -> tuple[Callable[[], None], int, float, float]:
    """One timed dispatch of `steps` steps: (run, tokens, compile seconds, MB of buffers)."""
    import jax
    import numpy as np

    from experiments.training import step as program
    from experiments.training.hypers import hypers

    recipe, leaves = program.recipe(config), hypers(config.science)
    state = jax.jit(partial(program.init_state, recipe))(leaves)
    batch = config.science.batch
    rng = np.random.default_rng(0)
    shape = (steps, batch.sequences, batch.seq_len + 1)
    batches = jax.numpy.asarray(
        rng.integers(0, config.science.model.vocab_size, shape, dtype=np.int32)
    )
    start = time.perf_counter()
    chunk = jax.jit(partial(program.train_chunk, recipe), donate_argnums=0)
    compiled = chunk.lower(state, leaves, batches).compile()
    seconds = time.perf_counter() - start
    memory = compiled.memory_analysis()
    megabytes = (memory.temp_size_in_bytes + memory.argument_size_in_bytes) / 1e6

    def run() -> None:
        nonlocal state
        state, metrics = compiled(state, leaves, batches)
        jax.block_until_ready(metrics)

    run()
    return run, steps * batch.batch_tokens, seconds, megabytes


def rate(run: Callable[[], None], tokens: int, seconds: float) -> float:
    """Tokens per second over at least `seconds`."""
    start, dispatches = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - start) < seconds:
        run()
        dispatches += 1
    return tokens * dispatches / elapsed


def main() -> None:
    args = parse()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.cores])
    import jax

    from experiments.config.run import BatchConfig, BudgetConfig, Execution, RunConfig, Science
    from models.config import TransformerConfig
    from scaling.counting.formulas import flops_model, params_total
    from scaling.machines.program import PLAIN

    device = jax.devices()[0]
    peak = matmul_peak()
    print(f"{device.platform} {device.device_kind}, {args.cores} core(s), jax {jax.__version__}")
    print(f"measured float32 matmul peak {peak / 1e9:.0f} GFLOP/s")
    print(f"sequence {args.seq_len}, batch {args.sequences} sequences, {args.mlp}, {args.norm}\n")
    header = f"{'size':>5} {'params':>9} {'form':>6} {'ktok/s':>8} {'GFLOP/s':>8} {'of peak':>8}"
    print(f"{header} {'compile s':>10} {'MB':>6} {'tuned/plain':>12}")
    for size in args.sizes:
        width, layers = SIZES[size]
        heads = width // HEAD_DIM
        model = TransformerConfig(
            layers=layers,
            width=width,
            heads=heads,
            kv_heads=heads,
            head_dim=HEAD_DIM,
            ffn=4 * width,
            mlp=args.mlp,
            norm=args.norm,
        )
        science = Science(
            model=model,
            batch=BatchConfig(args.sequences, args.seq_len),
            budget=BudgetConfig(10**12),
        )
        tuned = RunConfig(science)
        plain = replace(
            tuned,
            execution=Execution(program=PLAIN, microbatch=args.sequences),
        )
        forms = {"plain": program(plain, 1), "tuned": program(tuned, 10)}
        rates: dict[str, list[float]] = {name: [] for name in forms}
        for _ in range(args.rounds):
            for name, (run, tokens, _, _) in forms.items():
                rates[name].append(rate(run, tokens, args.seconds))
        dims = model.dims(args.seq_len)
        ratio = statistics.median(
            t / p for t, p in zip(rates["tuned"], rates["plain"], strict=True)
        )
        for name, (_, _, seconds, megabytes) in forms.items():
            tokens_per_second = statistics.median(rates[name])
            flops = tokens_per_second * flops_model(dims)
            print(
                f"{size:>5} {params_total(dims):>9,} {name:>6} {tokens_per_second / 1e3:>8.1f} "
                f"{flops / 1e9:>8.1f} {flops / peak:>8.1%} {seconds:>10.1f} {megabytes:>6.1f} "
                + (f"{ratio:>11.2f}x" if name == "tuned" else ""),
                flush=True,
            )


if __name__ == "__main__":
    main()
