"""A study folder as experiments leave it, with losses from a known law plus noise."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import records

from experiments import record
from experiments.record import PlannedRun, Status, StudyPart
from scaling import laws

TRUTH = {"E": 0.35, "A": 25.0, "B": 60.0, "alpha": 0.36, "beta": 0.29}
LADDER = {  # width: (parameters, tokens per parameter)
    24: (20_000, (25, 50, 100, 200)),
    32: (37_000, (12.5, 25, 50, 100)),
    48: (74_000, (12.5, 25, 50, 100)),
    64: (123_000, (12.5, 25, 50)),
    96: (259_000, (12.5, 25, 50)),
}
HELD_OUT = (443_000, 40)
BUDGETS = (1e11, 3e11, 1e12, 3e12)


@dataclass(frozen=True)
class Plan:
    """The runs of a study and their results."""

    noise: float = 0.004
    seed: int = 0
    isoflop: str = "no"
    statuses: dict[int, str] = field(default_factory=dict)  # run number: other than completed
    held_out_seeds: int = 1
    # its arms: each is as good as one with this factor of both parameters and tokens
    labels: dict[str, float] = field(default_factory=dict)


def write_study(folder: Path, plan: Plan = Plan(), fit_runs: str = "all") -> Path:
    """study.json and the records of the fit; held-out runs come by `train_held_out`."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = planned(plan)
    study = records.plan(
        "synthetic",
        entries,
        question="Does a law fitted to small runs predict a larger one?",
        law="chinchilla",
        reading="isoflop" if plan.isoflop == "yes" else "transfer",
        loss="loss_per_byte",
        corpora={
            "0123abcd": {
                "source": "synthetic",
                "fingerprint": "0123abcd",
                "train_tokens": 40_000_000,
                "valid_tokens": 400_000,
            }
        },
        settings={"scale": "cpu", "seed": plan.seed},
    )
    record.write(folder, study)
    if fit_runs == "all":
        rng = np.random.default_rng(plan.seed)
        for at, entry in enumerate(entries):
            if entry.part is StudyPart.FIT:
                status = plan.statuses.get(at, "completed")
                write_run(folder, entry, plan, rng, status)
    return folder


def train_held_out(folder: Path, plan: Plan = Plan()) -> None:
    """The held-out runs, with the digest of the prediction before them."""
    file = folder / "prediction.json"
    digest = hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else None
    rng = np.random.default_rng(plan.seed + 1)
    for entry in planned(plan):
        if entry.part is StudyPart.HELD_OUT:
            write_run(folder, entry, plan, rng, "completed", digest)


def planned(plan: Plan) -> list[PlannedRun]:
    entries = []
    if plan.isoflop == "yes":
        for rung, flops in enumerate(BUDGETS):
            best = 0.13 * (flops / 6) ** 0.48
            for shift in (-1.2, -0.6, 0.0, 0.6, 1.2):
                size = round(best * np.exp(shift))
                entries.append(_entry(rung, size, flops / 6 / size, "fit", plan.seed))
        last = 0.13 * (1e13 / 6) ** 0.48
        held = [(len(BUDGETS), last, 1e13 / 6 / last)]
    else:
        for rung, (size, ratios) in enumerate(LADDER.values()):
            entries += [_entry(rung, size, ratio * size, "fit", plan.seed) for ratio in ratios]
        held = [(len(LADDER), HELD_OUT[0], HELD_OUT[0] * HELD_OUT[1])]
    for rung, size, tokens in held:
        entries += [
            _entry(rung, size, tokens, "held_out", plan.seed + at)
            for at in range(plan.held_out_seeds)
        ]
    return [_arm(entry, label) for label in plan.labels for entry in entries] or entries


def _arm(entry: PlannedRun, label: str) -> PlannedRun:
    name = hashlib.sha256(f"{label} {entry.run_id}".encode()).hexdigest()[:12]
    return msgspec.structs.replace(entry, run_id=name, label=label)


def _entry(rung: int, size: float, tokens: float, part: str, seed: int) -> PlannedRun:
    size, tokens = round(size), round(tokens)
    return records.planned(
        hashlib.sha256(f"{size} {tokens} {seed}".encode()).hexdigest()[:12],
        part,
        rung,
        params_total=size,
        params_nonembedding=round(size * 0.8),
        params_active=size,
        tokens=tokens,
        flops_6nd=6 * size * tokens,
    )


def write_run(
    folder: Path,
    entry: PlannedRun,
    plan: Plan,
    rng: np.random.Generator,
    status: str,
    digest: str | None = None,
) -> None:
    """One run folder: config, metrics and summary."""
    run = folder / entry.run_id
    size, tokens = entry.accounting["params_total"], entry.accounting["tokens"]
    steps = max(20, tokens // 512)
    science = {
        "model": {"layers": 2, "width": round((size / 36) ** 0.5), "vocabulary": 256},
        "parametrization": {"name": "mup"},
        "optimizer": {"name": "adamw", "learning_rate": 0.01},
        "schedule": {"name": "linear", "warmup": 0.05},
        "batch": {"sequences": 4, "seq_len": 128},
        "budget": {"tokens": tokens},
        "data": {"source": "stdlib", "fingerprint": "0123abcd", "tokenizer": "byte", "epochs": 1},
        "precision": "float32",
        "evaluation": {"sequences": 1024},
        "seed": plan.seed,
    }
    good = plan.labels[entry.label] if plan.labels else 1.0
    head = {
        "study": "synthetic",
        "part": entry.part,
        "rung": entry.rung,
        "science": science,
        "accounting": entry.accounting,
    }
    record.write(run, records.run_record(entry.run_id, **head))

    at = np.unique(np.geomspace(10, steps, 60).astype(int))
    curve = laws.chinchilla.predict(TRUTH, params=size, tokens=at * 512 + 2_000)
    curve = curve * np.exp(rng.normal(0, 0.01, len(at)))
    cut = len(at) // 3 if status == "diverged" else len(at)
    rows = [
        records.training(
            int(s), float(v), float(s) / 100, int(s) * 512, grad_norm=1.0, learning_rate=0.01
        )
        for s, v in zip(at[:cut], curve[:cut], strict=True)
    ]
    final = float(
        laws.chinchilla.predict(TRUTH, params=good * size, tokens=good * tokens)
        * np.exp(rng.normal(0, plan.noise))
    )
    if status == "completed":
        rows.append(records.validation(int(steps), final, tokens))
    record.rewrite_rows(run / record.METRICS, rows)
    if status == "started":
        return
    metrics: dict[str, float] = {
        "steps": int(steps), "epochs": 0.2, "batch_tokens": 512, "wall_seconds": steps / 100,
        "first_dispatch_seconds": 2.0, "tokens_per_second": 51200.0,
    }  # fmt: skip
    if status == "completed":
        metrics |= {"loss": final, "loss_per_byte": final, "bits_per_byte": final / math.log(2),
                    "train_loss": final * 0.99}  # fmt: skip
    summary = records.run_summary(
        entry.run_id,
        Status(status),
        metrics,
        message="" if status == "completed" else "the loss is not finite",
        diverged_step=int(at[cut - 1]) if status == "diverged" else None,
        prediction_sha256=digest,
        **head,
    )
    record.write(run, summary)
