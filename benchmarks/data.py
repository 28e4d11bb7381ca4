"""Preparing text, and reading batches of a mixture, beside what each is measured against.

    python benchmarks/data.py                    # 100 MB of text, one core
    python benchmarks/data.py --megabytes 1000

Text: the standard library over and over, each document with a number of its own in front, one file
each. "floor" is reading it (`cat files | wc -c`) and tokenizing it in one process. "ratio"
is `prepare` over that floor, at its first call; "again" is its second, which reads no text.
Batches: of ten sources of equal weights, 32 steps at once, beside the step of a model of 33,000
parameters on the same core.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

SOURCES, STEPS, ROUNDS = 10, 32, 5
VOCABULARY = 1024


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--tokenizers", nargs="+", choices=("bytes", "file"), default=("bytes",))
    return parser.parse_args()


def documents(megabytes: int) -> Iterator[bytes]:
    """Different documents of so many megabytes in all."""
    from experiments.config.data import CorpusConfig
    from experiments.data import sources

    found = sources.documents(CorpusConfig(source="stdlib"))
    texts = [each.content for each in found if isinstance(each, sources.Document)]
    number, left = 0, megabytes * 10**6
    while left > 0:
        content = f"# {number}\n".encode() + texts[number % len(texts)]
        number, left = number + 1, left - len(content)
        yield content


def write(folder: Path, megabytes: int) -> list[Path]:
    """The documents in a folder, a file for each."""
    folder.mkdir()
    files = []
    for number, content in enumerate(documents(megabytes)):
        files.append(folder / f"{number:06}.py")
        files[-1].write_bytes(content)
    return files


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def preparing(folder: Path, files: list[Path], tokenizer: str) -> None:
    """One row: the floor, the first call, and the second."""
    from experiments.config.data import CorpusConfig
    from experiments.data import cache, prepare
    from experiments.data.tokenizer import build_tokenizer, train_bpe

    cache.SETTLED_SECONDS = -1.0  # the files are of just now
    config = CorpusConfig(source="files", path=str(folder))
    if tokenizer == "file":
        learned = folder.with_name("tokenizer.json")
        learned.write_bytes(train_bpe((f.read_bytes() for f in files[:200]), VOCABULARY).content)
        config = CorpusConfig(
            source="files", path=str(folder), tokenizer="file", tokenizer_file=str(learned),
            vocab_size=VOCABULARY,
        )  # fmt: skip
    own = build_tokenizer(config, ())
    names = [str(file) for file in files]
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        first = seconds(lambda: prepare(config, Path(place)))
        again = seconds(lambda: prepare(config, Path(place)))
    counted = seconds(lambda: subprocess.run(
        ["xargs", "cat"], input="\n".join(names).encode(), stdout=subprocess.DEVNULL, check=True
    ))  # fmt: skip
    tokenized = seconds(lambda: [own.encode([file.read_bytes()]) for file in files])
    floor = counted + tokenized
    print(
        f"{tokenizer:>9} {counted:>8.2f} {tokenized:>12.2f} {first:>8.2f} {first / floor:>7.2f} "
        f"{again:>8.2f}",
        flush=True,
    )


def reading() -> None:
    """The cost of a step's batch and of the step itself, in alternating rounds."""
    import numpy as np
    import train_step

    from experiments.config.run import BatchConfig, BudgetConfig, RunConfig, Science
    from experiments.data import MemoryTokens, MixedTokens, chunks
    from models.shapes import plain

    batch = BatchConfig(sequences=8, seq_len=256)
    science = Science(
        model=plain(32, layers=2, head_dim=16), batch=batch, budget=BudgetConfig(10**12)
    )
    step, tokens, _, _ = train_step.program(RunConfig(science), STEPS)
    rng = np.random.default_rng(0)
    stores = [MemoryTokens(rng.integers(256, size=10**7).astype(np.uint8)) for _ in range(SOURCES)]
    for count in (1, SOURCES):
        mixture = MixedTokens(tuple(stores[:count]), (1 / count,) * count)
        found = []
        for k in range(ROUNDS):
            batches = chunks(
                mixture, seed=k, sequences=batch.sequences, seq_len=batch.seq_len, start_step=0,
                stop_step=STEPS * 20, steps_per_chunk=STEPS,
            )  # fmt: skip
            next(batches)
            read = seconds(lambda batches=batches: list(batches)) / (19 * STEPS)  # type: ignore[misc]
            trained = tokens / train_step.rate(step, tokens, 1.0) / STEPS
            found.append((read, trained))
        read, trained = np.median(found, axis=0)
        print(
            f"{count:>9} {1e6 * read:>14.0f} {1e6 * trained:>12.0f} {read / trained:>8.1%}",
            flush=True,
        )


def main() -> None:
    args = parse()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "texts"
        files = write(folder, args.megabytes)
        print(f"{args.megabytes} MB in {len(files):,} files, one core, seconds")
        head = f"{'tokenizer':>9} {'wc':>8} {'tokenizing':>12} {'prepare':>8} {'ratio':>7}"
        print(f"{head} {'again':>8}")
        for tokenizer in args.tokenizers:
            preparing(folder, files, tokenizer)
    print(f"\n{'sources':>9} {'batch, us/step':>14} {'step, us':>12} {'share':>8}")
    reading()


if __name__ == "__main__":
    main()
