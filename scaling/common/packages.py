"""The packages of this project, told apart from folders of the same names beside a user's script.

Python looks beside the script first, so that a folder `models/` there hides ours.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.common.errors import UserError

HOME = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Room:
    """A room that has commands."""

    uses: tuple[str, ...]  # packages of this project
    word: str = ""  # before its commands, beside those of other rooms


ROOMS: Mapping[str, Room] = {
    "experiments": Room(("models", "experiments")),
    "analysis": Room(("experiments", "analysis")),
    "tpu": Room(("models", "experiments", "tpu"), word="tpu"),
}


class ShadowedError(UserError, ImportError):
    """Another package has the name of one that is needed here."""


def check_packages(*names: str, home: Path = HOME) -> None:
    """Check that the packages of these names are ours.

    Raises:
        ShadowedError: another one comes first on Python's path.
    """
    for name in names:
        spec = importlib.util.find_spec(name)
        found = [] if spec is None else [*(spec.submodule_search_locations or ()), spec.origin]
        if str(home / name) not in found:
            place = next(filter(None, found), "nowhere")
            raise ShadowedError(
                f"'{name}' is {place}, which hides {home / name} that this project needs; "
                "rename it, or start in another folder"
            )


def lazy(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package: each public name is loaded from its home on first use."""

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        check_packages(*ROOMS[package].uses)
        return getattr(importlib.import_module(homes[name]), name)

    return load
