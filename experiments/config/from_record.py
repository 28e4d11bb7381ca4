"""The config of a run, read back from its config.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments import record
from experiments.config.fields import flat, from_json
from experiments.config.overrides import assign, kind_of, paths
from experiments.config.run import RunConfig
from scaling.common.errors import UserError, nearest


def read_config(path: Path) -> RunConfig:
    """The config of a config.json; a field that is younger than the run has its default."""
    return from_record(record.read_json(path), str(path))


def from_record(value: Mapping[str, Any], path: str) -> RunConfig:
    """The config in parsed JSON; `path` is the file, for messages.

    Raises:
        UserError: no config of a run, or one with a field that there is no more.
    """
    if not {"science", "execution"} <= value.keys():
        raise UserError(f"{path}: it has no science or no execution; is it the config of a run?")
    fields = {**dict(flat(value["science"])), **dict(flat(value["execution"], "execution."))}
    for name in fields:
        if name not in paths():
            raise UserError(f"{path}: {name}: no such field now; {nearest(name, paths())}")
    typed = {
        name: from_json(f"{path}: {name}", value, kind_of(name)) for name, value in fields.items()
    }
    return assign(RunConfig(), typed)
