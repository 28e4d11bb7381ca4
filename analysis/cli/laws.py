"""List the laws: form, variables, units, source and published constants.

With a name, everything that is published about that law.

  windtunnel laws
  windtunnel laws chinchilla
"""

from __future__ import annotations

import argparse
import textwrap
from typing import TYPE_CHECKING, Any

from scaling.common.answers import Answer, Line, Shown, Whole

if TYPE_CHECKING:
    from scaling.laws import Law, Published

WIDTH = 96
ENTRY = ("name", "values", "intervals", "recipe", "source")
QUOTED = "quoted without the rest of the constants: predicts nothing"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("law", nargs="?", help="name of one law")


def run(options: argparse.Namespace) -> Answer:
    """Print the list, or one law."""
    from scaling.laws import LAWS, by_name

    if options.law is not None:
        law = by_name(options.law)
        yield Whole(_values(law), _whole(law))
        return 0
    for law in LAWS.values():
        yield Line("{law}", "laws", law=Shown(_values(law), _short(law)))
    return 0


def _values(law: Law) -> dict[str, Any]:
    """All that is known of a law."""
    known = ("name", "form", "variables", "units", "source", "parameters")
    return {
        **{name: getattr(law, name) for name in known},
        "published": [_entry(each) for each in law.published],
        "quoted": [_entry(each) for each in law.quoted],
    }


def _entry(each: Published) -> dict[str, Any]:
    return {**{name: getattr(each, name) for name in ENTRY}, "convention": vars(each.convention)}


def _short(law: Law) -> str:
    lines = [law.name, _item("form", law.form), _item("variables", ", ".join(law.variables))]
    lines += [_item("units", law.units), _item("source", law.source)]
    if law.published:
        lines.append(_item("constants", ", ".join(entry.name for entry in law.published)))
    return "\n".join(lines) + "\n"


def _whole(law: Law) -> str:
    lines = [law.name, _item("form", law.form), _item("variables", ", ".join(law.variables))]
    lines += [_item("units", law.units), _item("source", law.source)]
    lines += [_item("parameters", ", ".join(law.parameters))]
    titled = [(entry, f"{law.name}:{entry.name}") for entry in law.published]
    titled += [(entry, f"{entry.name} ({QUOTED})") for entry in law.quoted]
    for entry, title in titled:
        values = ", ".join(
            f"{name} {value:.6g}{_ends(entry, name)}" for name, value in entry.values.items()
        )
        kept = entry.convention
        lines += [
            f"\n  {title}",
            _item("values", values, 4),
            _item("parameters counted", kept.params, 4),
            _item("data", kept.tokens, 4),
            _item("loss", f"{kept.loss}; logarithms to base {kept.log_base}", 4),
            _item("recipe", entry.recipe, 4),
            _item("source", entry.source, 4),
        ]
    return "\n".join(lines)


def _ends(entry: Published, name: str) -> str:
    if entry.intervals is None or name not in entry.intervals:
        return ""
    low, high = entry.intervals[name]
    return f" [{low:g}, {high:g}]"


def _item(name: str, value: str, indent: int = 2) -> str:
    return textwrap.fill(
        f"{name}: {value}",
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 4),
    )
