"""A hook of MkDocs: pages made from the code, and pages that lie elsewhere in the repository.

Commands, fields, laws and figures are described by their own files, so no page is out of date.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs_jupyter.plugin import NotebookFile

from analysis import figures
from experiments.config.meanings import meanings
from scaling.common import command_line, plugins
from scaling.common.packages import ROOMS
from scaling.laws import LAWS, Law

ROOT = Path(__file__).parents[2]
SHELL = "windtunnel|pip|python|make|git|export|srun|gcloud|source|split|WHERE|NUMBER"
COMMANDS = re.compile(rf"<pre>(?=<span></span><code>(?:#[^\n]*\n|\w+=\S* )*(?:{SHELL})\b)")
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


# for lines of a terminal
NARROW = "<style>.md-typeset pre > code { font-size: .7em; white-space: pre-wrap }</style>"


def commands() -> str:
    """The --help of every command."""
    os.environ["COLUMNS"] = "96"
    found = command_line.commands(command_line.parser(*ROOMS))
    parts = [f"## {name}\n\n```text\n{each.format_help()}```\n" for name, each in found]
    return "\n".join(["# Commands\n", NARROW, "", *parts])


def fields() -> str:
    """Meaning, default, unit and range of every field, section by section."""
    parts = [
        "# Fields of a run\n\n`--set NAME=VALUE` sets one; `windtunnel fields NAME` finds it.\n"
    ]
    for section, group in groupby(meanings(), key=lambda each: each.field.partition(".")[0]):
        rows = [
            f"| `{each.field}` | {_cell(each.default)} | {each.unit} | {each.range} | {each.text} |"
            for each in group
        ]
        heads = ["| field | default | unit | values | meaning |", "| --- | --- | --- | --- | --- |"]
        parts.append("\n".join([f"## {section}\n", *heads, *rows, ""]))
    return "\n".join(parts)


def _cell(default: Any) -> str:
    return f"`{default}`" if default not in ("", ()) else ""


def gallery() -> str:
    """Every published figure as it is drawn here, and the lines of its file that explain it."""
    how = "Published figures, drawn again from released data by `windtunnel figure NAME`."
    parts = [f"# Gallery\n\n{how} It prints the published numbers beside ours.\n"]
    for name in figures.names():
        text = inspect.getdoc(plugins.load(figures.__name__, name, "figure")) or ""
        title, _, more = re.sub(r"([*_])", r"\\\1", text).partition("\n")
        parts.append(f"## {title}\n\n![{title}](gallery/{name}.svg)\n\n{more.strip()}\n")
    return "\n".join(parts)


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
    "reference/fields.md": fields,
    "reference/laws.md": laws,
    "gallery.md": gallery,
}
NOTEBOOKS = sorted((ROOT / "analysis" / "notebooks").glob("*.ipynb"))
COPIED = {  # files of the repository outside docs/, as pages
    "tpu.md": ROOT / "tpu" / "README.md",
    "results.md": ROOT / "benchmarks" / "RESULTS.md",
    "contributing.md": ROOT / "CONTRIBUTING.md",
    **{f"tutorials/{path.name}": path for path in NOTEBOOKS},
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the made pages and the copied ones."""
    for uri, make in MADE.items():
        files.append(File.generated(config, uri, content=make()))
    for uri, path in COPIED.items():
        file = File.generated(config, uri, abs_src_path=str(path))
        if path in NOTEBOOKS:  # mkdocs-jupyter has looked for its own already
            file = NotebookFile(file, **config)
            file.abs_src_path = str(path)
        files.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The text, with links to copied files and all links of these as the site has them."""
    docs, uri = Path(config.docs_dir), page.file.src_uri
    home = COPIED[uri].parent if uri in COPIED else (docs / uri).parent
    pages = {path: name for name, path in COPIED.items()}

    def target(match: re.Match[str]) -> str:
        path = Path(os.path.normpath(home / match[1]))
        inside = path.relative_to(docs).as_posix() if path.is_relative_to(docs) else match[1]
        return f"]({os.path.relpath(pages.get(path, inside), Path(uri).parent)}{match[2] or ''})"

    return LINK.sub(target, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page with its blocks of commands marked, for the style to wrap them."""
    return COMMANDS.sub('<pre class="commands">', html)
