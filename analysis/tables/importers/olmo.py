"""OLMo: the runs of its ladders, as OLMo and OLMo-core leave them.

A ladder of OLMo is a folder of histories `SIZE-LENGTH.csv`. A JSON file beside or above it, which
may be the path, holds their sizes: paths, and `n`, the parameters without embeddings. A run of
OLMo-core is a folder with `metrics_step*.json` and `config.json`. FLOPs are those of the model,
attention included. Where no file holds the size, the name of the run says it, rounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from analysis.tables.files import load_table
from analysis.tables.importers._form import TrackedRun, flat, json_of, reading
from analysis.tables.number_text import number
from scaling.common.errors import UserError

SIZE = re.compile(r"(?:^|[-_/])(\d+(?:\.\d+)?[MB])(?=$|[-_/.])")
STEP_METRICS = re.compile(r"metrics_step(\d+)\.json")
GFLOPS = "throughput/total_training_Gflops"
PARAMS = "params_nonembedding"

Sizes = Mapping[str, Mapping[str, Any]]  # facts of a run, by the name of its file


def runs(path: Path) -> Iterator[TrackedRun]:
    """The histories of a ladder, then the folders of OLMo-core."""
    sizes = _sizes(path)
    files = sorted(path.rglob("*.csv")) if path.is_dir() else _of_ladder(path, sizes)
    for file in files:
        yield _history(file, sizes)
    folders = sorted({each.parent for each in path.rglob("metrics_step*.json")})
    yield from map(_core, folders)


def _of_ladder(path: Path, sizes: Sizes) -> list[Path]:
    """The file itself, or those that a ladder's JSON names and that lie near it."""
    if path.suffix != ".json":
        return [path]
    found = {file.name: file for file in path.parent.rglob("*.csv")}
    if missing := [name for name in sizes if name not in found]:
        raise UserError(f"{path}: names {missing[0]}, which is not below {path.parent}")
    return [found[name] for name in sizes]


def _sizes(path: Path) -> Sizes:
    """Facts of each history that the JSON of a ladder holds."""
    near = sorted(path.parent.glob("*.json")) + sorted(path.rglob("*.json"))
    found: dict[str, Mapping[str, Any]] = {}
    for file in [path] if path.suffix == ".json" else near:
        with reading(file):
            held = json_of(file)
            for name, each in held.items() if isinstance(held, Mapping) else ():
                if isinstance(each, Mapping) and {"paths", "n"} <= set(each):
                    facts = {"size": name, PARAMS: each["n"], "mode": each.get("mode", "")}
                    found |= {Path(history).name: facts for history in each["paths"]}
    return found


def _history(file: Path, sizes: Sizes) -> TrackedRun:
    """A row for each evaluation."""
    table = load_table(file)
    if "_step" not in table.columns:
        raise UserError(f"{file}: no column '_step', so no history of OLMo")
    rows = []
    with reading(file):
        for row in table.sort_values("_step").to_dict("records"):
            named = {str(name): value for name, value in row.items()}
            flops = {} if GFLOPS not in named else {"flops_model": 1e9 * named.pop(GFLOPS)}
            rows.append({"step": int(named.pop("_step")), **named, **flops})
    facts = sizes[file.name] if file.name in sizes else _by_name(file.stem)
    return TrackedRun(file.stem, file.stem, "", facts, rows)


def _by_name(name: str) -> dict[str, Any]:
    said = SIZE.search(name)
    return {} if said is None else {PARAMS: number(said[1])}


def _core(folder: Path) -> TrackedRun:
    """A run of OLMo-core: its metrics at checkpoints, and its config."""
    rows = []
    for file in folder.glob("metrics_step*.json"):
        said = STEP_METRICS.fullmatch(file.name)
        if said:
            with reading(file):
                rows.append({"step": int(said[1]), **dict(flat(json_of(file)))})
    rows.sort(key=lambda row: row["step"])
    config = folder / "config.json"
    with reading(config):
        facts = dict(flat(json_of(config))) if config.exists() else {}
    sized = {} if any(name.startswith("num_") and "params" in name for name in facts) else (
        _by_name(folder.name)
    )  # fmt: skip
    return TrackedRun(folder.name, folder.name, "", {**facts, **sized}, rows)
