"""README and docs/: commands parse, settings are fields, files and links exist."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import pytest
from commands import PAGES, documented
from paths import ROOT

from experiments import studies
from experiments.config.overrides import is_by_source, paths
from experiments.config.run import Science
from scaling.common import plugins
from scaling.common.command_line import parser
from scaling.common.console import main
from scaling.common.packages import ROOMS

FOLDERS = "scaling|models|experiments|analysis|tpu|tests|benchmarks"
FILE = re.compile(rf"(?<![/\w])(?:{FOLDERS})/[\w/]+\.\w+")
NAME = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\((?!http)([^)#]+)\)")
SECTIONS = "|".join(("execution", *(field.name for field in fields(Science))))
SETTING = re.compile(rf"[`\s]((?:{SECTIONS})(?:\.[a-z_0-9]+)+)\b(?!\.py)")
TRAINING = {name.replace("_", "-") for name in plugins.names("experiments.cli")}
BUILT_IN = studies.files(studies.STUDY)


def texts() -> list[tuple[Path, str]]:
    return [(page, page.read_text(encoding="utf-8")) for page in PAGES]


COMMANDS = [words for _, words in documented()]


def test_commands_parse():
    assert len(COMMANDS) > 60 and {"run", "fit", "tpu"} <= {command for command, *_ in COMMANDS}
    for arguments in COMMANDS:
        parser(*ROOMS).parse_args(arguments)


def test_commands_of_studies_set_fields():
    """The study of each command, with what the command sets; corpora and clusters are elsewhere."""
    loaded = 0
    for command, *rest in COMMANDS:
        if command in TRAINING and rest and rest[0] in BUILT_IN:
            given = [b for a, b in pairwise(rest) if a == "--set"]
            assert studies.load(rest[0], given).runs
            loaded += 1
    assert loaded > 10


def test_settings_are_fields():
    found = {name for _, text in texts() for name in SETTING.findall(text)}
    assert {"optimizer.learning_rate", "execution.layout.name"} <= found
    assert not {name for name in found - set(paths()) if not is_by_source(name)}


def test_files_and_links_exist():
    files = {name for _, text in texts() for name in FILE.findall(text)}
    assert "models/transformer.py" in files
    assert not [name for name in sorted(files) if not (ROOT / name).exists()]
    links = [(page, name) for page, text in texts() for name in LINK.findall(text)]
    assert len(links) > 10
    assert not [(page, name) for page, name in links if not (page.parent / name).exists()]


@pytest.mark.parametrize("kind", ["study", "search"])
def test_the_files_of_the_page_on_sweeps_work_as_they_stand(kind, tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.S)
    (code,) = [each for each in blocks if f"def {kind}(" in each]
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(code)
    command = "run" if kind == "study" else "search"
    assert main([command, "mine.py", "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert kind == "search" or {row["part"] for row in found["runs"]} == {"fit", "held_out"}


def test_notebooks_are_pages_of_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no files to download alone: their plug-in looks for its own before they are added."""
    mkdocs, files = (
        pytest.importorskip(name) for name in ("mkdocs.config", "mkdocs.structure.files")
    )
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "site"))
    reference = importlib.import_module("reference")
    monkeypatch.setattr(reference, "MADE", {})
    config = mkdocs.load_config(str(ROOT / "mkdocs.yml"))
    monkeypatch.setattr(config.plugins, "_current_plugin", "site", raising=False)
    found = reference.on_files(files.Files([]), config)
    notebooks = [file for file in found if file.src_uri.endswith(".ipynb")]
    assert len(notebooks) == len(reference.NOTEBOOKS) > 8
    for file in notebooks:
        assert file.is_documentation_page() and file.dest_uri.endswith(".html")
        assert Path(file.abs_src_path).parent.name == "notebooks"


def test_blocks_of_commands_wrap_on_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    """The block of each command in the pages, and no block of Python."""
    pytest.importorskip("mkdocs")
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "site"))
    reference = importlib.import_module("reference")
    for first, marked in (("windtunnel fit a.csv", 1), ("# all\npip install", 1), ("import a", 0)):
        html = f"<pre><span></span><code>{first}</code></pre>"
        assert reference.COMMANDS.subn("", html)[1] == marked
    assert "pre.commands" in (ROOT / "docs" / "style.css").read_text()


def test_every_part_has_its_rows_on_the_page_of_architectures() -> None:
    """Of mixers both tables, of feed-forwards and routers that of the layouts."""
    page = (ROOT / "docs" / "architectures.md").read_text(encoding="utf-8")
    about, layouts = (
        {name for row in rows.splitlines() if row.startswith("| ") for name in NAME.findall(row)}
        for rows in page.split("## Layouts", 1)
    )
    mixers, *others = (
        set(plugins.names(f"models.{each}")) for each in ("mixers", "ffn", "routers")
    )
    assert len(mixers) > 8 and mixers <= about
    assert set().union(*others) <= layouts
    assert {
        f"model.{each}" for each in ("recursion", "sharing", "weights=low_rank_sparse")
    } <= layouts
