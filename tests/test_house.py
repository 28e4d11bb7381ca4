"""The tree keeps its rules: mirrored tests, no cycles, small folders, short files, plain words."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from paths import ROOT

ROOMS = ("scaling", "models", "experiments", "analysis", "tpu")
TESTS = Path("tests")
HIDDEN = ("__init__.py", "__main__.py", "__pycache__")
ENTRIES, LINES = 12, 400
# a folder of these may have any number of files: each is a plug-in
PLUGINS = (
    *("analysis/cli", "analysis/datasets", "analysis/figures"),
    *("experiments/cli", "experiments/data/sources", "models/routers", "scaling/laws"),
    *("models/ffn", "models/mixers", "experiments/evaluation/tasks", "experiments/operations"),
    *("experiments/studies", "analysis/readings"),
)
FLOORS = {  # of experiments
    *("cli", "studies", "search", "sweep", "launchers", "training", "evaluation", "operations"),
    *("trackers", "runs", "plan", "data", "devices", "config", "record"),
}
VAGUE = re.compile(r"(What|Whoever|Whether|Those|That which|How|Where)\b")


@cache
def sources(*folders: str) -> tuple[Path, ...]:
    """The Python files of these folders, relative to the root."""
    found = (
        path.relative_to(ROOT) for folder in folders for path in ROOT.glob(f"{folder}/**/*.py")
    )
    return tuple(sorted(found))


def module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path, known: set[str]) -> Iterator[str]:
    """The modules that a file imports, at its top, in functions and for types alone."""
    for node in ast.walk(ast.parse((ROOT / path).read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in known else node.module


def folders() -> list[Path]:
    found = {path.parent for path in sources(*ROOMS)}
    assert set(map(Path, ROOMS)) <= found
    return sorted(found)


def entries(folder: Path) -> set[str]:
    return {path.name for path in (ROOT / folder).iterdir() if path.name not in HIDDEN}


def mirrored(test: Path) -> tuple[Path, ...]:
    """The files and folders that a test may be about: of tests/a/test_b.py, a/b.py or a/b."""
    name, folder = test.stem.removeprefix("test_"), ROOT / test.parent.relative_to(TESTS)
    return tuple(folder / part for part in (f"{name}.py", f"_{name}.py", f"__{name}__.py", name))


def test_each_test_lies_where_its_source_lies() -> None:
    tests = [
        path for path in sources("tests") if path.parts[1] in ROOMS and path.stem != "conftest"
    ]
    assert len(tests) > 100
    assert not [str(test) for test in tests if not any(path.exists() for path in mirrored(test))]


@pytest.mark.parametrize("room", ROOMS)
def test_no_files_import_each_other_in_a_circle(room: str) -> None:
    known = {module(path) for path in sources(*ROOMS)}
    graph = {module(path): set(imports(path, known)) - {module(path)} for path in sources(room)}
    assert sum(map(len, graph.values())) > len(graph), "every room imports"
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])), pytrace=False)


def test_folders_are_small() -> None:
    sizes = {str(folder): len(entries(folder)) for folder in folders()}
    del sizes["experiments"]
    assert set(PLUGINS) <= sizes.keys()
    large = {name: size for name, size in sizes.items() if size > ENTRIES and name not in PLUGINS}
    assert not large
    assert entries(Path("experiments")) == FLOORS


def test_files_are_short() -> None:
    found = sources(*ROOMS, "tests")
    lines = {str(path): (ROOT / path).read_bytes().count(b"\n") for path in found}
    assert not {name: count for name, count in lines.items() if count > LINES}


def test_docstrings_open_with_a_noun_or_an_imperative() -> None:
    vague, seen = [], 0
    for path in sources(*ROOMS, "tests"):
        for node in ast.walk(ast.parse((ROOT / path).read_bytes())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node) or ""
                seen += bool(text)
                if VAGUE.match(text):
                    vague.append(f"{path}:{getattr(node, 'lineno', 1)}: {text.splitlines()[0]}")
    assert seen > 1000
    assert not vague, "\n".join(vague)


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_inside_each_room_go_down(room: str) -> None:
    """A contract of import-linter names the layer of every module of the room."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (contract,) = [c for c in settings["contracts"] if c.get("containers") == [room]]
    assert (contract["type"], contract["exhaustive"]) == ("layers", True)
