"""A hook of MkDocs: pages made from the code, and pages that lie elsewhere in the repository.

The commands come from their parsers and the laws from their values, so these pages are never out of
date.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from scaling.common.command_line import Parser
from scaling.laws import LAWS, Law

ROOT = Path(__file__).parents[2]
ROOMS = ("experiments", "analysis", "tpu")
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def commands() -> str:
    """Every command's --help, room by room."""
    os.environ["COLUMNS"] = "96"
    parts = ["# Commands\n"]
    for room in ROOMS:
        top = import_module(f"{room}.__main__").parser()
        parts.append(f"## {room}\n\n{top.description}\n")
        parts += [f"### {sub.prog}\n\n```text\n{sub.format_help()}```\n" for sub in _subs(top)]
    return "\n".join(parts)


def _subs(top: Parser) -> list[Parser]:
    (table,) = (each for each in top._actions if isinstance(each, argparse._SubParsersAction))
    return list(table.choices.values())


def laws() -> str:
    """Form, variables, units and published constants of every law."""
    return "# Laws\n\n" + "\n".join(map(_law, LAWS.values()))


def _law(law: Law) -> str:
    rows = [f"## {law.name}\n", f"    {law.form}\n", f"Variables: {', '.join(law.variables)}."]
    rows.append(f"Units: {law.units}.\n\n{law.source}\n")
    if law.published:
        names = list(law.published[0].values)
        rows += [f"| constants | {' | '.join(names)} | source |", "| --- " * (len(names) + 2) + "|"]
        for each in law.published:
            cells = [f"{each.values[name]:g}" if name in each.values else "" for name in names]
            rows.append(f"| `{each.name}` | {' | '.join(cells)} | {each.source} |")
    return "\n".join(rows) + "\n"


MADE: Mapping[str, Callable[[], str]] = {
    "reference/commands.md": commands,
    "reference/laws.md": laws,
}
COPIED = {  # files of the repository outside docs/, as pages
    "tpu.md": ROOT / "tpu" / "README.md",
    "results.md": ROOT / "benchmarks" / "RESULTS.md",
    "contributing.md": ROOT / "CONTRIBUTING.md",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the made pages, the copied ones and the notebooks."""
    for uri, make in MADE.items():
        files.append(File.generated(config, uri, content=make()))
    notebooks = sorted((ROOT / "analysis" / "notebooks").glob("*.ipynb"))
    for uri, path in (COPIED | {f"tutorials/{path.name}": path for path in notebooks}).items():
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The text with its links to copied files, and with all links of these, as the site has them."""
    docs, uri = Path(config.docs_dir), page.file.src_uri
    home = COPIED[uri].parent if uri in COPIED else (docs / uri).parent
    pages = {path: name for name, path in COPIED.items()}

    def target(match: re.Match[str]) -> str:
        path = Path(os.path.normpath(home / match[1]))
        inside = path.relative_to(docs).as_posix() if path.is_relative_to(docs) else match[1]
        return f"]({os.path.relpath(pages.get(path, inside), Path(uri).parent)}{match[2] or ''})"

    return LINK.sub(target, markdown)
