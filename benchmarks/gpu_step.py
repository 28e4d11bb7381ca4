"""The training step on one GPU: tokens/s, MFU, memory and compile time at four sizes.

    python benchmarks/gpu_step.py                                  # an H100 or H200
    python benchmarks/gpu_step.py --chip a100 --sizes 125M --remat none dots block
    python benchmarks/gpu_step.py --attention xla cudnn            # a row for each

bfloat16 products, layers in a scan, several steps per dispatch. The device chooses attention and
chunks of logits unless the options do. MFU is of the chip's published peak
(`scaling/machines/chips.py`) by `flops_model`: it counts the full square of attention, and no
recomputation. "of matmul" is relative to the best bfloat16 product measured in the same process.
Requires JAX, Flax, Optax and NumPy.
"""

from __future__ import annotations

import argparse
import statistics
from itertools import product
from typing import Any, get_args, get_type_hints

from train_step import matmul_peak, program, rate

# width, layers, head size; the names are the sizes with a vocabulary of 50304
SIZES = {
    "tiny": (64, 2, 16),
    "20M": (256, 9, 64),
    "125M": (768, 12, 64),
    "350M": (1024, 24, 64),
    "1B": (2048, 18, 128),
}
VOCABULARY = 50304
STEPS = 4  # of a dispatch


def parse() -> argparse.Namespace:
    from models.config import Program
    from scaling.machines.chips import CHIPS

    choices = {name: get_args(kind) for name, kind in get_type_hints(Program).items()}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    gpus = [name for name, chip in CHIPS.items() if chip.platform == "gpu"]
    parser.add_argument("--chip", choices=gpus, default="h200")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES)[1:])
    parser.add_argument("--seq-len", nargs="+", type=int, default=[1024, 2048])
    parser.add_argument("--tokens", type=int, default=2**15, help="of a batch, taken at once")
    parser.add_argument("--remat", nargs="+", choices=choices["remat"], default=["none"])
    parser.add_argument("--attention", nargs="+", choices=choices["attention"], default=["auto"])
    parser.add_argument("--logits-chunks", type=int, default=0)
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one timed round")
    return parser.parse_args()


def config(args: argparse.Namespace, size: str, seq_len: int, remat: Any, attention: Any) -> Any:
    from experiments.config.run import BatchConfig, BudgetConfig, Execution, RunConfig, Science
    from models.config import Program, TransformerConfig

    width, layers, head_dim = SIZES[size]
    heads, sequences = width // head_dim, max(1, args.tokens // seq_len)
    model = TransformerConfig(
        layers=layers,
        width=width,
        heads=heads,
        kv_heads=heads,
        head_dim=head_dim,
        ffn=4 * width,
        vocab_size=VOCABULARY,
    )
    science = Science(
        model=model,
        batch=BatchConfig(sequences, seq_len),
        budget=BudgetConfig(10**6 * sequences * seq_len),
        precision=args.precision,
    )
    how = Program("scan", remat, attention=attention, logits_chunks=args.logits_chunks)
    return RunConfig(science, Execution(how, microbatch=sequences))


def main() -> None:
    args = parse()
    import jax

    from experiments.training.step import recipe
    from scaling.counting.formulas import flops_model, params_total
    from scaling.machines.chips import CHIPS

    device, peak = jax.devices()[0], CHIPS[args.chip].flops("bfloat16")
    measured = matmul_peak(8192 if device.platform == "gpu" else 1024, dtype=args.precision)
    print(f"{device.platform} {device.device_kind}, jax {jax.__version__}, {args.precision}")
    print(f"peak of {args.chip} {peak / 1e12:.0f} TFLOP/s; measured {measured / 1e12:.3g}\n")
    print(
        f"{'size':>5} {'params':>13} {'seq':>5} {'batch':>5} {'attention':>9} {'remat':>5} "
        f"{'chunks':>6} {'ktok/s':>8} {'TFLOP/s':>8} {'MFU':>6} {'of matmul':>9} {'GB':>6} "
        f"{'compile s':>9}"
    )
    for size, *how in product(args.sizes, args.seq_len, args.remat, args.attention):
        made = config(args, size, *how)
        science, chosen = made.science, recipe(made).spec.program
        run, tokens, seconds, megabytes = program(made, STEPS)
        speed = statistics.median(rate(run, tokens, args.seconds) for _ in range(args.rounds))
        dims = science.model.dims(science.batch.seq_len)
        flops = speed * flops_model(dims)
        print(
            f"{size:>5} {params_total(dims):>13,} {science.batch.seq_len:>5} "
            f"{science.batch.sequences:>5} {chosen.attention:>9} {chosen.remat:>5} "
            f"{chosen.logits_chunks:>6} {speed / 1e3:>8.1f} {flops / 1e12:>8.3g} "
            f"{flops / peak:>6.1%} {flops / measured:>9.1%} {megabytes / 1e3:>6.1f} "
            f"{seconds:>9.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
