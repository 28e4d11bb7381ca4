"""Packages that only some users need."""

from __future__ import annotations

import importlib
from typing import Any

from scaling.common.errors import UserError


def import_extra(package: str, extra: str, purpose: str) -> Any:
    """The package, or a UserError that names the extra that brings it."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{purpose} needs the package '{package}': pip install 'windtunnel[{extra}]'"
        ) from error
