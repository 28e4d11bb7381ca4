"""README and docs/: commands parse, settings are fields, files and links exist."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest
from paths import ROOT

from experiments import studies
from experiments.config.overrides import paths
from experiments.config.run import Science

PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
COMMAND = re.compile(
    r"^ {4}(?:srun )?python -m (experiments|analysis|tpu) ((?:\\\n|[^`#\n])+)", re.MULTILINE
)
ROOMS = "scaling|models|experiments|analysis|tpu|tests|benchmarks"
FILE = re.compile(rf"(?<![/\w])(?:{ROOMS})/[\w/]+\.\w+")
LINK = re.compile(r"\]\((?!http)([^)#]+)\)")
SECTIONS = "|".join(("execution", *(field.name for field in fields(Science))))
SETTING = re.compile(rf"[`\s]((?:{SECTIONS})(?:\.[a-z_0-9]+)+)\b(?!\.py)")
BUILT_IN = studies.files(studies.STUDY)


def texts() -> list[tuple[Path, str]]:
    return [(page, page.read_text(encoding="utf-8")) for page in PAGES]


COMMANDS = [
    (room, shlex.split(rest.replace("\\\n", " ")))
    for _, text in texts()
    for room, rest in COMMAND.findall(text)
]


@pytest.mark.parametrize("room", ["experiments", "analysis", "tpu"])
def test_commands_parse(room: str):
    found = [arguments for each, arguments in COMMANDS if each == room]
    assert len(found) >= 3
    for arguments in found:
        import_module(f"{room}.__main__").parser().parse_args(arguments)


def test_commands_of_studies_set_fields():
    """The study of each command, with what the command sets; corpora and clusters are elsewhere."""
    loaded = 0
    for room, (_, *rest) in COMMANDS:
        if room == "experiments" and rest and rest[0] in BUILT_IN:
            given = [b for a, b in pairwise(rest) if a == "--set"]
            assert studies.load(rest[0], given).runs
            loaded += 1
    assert loaded > 10


def test_settings_are_fields():
    found = {name for _, text in texts() for name in SETTING.findall(text)}
    assert {"optimizer.learning_rate", "execution.layout.name"} <= found
    assert not found - set(paths())


def test_files_and_links_exist():
    files = {name for _, text in texts() for name in FILE.findall(text)}
    assert "models/transformer.py" in files
    assert not [name for name in sorted(files) if not (ROOT / name).exists()]
    links = [(page, name) for page, text in texts() for name in LINK.findall(text)]
    assert len(links) > 10
    assert not [(page, name) for page, name in links if not (page.parent / name).exists()]
