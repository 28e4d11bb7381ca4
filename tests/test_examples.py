"""Every example of every --help runs, in a folder that holds what the examples name."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import coordinates
import numpy as np
import pandas as pd
import pytest
import tiny
from commands import parsers
from paths import DATA
from plugged import plugged
from synthetic import Plan, train_held_out, write_study

from analysis import datasets
from analysis.__main__ import main as analyse
from analysis.hyperparameters import regress, save_law
from experiments.__main__ import main as experiment
from experiments.record import StudyPart
from scaling import laws
from scaling.laws.kaplan import loss_at_batch

EXAMPLE = re.compile(r"^ *python -m (\w+) ((?:.*\\\n)*.*)$", re.MULTILINE)
SHOWN = {"run", "search", "launch"}  # by --dry-run: `make study` trains, and a cloud is elsewhere
SLOW = {"diagnose", "trajectory"}  # ten seconds of fits
LONG = {"coordinates", "compile", "host"}
NOT_HERE = (["trajectory", "runs/mine"],)  # curves of several batches
TASK = '''
"""The likelier word."""

from experiments.evaluation.choices import Item, score


def evaluate(model, mixture, science):
    items = [Item("wind", "the ", ("wind", "qzxj"), 0)]
    return score(model, items, mixture.corpora[0].tokenizer, science.batch.seq_len)
'''
NEEDS = {"chinchilla_refit": "chinchilla_epoch"}  # the table of a figure
CHINCHILLA = {"E": 1.8, "A": 400.0, "B": 600.0, "alpha": 0.34, "beta": 0.3}
CURVES = {
    "N_c": 6e13, "alpha_N": 0.076, "S_c": 2.1e3, "alpha_S": 0.76, "B_star": 2e8, "alpha_B": 0.21,
}  # fmt: skip


def examples() -> Iterator[tuple[str, list[str]]]:
    for _, _, parser in parsers():
        for room, text in EXAMPLE.findall(parser.description or ""):
            typed = text.replace("\\\n", " ").partition(" > ")[0]
            yield room, shlex.split(typed, comments=True)


EXAMPLES = list(examples())


def test_every_command_has_an_example():
    shown = {(room, arguments[0]) for room, arguments in EXAMPLES}
    assert shown >= {(room, name) for room, name, _ in parsers()}
    assert len(EXAMPLES) > 50


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
    }.items():
        folder = write_study(here / "runs" / name, plan)
        assert analyse(["predict", str(folder)]) == 0
        train_held_out(folder, plan)
    shutil.copytree(texts, here / "texts")
    write_tables(here)
    coordinates.table().to_csv(here / "runs" / "quickstart" / "coordinates.csv", index=False)
    bound, _ = swept
    run = str(bound.folder / bound.study.runs[0].run_id)
    assert experiment(["export", run, "--to", str(here / "model.safetensors")]) == 0
    with plugged(here / "mine", {"experiments.evaluation.tasks.my_task": TASK}):
        yield here


def write_tables(here: Path) -> None:
    """table.csv with losses, errors and images; law.json; curves.csv of sizes and batches."""
    size, ratio = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e7, 1e9, 6), [10, 30, 90]))
    noise = np.exp(np.random.default_rng(0).normal(0, 0.003, size.size))
    loss = laws.chinchilla.predict(CHINCHILLA, params=size, tokens=ratio * size) * noise
    columns = {"n": size, "d": ratio * size, "tokens": ratio * size, "loss": loss}
    columns |= {"params_total": size, "params_nonembedding": 0.8 * size}
    columns |= {"flops_6nd": 6 * ratio * size**2}
    columns |= {"error": 0.9 - 2.0 * np.exp(-0.6 * loss), "images": ratio * size}
    pd.DataFrame(columns).to_csv(here / "table.csv", index=False)
    best = pd.DataFrame({"params_nonembedding": size, "lr": 3 * size**-0.4 * noise})
    fits = {"lr": regress(best, "lr", ("params_nonembedding",), bootstrap=20)}
    save_law(here / "law.json", fits, name="mine", loss="", schedule="", recipe="")
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


def parsed_only(room: str, arguments: list[str]) -> bool:
    """Trains or draws for minutes, is for TPUs alone, or reads what no small study has."""
    command, *rest = arguments
    of_a_pod = room == "tpu" and "RUN" in " ".join(rest)
    return command in LONG or "--all" in rest or of_a_pod or arguments[:2] in NOT_HERE


def stand_in(swept, word: str) -> str:
    """Runs of the tiny study for RUN, and its last step."""
    bound, _ = swept
    first, _, third = (bound.folder / run.run_id for run in bound.study.part(StudyPart.FIT))
    name = re.sub(r"runs/\w+/RUN(_A)?\b", str(first), word)
    name = re.sub(r"runs/\w+/RUN_B\b", str(third), name)
    return {"512": str(tiny.STEPS)}.get(name, name)


@pytest.mark.parametrize(
    ("room", "arguments"),
    [
        pytest.param(*each, id=" ".join(each[1]), marks=[pytest.mark.slow] * (each[1][0] in SLOW))
        for each in EXAMPLES
    ],
)
def test_an_example_runs(
    room: str, arguments: list[str], place: Path, swept, monkeypatch: pytest.MonkeyPatch, capsys
):
    command, *rest = arguments
    rest = [stand_in(swept, word) for word in rest]
    module = import_module(f"{room}.__main__")
    if parsed_only(room, arguments):
        module.parser().parse_args([command, *rest])
        return
    tables = {NEEDS.get(word, word) for word in rest} & set(datasets.names())
    if absent := [name for name in tables if not (DATA / name).exists()]:
        pytest.skip(f"$WINDTUNNEL_DATA has no {', '.join(absent)}")
    monkeypatch.chdir(place)
    if command in SHOWN and "--dry-run" not in rest:
        rest.append("--dry-run")
    code, said = module.main([command, *rest]), capsys.readouterr()
    assert code == (command == "diff"), said.err
    assert said.out
