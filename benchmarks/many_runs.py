"""CPU seconds of the commands that read or plan a study of many runs, in alternating rounds.

    python benchmarks/many_runs.py                          # this checkout
    python benchmarks/many_runs.py --beside ../elsewhere    # and another, by turns

    plan      windtunnel run lr_transfer --set ablation=all --dry-run    2,304 runs
    status    windtunnel status of the same, of which --finished have ended
    help      windtunnel --help: the interpreter and the parser alone

The records are made, not trained: each has a summary, a config and --rows rows of metrics.

On a busy 2-core virtual machine, without compiled files of Python: medians of five rounds before
and after 2026-11-30, side by side, plan 2.29 and 1.70 s, status 2.03 and 1.69 s, help 0.10 s.
Imports are 0.5 s of each; reading and decoding 2,074 summaries takes 0.16 s.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
STUDY = ("lr_transfer", "--set", "ablation=all")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="timed by turns")
    parser.add_argument("--finished", type=float, default=0.9, help="share of the runs")
    parser.add_argument("--rows", type=int, default=40, help="of metrics, for each run")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    checkouts = [path.resolve() for path in (args.beside, HERE) if path is not None]
    with tempfile.TemporaryDirectory() as folder:
        runs = write_records(Path(folder) / "runs", args.finished, args.rows)
        (Path(folder) / "empty").mkdir()
        out = ("--out", f"{folder}/runs")
        commands = {
            "help": ("--help",),
            "plan": ("run", *STUDY, "--dry-run", "--out", f"{folder}/empty"),
            "status": ("status", *STUDY, *out),
        }
        print(f"{runs} runs; CPU seconds, median of {args.rounds} [least, most]")
        for name, words in commands.items():
            found: dict[Path, list[float]] = {checkout: [] for checkout in checkouts}
            for _ in range(args.rounds):
                for checkout in checkouts:
                    found[checkout].append(cpu_seconds(checkout, words))
            for checkout, seconds in found.items():
                middle = statistics.median(seconds)
                print(
                    f"{name:8} {middle:5.2f} [{min(seconds):.2f}, {max(seconds):.2f}]  {checkout}"
                )


def cpu_seconds(checkout: Path, words: tuple[str, ...]) -> float:
    """CPU time of a command with its children, by the code of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    before = sum(os.times()[2:4])
    command = [sys.executable, "-m", "windtunnel", *words]
    subprocess.run(command, cwd=checkout, env=environment, check=True, stdout=subprocess.DEVNULL)
    return sum(os.times()[2:4]) - before


def write_records(folder: Path, share: float, rows: int) -> int:
    """Write records of a share of the study's runs, every tenth left out at 0.9; count the runs."""
    from experiments import record, studies
    from experiments.record import Environment, Measured, MetricsRow, RunRecord, RunSummary, Status
    from experiments.runs.job import Job
    from experiments.runs.summary import _identity
    from experiments.sweep import sweep
    from scaling.common.files import cache_folder

    bound = sweep.bind(studies.load(STUDY[0], STUDY[2:]), folder, cache_folder())
    environment = Environment(cpus=2, python="3.11", jax="0.10", code="0", device="cpu")
    done = 0
    for number, run in enumerate(bound.study.runs, 1):
        if done >= number * share:
            continue
        done += 1
        job = Job(run, bound.study.name, folder / run.run_id)
        identity = _identity(job, ())
        record.write(job.folder, RunRecord(**identity))
        steps = run.config.science.steps
        each = [steps * at // rows for at in range(1, rows + 1)]
        values = {"loss": 3.0, "grad_norm": 0.5, "update_norm": 0.01, "learning_rate": 0.01}
        record.rewrite_rows(
            job.folder / record.METRICS,
            [MetricsRow(step=at, tokens=at, seconds=0.01 * at, metrics=values) for at in each]
            + [MetricsRow(step=steps, tokens=steps, metrics={"valid_loss": 2.9})],
        )
        metrics = Measured(loss=2.9, loss_per_byte=2.9, steps=steps, tokens_per_second=1e5)
        record.write(
            job.folder,
            RunSummary(
                **identity,
                status=Status.COMPLETED,
                metrics=metrics,
                environment=environment,
                files=record.sums(job.folder),
            ),
        )
    sweep.write_study(bound)
    return len(bound.study.runs)


if __name__ == "__main__":
    main()
