"""Every example of every --help and every command of README and docs runs, where its files are."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import coordinates
import fsspec
import numpy as np
import pandas as pd
import pytest
import tiny
from commands import documented, parsers
from paths import DATA
from plugged import plugged
from synthetic import Plan, train_held_out, write_study

from analysis import datasets
from analysis.hyperparameters import regress, save_law
from experiments.record import StudyPart
from experiments.runs import copies
from scaling import laws
from scaling.common.command_line import parser
from scaling.common.console import main
from scaling.common.packages import ROOMS
from scaling.laws.kaplan import loss_at_batch

EXAMPLE = re.compile(r"^ *windtunnel ((?:.*\\\n)*.*)$", re.MULTILINE)
# by --dry-run: `make study` trains, and a cloud is elsewhere
SHOWN = {"run", "search", "tpu launch"}
SLOW = {"design", "diagnose", "trajectory", "mix", "figure"}  # seconds of fits
DRAWN = {
    "simulate",
    "report",
    "gain",
    "compare",
    "search",
}  # of a page: a sibling is an example
LONG = {"coordinates", "predictors", "tpu compile", "tpu host"}
READ = ("repeated", "knowledge", "filtering")
DERIVED = ("merging", "pruning", "growth", "distillation", "quantization", "tuning")
NOT_HERE = (
    ["trajectory", "runs/mine"],  # curves of several batches
    ["best", "runs/lr_transfer"],  # tests/analysis/estimators/test_valleys.py
    ["compare", "runs/rates"],
    ["overlap", "quickstart", "--items"],  # tests/experiments/evaluation/test_copies.py
    ["mix-search", "regmix"],  # a minute; tests/analysis/inference/mixing/test_search.py
    ["mix", "runs/mixtures"],  # tests/analysis/inference/mixing/test_regressions.py
    ["plan", "runs/quickstart", "--budget"],  # tests/analysis/inference/budgets/test_ledger.py
    ["design", "runs/quickstart", "--target", "params=4.4e5,tokens=1.8e7", "--budget", "2"],  # too
    # by the trained FLOPs and seconds of real runs: tests/analysis/cli/test_gain.py
    ["gain", "runs/families", "--a", "label==qlstm"],
    [
        "gain",
        "runs/families",
        "--a",
        "label==gated_delta_hybrid",
        "--b",
        "label==attention",
        "--spent",
    ],
    ["mirror", "runs/quickstart", "--tracker", "wandb"],  # tests/experiments/test_trackers.py
    ["run", "quickstart", "--dry-run", "--plan"],  # tests/experiments/cli/test_run.py
    ["predict", "runs/mixtures"],
    ["run", "runs/mixtures"],
    ["run", "mixtures"],  # a minute to prepare the texts
    *([word, "runs/abilities"] for word in ("abilities", "predict", "report")),  # test_abilities.py
    ["evaluate", "runs/abilities"],  # tests/experiments/training/populations/test_kept.py
    ["run", "state_tracking"],  # seconds to draw the texts
    ["run", "abilities"],  # a minute to prepare the texts
    ["run", "merging"],  # a minute to prepare the texts
    ["run", "tuning"],  # the same texts
    ["run", "filtering"],  # seconds to score and sort the text
    *([word, "runs/hyperparameter_law"] for word in ("predict", "report")),  # test_grids_chain.py
    *(["report", f"runs/{name}"] for name in (*DERIVED, *READ)),  # readings have tests
    *(["import", name] for name in ("wandb", "mlflow", "marin", "olmo")),  # their own tests
    ["evaluate", "runs/quickstart"],  # tests/experiments/training/populations/test_kept.py
    ["export", "runs/mine/RUN", "--llama"],  # tests/experiments/training/exports/test_llama.py
    ["export", "runs/swiglu/RUN"],
    ["evaluate", "llama"],
    ["run", "quickstart", "--set", "data.tokenizer=file"],  # a file of the network
    ["run", "isoflop", "--set", "scale=gpu", "--set", "data.source=files"],  # gigabytes of text
)
ELSEWHERE = ("--launcher",)  # clusters: tests/experiments/launchers
OWN_TESTS = ("your-table.md", "rate.md")  # tests/test_your_table.py, tests/test_rate.py
TASK = '''
"""The likelier word."""

from experiments.evaluation.choices import Item, score


def evaluate(model, mixture, science):
    items = [Item("wind", "the ", ("wind", "qzxj"), 0)]
    return score(model, items, mixture.corpora[0].tokenizer, science.batch.seq_len)
'''
BUCKET = "memory://examples/"
STUDY = """
import tiny


def study():
    return tiny.study("texts", rates=(1e-3,))
"""
NEEDS = {"chinchilla_refit": "chinchilla_epoch"}  # the table of a figure
CHINCHILLA = {"E": 1.8, "A": 400.0, "B": 600.0, "alpha": 0.34, "beta": 0.3}
CURVES = {
    "N_c": 6e13, "alpha_N": 0.076, "S_c": 2.1e3, "alpha_S": 0.76, "B_star": 2e8, "alpha_B": 0.21,
}  # fmt: skip


def examples() -> Iterator[tuple[str, list[str]]]:
    """The command and the words of each example: of the rooms' texts, and of every command's."""
    rooms = [import_module(f"{room}.cli").__doc__ for room in ROOMS]
    commands = dict(parsers())
    for text in (*rooms, *(command.description for command in commands.values())):
        for found in EXAMPLE.findall(text or ""):
            words = shlex.split(found.replace("\\\n", " ").partition(" > ")[0], comments=True)
            name = " ".join(words[:2])
            yield (name if name in commands else words[0]), words


EXAMPLES = list(examples())


def of_pages() -> Iterator[tuple[str, list[str]]]:
    """Commands of README and docs that no --help gives; two pages have tests of their own."""
    known, commands = [words for _, words in EXAMPLES], dict(parsers())
    for page, words in documented():
        if words not in known and page not in OWN_TESTS:
            known.append(words)
            name = " ".join(words[:2])
            yield (name if name in commands else words[0]), words


TYPED = list(of_pages())


def test_every_command_has_an_example():
    assert {command for command, _ in EXAMPLES} == {name for name, _ in parsers()}
    assert len(EXAMPLES) > 50 and len(TYPED) > 40


@pytest.fixture(scope="session")
def place(swept, texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with the studies, tables and files of the examples."""
    here = tmp_path_factory.mktemp("examples")
    for name, plan in {
        "quickstart": Plan(),
        "isoflop": Plan(isoflop="yes"),
        "wsd_branches": Plan(),
        "muon": Plan(seed=2),
        "adamw": Plan(seed=3),
        "mine": Plan(labels={"muon": 1.2, "adamw": 1.0}),
        "families": Plan(labels={"attention": 1.0, "gated_delta_hybrid": 1.3, "qlstm": 1.5}),
    }.items():
        folder = write_study(here / "runs" / name, plan)
        assert main(["predict", str(folder)]) == 0
        train_held_out(folder, plan)
    shutil.copytree(texts, here / "texts")
    (here / "notes").mkdir()
    notes = [{"text": " ".join(map(str, range(n, n + 700)))} for n in range(1500)]  # 5 MB
    (here / "notes" / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in notes))
    for name, content in {
        "mine": STUDY,
        "big": STUDY,
        "my/search": tiny.SEARCH_FILE.format(path="texts"),
    }.items():
        (here / f"{name}.py").parent.mkdir(exist_ok=True)
        (here / f"{name}.py").write_text(content)
    rows = "".join(json.dumps({"text": path.read_text()}) + "\n" for path in texts.glob("*.txt"))
    with fsspec.open(f"{BUCKET}text/a.jsonl.gz", "wt", compression="infer") as file:
        file.write(rows)
    write_tables(here)
    fsspec.filesystem("memory").put(str(here / "table.csv"), "/examples/table.csv")
    copies.send(here / "runs" / "mine", f"{BUCKET}mine")
    coordinates.table().to_csv(here / "runs" / "quickstart" / "coordinates.csv", index=False)
    bound, _ = swept
    run = str(bound.folder / bound.study.runs[0].run_id)
    for name in ("model", "weights"):
        assert main(["export", run, "--to", str(here / f"{name}.safetensors")]) == 0
    with plugged(here / "mine", {"experiments.evaluation.tasks.my_task": TASK}):
        yield here


@pytest.fixture
def apart(place: Path, tmp_path: Path) -> Path:
    """The working folder with files of its own: what one example writes no other reads."""
    for path in place.iterdir():
        mine = tmp_path / path.name
        mine.symlink_to(path) if path.is_dir() else shutil.copy(path, mine)
    return tmp_path


def write_tables(here: Path) -> None:
    """table.csv with losses, errors and images; law.json; curves.csv of sizes and batches; the
    exports of trackers."""
    size, ratio = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e7, 1e9, 6), [10, 30, 90]))
    noise = np.exp(np.random.default_rng(0).normal(0, 0.003, size.size))
    loss = laws.chinchilla.predict(CHINCHILLA, params=size, tokens=ratio * size) * noise
    columns = {"n": size, "d": ratio * size, "tokens": ratio * size, "loss": loss}
    columns |= {"params_total": size, "params_nonembedding": 0.8 * size}
    columns |= {"flops_6nd": 6 * ratio * size**2}
    columns |= {"error": 0.9 - 2.0 * np.exp(-0.6 * loss), "images": ratio * size}
    columns |= {"samples": ratio * size}
    pd.DataFrame(columns).to_csv(here / "table.csv", index=False)
    pd.DataFrame(columns).to_csv(here / "runs.csv", index=False)
    ladder = pd.DataFrame(columns)[["params_total", "tokens", "loss"]]
    ladder.to_csv(here / "ladder.csv", index=False)
    octaves = np.linspace(-3, 3, 9)
    settings = pd.DataFrame({"n": np.repeat([1e6, 4e6, 1.6e7], 18), "tokens": 1e9})
    settings["lr"] = np.tile(0.01 * 2.0**octaves, 6) * (settings["n"] / 1e6) ** -0.3
    settings["label"] = np.tile(np.repeat(["muon", "adamw"], 9), 3)
    bent = 3 - 0.1 * np.log(settings["n"] / 1e6) + 0.02 * np.tile(octaves, 6) ** 2
    settings["loss"] = bent + 0.01 * (settings["label"] == "adamw")
    settings.assign(params=settings["n"]).to_csv(here / "settings.csv", index=False)
    runs = pd.DataFrame(columns).rename(columns={"loss": "eval/loss"})
    runs.assign(Name="ladder", State="finished").to_csv(here / "export.csv", index=False)
    (here / "logs").mkdir()
    scalars = pd.DataFrame({"Wall time": [0.0, 1.0], "Step": [1, 2], "Value": [3.0, 2.5]})
    scalars.to_csv(here / "logs" / "run-a-tag-loss.csv", index=False)
    best = pd.DataFrame({"params_nonembedding": size, "lr": 3 * size**-0.4 * noise})
    best["batch_tokens"] = 64 * (best["params_nonembedding"] / 1e4) ** 0.2
    fits = {
        name: regress(best, name, ("params_nonembedding",), bootstrap=20)
        for name in ("lr", "batch_tokens")
    }
    save_law(here / "law.json", fits, name="mine", loss="", schedule="", recipe="")
    (here / "runs" / "critical_batch").mkdir()
    shutil.copy(here / "law.json", here / "runs" / "critical_batch")
    parts = []
    for n, batch in [*((n, 2**17) for n in (1e6, 6e6, 4e7)), *((6e6, 2**p) for p in range(14, 20))]:
        steps = np.unique(np.geomspace(100, 1e5, 60).round())
        losses = loss_at_batch(CURVES, n, batch, steps)
        parts.append(
            pd.DataFrame(
                {"name": f"{n}/{batch}", "params_nonembedding": n, "batch_tokens": batch}
                | {"step": steps, "loss": losses}
            )
        )
    pd.concat(parts).to_csv(here / "curves.csv", index=False)


def parsed_only(command: str, words: list[str]) -> bool:
    """Trains or draws for minutes, is for TPUs alone, or reads what no small study has."""
    if words[0] == "run" and any(word.startswith(ELSEWHERE) for word in words):
        return True
    return (
        command in LONG or "--all" in words or any(words[: len(each)] == each for each in NOT_HERE)
    )


def takes_seconds(command: str, words: list[str], slow: set[str]) -> bool:
    """Fits of three families, or the forecast of every run under a layout."""
    layout = words[0] == "run" and any("execution.layout" in word for word in words)
    return command in slow or layout or words[:2] == ["compare", "runs/families"]


def stand_in(swept, command: str, word: str) -> str:
    """Runs of the tiny study for RUN, its last step, and a bucket in memory."""
    bound, _ = swept
    first, _, third = (bound.folder / run.run_id for run in bound.study.part(StudyPart.FIT))
    name = re.sub(r"runs/\w+/RUN(_A)?\b", str(first), word)
    name = re.sub(r"runs/\w+/RUN_B\b", str(third), name)
    name = name.replace("STUDY", "quickstart")
    if command == "tpu estimate" and name == "16":  # chips, of a batch of four
        return "4"
    if not command.startswith("tpu"):
        name = re.sub(r"(gs|s3)://(my-)?bucket/", BUCKET, name)
    return {"512": str(tiny.STEPS), "flops_6nd>1e21": "flops_6nd>1e20"}.get(name, name)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        pytest.param(
            *each, id=" ".join(each[1]), marks=[pytest.mark.slow] * takes_seconds(*each, slow)
        )
        for found, slow in ((EXAMPLES, SLOW), (TYPED, SLOW | DRAWN))
        for each in found
    ],
)
def test_an_example_runs(
    command: str, words: list[str], apart: Path, swept, monkeypatch: pytest.MonkeyPatch, capsys
):
    if parsed_only(command, words):
        parser(*ROOMS).parse_args(words)
        return
    words = [stand_in(swept, command, word) for word in words]
    if command == "best" or "--equal-tuning" in words:  # several settings of each size
        words = ["settings.csv" if word == "table.csv" else word for word in words]
    if command == "copy" and words[-1] == "runs/mine":  # of another machine
        words[-1] = "runs/there"
    tables = {NEEDS.get(word, word) for word in words} & set(datasets.names())
    if absent := [name for name in tables if not (DATA / name).exists()]:
        pytest.skip(f"$WINDTUNNEL_DATA has no {', '.join(absent)}")
    monkeypatch.chdir(apart)
    if command in SHOWN and "--dry-run" not in words:
        words.append("--dry-run")
    code, said = main(words), capsys.readouterr()
    assert code == (command == "diff"), said.err
    assert said.out
