"""What one GPU gains by populations, by cuDNN's attention, and its MFU, inside ten minutes.

    python benchmarks/gpu_step.py                         # three tables, to gpu_step.txt
    python benchmarks/gpu_step.py --chip a100 --tables mfu --remat none dots block
    python benchmarks/gpu_step.py --dry-run               # the smallest sizes, on any device

mfu: tokens/s of the training step at 350M and 1B parameters. MFU is of the chip's published peak
(`scaling/machines/chips.py`) by `flops_model`: it counts the full square of attention, and no
recomputation. "of matmul" is relative to the best bfloat16 product measured in the same process.
packing: tokens/s of K runs in one program over those of one alone, at 1M, 5M and 20M parameters.
attention: forward and backward pass of attention alone, of 32k tokens, by each kernel.

bfloat16 products, layers in a scan, several steps per dispatch. A row that does not fit says so.
Each row is written as it ends; when the minutes are over, the rest is left out. Requires JAX, Flax,
Optax and NumPy.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, get_args, get_type_hints

from train_step import matmul_peak, program, rate

# width, layers, head size; the names are the sizes with a vocabulary of 50304
SIZES = {"350M": (1024, 24, 64), "1B": (2048, 18, 128)}
# with a vocabulary of 256
PACKED = {"1M": (128, 5, 32), "5M": (256, 6, 64), "20M": (512, 6, 64)}
TINY = {"tiny": (32, 1, 16)}
VOCABULARY = 50304
STEPS = 4  # of a dispatch
HEADS, HEAD_DIM = 16, 128  # of attention alone
MEMBERS = 64  # of a population, at most


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    from scaling.machines.chips import CHIPS
    from scaling.machines.program import Program

    choices = {name: get_args(kind) for name, kind in get_type_hints(Program).items()}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    gpus = [name for name, chip in CHIPS.items() if chip.platform == "gpu"]
    parser.add_argument("--chip", choices=gpus, default="h200")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--minutes", type=float, default=9.5, help="until the script has ended")
    parser.add_argument("--out", type=Path, default=Path("gpu_step.txt"))
    parser.add_argument("--dry-run", action="store_true", help="the smallest size of each table")
    parser.add_argument("--seq-len", nargs="+", type=int, default=[2048])
    parser.add_argument("--tokens", type=int, default=2**15, help="of a batch, taken at once")
    parser.add_argument("--remat", nargs="+", choices=choices["remat"], default=["none"])
    parser.add_argument("--attention", nargs="+", choices=choices["attention"], default=["auto"])
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one timed round")
    args = parser.parse_args(arguments)
    if args.dry_run:
        args.seq_len, args.tokens, args.rounds, args.seconds = [64], 128, 1, 0.01
    return args


def config(args: argparse.Namespace, shape: tuple[int, int, int], seq_len: int, **how: Any) -> Any:
    """The run of a shape: width, layers and head size; small ones have few tokens to a batch."""
    from experiments.config.run import BatchConfig, BudgetConfig, Execution, RunConfig, Science
    from models.config import TransformerConfig
    from scaling.machines.program import Program

    (width, layers, head_dim), vocab = shape, how.pop("vocab", VOCABULARY)
    heads, sequences = width // head_dim, max(1, how.pop("tokens", args.tokens) // seq_len)
    model = TransformerConfig(
        layers=layers,
        width=width,
        heads=heads,
        kv_heads=heads,
        head_dim=head_dim,
        ffn=4 * width,
        vocab_size=256 if args.dry_run else vocab,
    )
    science = Science(
        model=model,
        batch=BatchConfig(sequences, seq_len),
        budget=BudgetConfig(10**6 * sequences * seq_len),
        precision=args.precision,
    )
    execution = Execution(Program("scan", **how), microbatch=sequences, steps_per_dispatch=STEPS)
    return RunConfig(science, execution)


def mfu(args: argparse.Namespace) -> Iterator[str]:
    from experiments.training.step import recipe
    from scaling.counting.formulas import flops_model, params_total
    from scaling.machines.chips import CHIPS

    peak = CHIPS[args.chip].flops("bfloat16")
    measured = matmul_peak(256 if args.dry_run else 8192, dtype=args.precision)
    yield f"peak of {args.chip} {peak / 1e12:.0f} TFLOP/s; measured {measured / 1e12:.3g}"
    yield (
        f"{'size':>5} {'params':>13} {'seq':>5} {'batch':>5} {'attention':>9} {'remat':>5} "
        f"{'ktok/s':>8} {'TFLOP/s':>8} {'MFU':>6} {'of matmul':>9} {'GB':>6} {'compile s':>9}"
    )

    def row(size: str, seq_len: int, remat: str, attention: str) -> str:
        made = config(args, sizes[size], seq_len, remat=remat, attention=attention)
        chosen = recipe(made).spec.program
        run, tokens, seconds, megabytes = program(made, STEPS)
        speed = statistics.median(rate(run, tokens, args.seconds) for _ in range(args.rounds))
        dims = made.science.model.dims(seq_len)
        flops = speed * flops_model(dims)
        return (
            f"{size:>5} {params_total(dims):>13,} {seq_len:>5} {made.science.batch.sequences:>5} "
            f"{chosen.attention:>9} {chosen.remat:>5} {speed / 1e3:>8.1f} {flops / 1e12:>8.3g} "
            f"{flops / peak:>6.1%} {flops / measured:>9.1%} {megabytes / 1e3:>6.1f} {seconds:>9.1f}"
        )

    sizes = TINY if args.dry_run else SIZES
    for size, *how in product(sizes, args.seq_len, args.remat, args.attention):
        yield fitting(f"{size:>5}", partial(row, size, *how))


def packing(args: argparse.Namespace) -> Iterator[str]:
    from experiments.training.populations.throughput import measure
    from scaling.counting.formulas import params_total

    yield f"{'size':>5} {'params':>13} {'alone, ktok/s':>13} {'best K':>6} {'gain':>6}  every K"

    def row(size: str) -> str:
        made = config(args, sizes[size], args.seq_len[0] // 8, vocab=256, tokens=args.tokens // 8)
        curve = measure(made, 2 if args.dry_run else MEMBERS)
        gains = {k: k * curve[1] / seconds for k, seconds in curve.items()}
        best, batch = max(gains, key=gains.__getitem__), made.science.batch
        every = " ".join(f"{k}: {gain:.2f}" for k, gain in gains.items())
        params = params_total(made.science.model.dims(batch.seq_len))
        alone = batch.batch_tokens / curve[1] / 1e3
        return f"{size:>5} {params:>13,} {alone:>13.1f} {best:>6} {gains[best]:>5.2f}x  {every}"

    sizes = TINY if args.dry_run else PACKED
    for size in sizes:
        yield fitting(f"{size:>5}", partial(row, size))


def attention(args: argparse.Namespace) -> Iterator[str]:
    import jax
    import jax.numpy as jnp

    from models.mixers._attention import attend

    kernels = ("xla", "cudnn") if jax.devices()[0].platform == "gpu" else ("xla", "barrier")
    yield f"{'T':>6} " + " ".join(f"{name + ', ms':>12}" for name in kernels)

    def timed(kernel: str, T: int) -> str:
        shape = max(1, args.tokens // T), T, HEADS, HEAD_DIM
        heads = [jax.random.normal(jax.random.key(i), shape, jnp.bfloat16) for i in range(3)]

        def loss(*heads: jax.Array) -> jax.Array:
            return attend(*heads, HEAD_DIM**-0.5, kernel).astype(jnp.float32).sum()  # type: ignore[call-arg,misc]

        both = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))
        jax.block_until_ready(both(*heads))

        def run() -> None:
            jax.block_until_ready(both(*heads))

        speeds = [rate(run, 1, args.seconds / 4) for _ in range(args.rounds)]
        return f"{1e3 / statistics.median(speeds):>12.3f}"

    for T in [64] if args.dry_run else [2**i for i in range(10, 16)]:
        yield f"{T:>6} " + " ".join(fitting("", partial(timed, name, T)) for name in kernels)


TABLES = {"mfu": mfu, "packing": packing, "attention": attention}


def fitting(name: str, row: Callable[[], str]) -> str:
    """The row, or that the device's memory does not hold it."""
    from jax.errors import JaxRuntimeError

    try:
        return row()
    except JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return f"{name} {'no memory':>11}"


def main(arguments: Sequence[str]) -> None:
    args = parse(arguments)
    end = time.monotonic() + 60 * args.minutes
    import jax

    device = jax.devices()[0]
    with args.out.open("w", encoding="utf-8") as out:

        def say(line: str) -> None:
            print(line, flush=True)
            print(line, file=out, flush=True)

        def give_up() -> None:
            say(f"{args.minutes:g} minutes are over; the rest is left out")
            os._exit(0)

        watch = threading.Timer(end - time.monotonic(), give_up)
        watch.daemon = True
        watch.start()
        say(f"{device.platform} {device.device_kind}, jax {jax.__version__}, {args.precision}")
        for name in args.tables:
            say(f"\n{name}")
            for line in TABLES[name](args):
                say(line)
        watch.cancel()


if __name__ == "__main__":
    main(sys.argv[1:])
