"""A study folder as experiments would leave it, with losses sampled from a known law plus noise."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

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
    """What the study plans and how its runs turn out."""

    noise: float = 0.004
    seed: int = 0
    isoflop: str = "no"
    statuses: dict[int, str] = field(default_factory=dict)  # run number: other than completed
    held_out_seeds: int = 1


def write_study(folder: Path, plan: Plan = Plan(), fit_runs: str = "all") -> Path:
    """study.json and the records of the fit; held-out runs come by `train_held_out`."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = planned(plan)
    study = {
        "schema": 1,
        "name": "synthetic",
        "question": "Does a law fitted to small runs predict a larger one?",
        "law": "chinchilla",
        "reading": "isoflop" if plan.isoflop == "yes" else "transfer",
        "loss": "loss_per_byte",
        "params": "params_total",
        "tokens": "tokens",
        "corpora": {
            "0123abcd": {
                "source": "synthetic",
                "fingerprint": "0123abcd",
                "train_tokens": 40_000_000,
                "valid_tokens": 400_000,
            }
        },
        "settings": ["scale=cpu", f"seed={plan.seed}"],
        "runs": entries,
    }
    (folder / "study.json").write_text(json.dumps(study), encoding="utf-8")
    if fit_runs == "all":
        rng = np.random.default_rng(plan.seed)
        for at, entry in enumerate(entries):
            if entry["part"] == "fit":
                status = plan.statuses.get(at, "completed")
                write_run(folder, entry, plan, rng, status)
    return folder


def train_held_out(folder: Path, plan: Plan = Plan()) -> None:
    """The held-out runs, with the digest of the prediction that stood before them."""
    file = folder / "prediction.json"
    digest = hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else None
    rng = np.random.default_rng(plan.seed + 1)
    for entry in planned(plan):
        if entry["part"] == "held_out":
            write_run(folder, entry, plan, rng, "completed", digest)


def planned(plan: Plan) -> list[dict[str, Any]]:
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
    return entries


def _entry(rung: int, size: float, tokens: float, part: str, seed: int) -> dict[str, Any]:
    size, tokens = round(size), round(tokens)
    name = hashlib.sha256(f"{size} {tokens} {seed}".encode()).hexdigest()[:12]
    return {
        "run_id": name,
        "part": part,
        "rung": rung,
        "params_total": size,
        "params_nonembedding": round(size * 0.8),
        "tokens": tokens,
        "flops_6nd": 6 * size * tokens,
    }


def write_run(
    folder: Path,
    entry: dict[str, Any],
    plan: Plan,
    rng: np.random.Generator,
    status: str,
    digest: str | None = None,
) -> None:
    """One run folder: config, metrics and summary."""
    run = folder / entry["run_id"]
    run.mkdir(exist_ok=True)
    size, tokens = entry["params_total"], entry["tokens"]
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
    head = {
        "schema": 1,
        "run_id": entry["run_id"],
        "study": "synthetic",
        "part": entry["part"],
        "rung": entry["rung"],
    }
    environment = {"device": "cpu", "python": "3.11", "jax": "0.10", "code": "deadbeef"}
    counts = {key: entry[key] for key in ("params_total", "params_nonembedding", "flops_6nd")}
    accounting = {**counts, "tokens": tokens}
    config = {**head, "science": science, "execution": {"workers": 1}, "accounting": accounting}
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")

    at = np.unique(np.geomspace(10, steps, 60).astype(int))
    curve = laws.chinchilla.predict(TRUTH, params=size, tokens=at * 512 + 2_000)
    curve = curve * np.exp(rng.normal(0, 0.01, len(at)))
    cut = len(at) // 3 if status == "diverged" else len(at)
    rows = [
        {"step": int(s), "tokens": int(s) * 512, "loss": float(v), "grad_norm": 1.0,
         "learning_rate": 0.01, "seconds": float(s) / 100}
        for s, v in zip(at[:cut], curve[:cut], strict=True)
    ]  # fmt: skip
    final = float(
        laws.chinchilla.predict(TRUTH, params=size, tokens=tokens)
        * np.exp(rng.normal(0, plan.noise))
    )
    if status == "completed":
        rows.append({"step": int(steps), "tokens": tokens, "valid_loss": final})
    (run / "metrics.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
    )
    if status == "started":
        return
    metrics: dict[str, float] = {
        **counts, "params_active": size, "tokens": tokens, "steps": int(steps), "epochs": 0.2,
        "batch_tokens": 512, "wall_seconds": steps / 100, "compile_seconds": 2.0,
        "tokens_per_second": 51200.0,
    }  # fmt: skip
    if status == "completed":
        metrics |= {"loss": final, "loss_per_byte": final, "bits_per_byte": final / np.log(2),
                    "train_loss": final * 0.99}  # fmt: skip
    summary = {
        **head,
        "status": status,
        "message": "" if status == "completed" else "the loss is not finite",
        "diverged_step": int(at[cut - 1]) if status == "diverged" else None,
        "metrics": metrics,
        "science": science,
        "execution": {"workers": 1},
        "environment": environment,
        "prediction_sha256": digest,
    }
    (run / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
