"""The packages of this project, told apart from folders of the same names beside a user's script.

Python looks beside the script first, so that a folder `models/` there hides ours.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from scaling.common.errors import UserError

HOME = Path(__file__).resolve().parents[2]
USES = {
    "experiments": ("models", "experiments"),
    "analysis": ("experiments", "analysis"),
    "tpu": ("models", "experiments", "tpu"),
}


class ShadowedError(UserError, ImportError):
    """Another package has the name of one that is needed here."""


def check_packages(room: str, home: Path = HOME) -> None:
    """Check that every package which a room uses is ours.

    Raises:
        ShadowedError: another one comes first on Python's path.
    """
    for name in USES[room]:
        spec = importlib.util.find_spec(name)
        found = [] if spec is None else [*(spec.submodule_search_locations or ()), spec.origin]
        if str(home / name) not in found:
            place = next(filter(None, found), "nowhere")
            raise ShadowedError(
                f"'{name}' is {place}, which hides {home / name} that this project needs; "
                "rename it, or start in another folder"
            )
