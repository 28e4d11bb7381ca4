"""Write a starting study, law, mixer or figure, with its test.

Each works as it stands, for you to change. It lies in a folder of plug-ins, which
WINDTUNNEL_PLUGINS names.

examples:
  windtunnel new study my_sweep --to plugins
  windtunnel new law my_law --to plugins
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from keyword import iskeyword
from pathlib import Path

from scaling.common import plugins
from scaling.common.answers import Answer, Line
from scaling.common.command_line import Parser
from scaling.common.errors import UserError
from scaling.common.files import output_folder, write_bytes

# Each file my_KIND.py here lies as it will in a folder of plug-ins; tests/test_my_KIND.py tests it
STARTERS = Path(__file__).parent / "_starters"
FOLDERS = {path.stem.removeprefix("my_"): path.parent for path in STARTERS.glob("**/my_*.py")}


def add(parser: Parser) -> None:
    parser.add_argument("kind", choices=sorted(FOLDERS), help=", ".join(sorted(FOLDERS)))
    parser.add_argument("name", help="a word of letters, digits and _")
    parser.add_argument(
        "--to",
        type=output_folder,
        default=Path(os.environ.get(plugins.VARIABLE, "plugins")),
        metavar="FOLDER",
        help="of plug-ins (default: WINDTUNNEL_PLUGINS, else plugins)",
    )


def run(options: argparse.Namespace) -> Answer:
    files = texts(options.kind, options.name)
    paths = [options.to / name for name in files]
    for path in paths:
        if path.exists():
            raise UserError(f"{path}: exists already; choose another name")
    for path, text in zip(paths, files.values(), strict=True):
        write_bytes(path, text.encode())
    file, test = map(str, paths)
    yield Line(
        "{file}: its first lines say how to use it\n{test}: pytest {test}", file=file, test=test
    )
    folder = str(options.to.absolute())
    if os.environ.get(plugins.VARIABLE) != folder:
        yield Line("next: export {variable}={folder}", variable=plugins.VARIABLE, folder=folder)
    return 0


def texts(kind: str, name: str) -> Mapping[Path, str]:
    """The starting file and its test, by their places in a folder of plug-ins.

    Raises:
        UserError: the name is no name of a module, or one of this kind has it.
    """
    folder = FOLDERS[kind].relative_to(STARTERS)
    is_word = name.isidentifier() and name.islower() and not iskeyword(name)
    if not is_word or name.startswith("_"):
        raise UserError(f"{name}: not a word of small letters, digits and _, such as my_{kind}")
    if name in plugins.names(".".join(folder.parts)):
        raise UserError(f"{name}: there is a {kind} of this name; choose another")
    own = f"my_{kind}"
    sources = (folder / f"{own}.py", Path("tests", f"test_{own}.py"))
    return {
        source.with_name(source.name.replace(own, name)): (
            (STARTERS / source).read_text(encoding="utf-8").replace(own, name)
        )
        for source in sources
    }
