"""The config of a run, read back from its config.json."""

from __future__ import annotations

from pathlib import Path

from experiments import record
from experiments.config.fields import flat, from_json, to_dict
from experiments.config.overrides import assign, kind_of, paths
from experiments.config.run import RunConfig
from experiments.record import RunRecord, StoredConfig
from scaling.common.errors import UserError, nearest


def read_config(path: Path) -> RunConfig:
    """Read the config of a config.json; a field that is younger than the run has its default."""
    return from_record(record.read_file(path, RunRecord), str(path))


def stored(config: RunConfig) -> StoredConfig:
    """Turn a config into nested fields, as config.json holds them."""
    return StoredConfig(**to_dict(config))


def from_record(stored: StoredConfig, path: str) -> RunConfig:
    """Turn nested fields into a config; `path` is the file, for messages.

    Raises:
        UserError: a field that no longer exists, or is of another type.
    """
    fields = {**dict(flat(stored.science)), **dict(flat(stored.execution, "execution."))}
    for name in fields:
        if name not in paths():
            raise UserError(f"{path}: {name}: no such field now; {nearest(name, paths())}")
    typed = {
        name: from_json(f"{path}: {name}", value, kind_of(name)) for name, value in fields.items()
    }
    return assign(RunConfig(), typed)
