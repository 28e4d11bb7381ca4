"""Packages that only some users need."""

from __future__ import annotations

import importlib
from typing import Any

from scaling.common.errors import UserError
from scaling.common.plugins import missing


def import_extra(package: str, extra: str, purpose: str) -> Any:
    """The package, or a UserError that names the extra that brings it."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise UserError(f"{purpose} {missing(package, extra)}") from error
