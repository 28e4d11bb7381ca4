"""TensorBoard: event files, where each folder of them is a run, and scalars that it exports.

Its page exports one scalar of one run, as `run-NAME-tag-TAG.csv` with the columns Wall time, Step
and Value, or as JSON of the same triples. Hyperparameters are those of the HParams plug-in. Event
files hold float32, and no word of how a run ended, unless a text `status` says it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from analysis.tables.files import load_table
from analysis.tables.importers._form import TrackedRun, json_of, reading
from scaling.common.plugins import import_extra

EVENTS = "*tfevents*"
EXPORT = re.compile(r"(?:run-)?(?P<run>.+?)-tag-(?P<tag>.+)\.(?:csv|json)")
STATUS = "status"

Rows = dict[int, dict[str, Any]]


def runs(path: Path) -> Iterator[TrackedRun]:
    """A run for each folder with event files, and for each name in exported scalars."""
    if not path.is_dir():
        yield from _exported([path]) if EXPORT.fullmatch(path.name) else [_run(path, path.parent)]
        return
    folders = sorted({file.parent for file in path.rglob(EVENTS)})
    yield from (_run(folder, path) for folder in folders)
    yield from _exported(sorted(each for each in path.rglob("*") if EXPORT.fullmatch(each.name)))


def _run(place: Path, root: Path) -> TrackedRun:
    """One run of all its event files."""
    loader = import_extra(
        "tensorboard.backend.event_processing.event_file_loader", "tensorboard", "an event file"
    )
    make_ndarray = import_extra("tensorboard.util.tensor_util", "tensorboard", "it").make_ndarray
    files = sorted(place.glob(EVENTS)) if place.is_dir() else [place]
    rows: Rows = defaultdict(dict)
    facts: dict[str, Any] = {}
    status = ""
    for file in files:
        for event in loader.EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                plugin = value.metadata.plugin_data
                if plugin.plugin_name == "hparams":
                    facts |= _hyperparameters(plugin.content)
                elif value.HasField("tensor"):
                    held = make_ndarray(value.tensor)
                    if held.size == 1 and np.issubdtype(held.dtype, np.number):
                        rows[event.step][value.tag] = float(held.item())
                    elif held.size == 1 and value.tag.split("/")[0] == STATUS:
                        status = held.item().decode()
                elif value.HasField("simple_value"):
                    rows[event.step][value.tag] = float(value.simple_value)
    name = str(place.relative_to(root)) if place != root else place.name
    return TrackedRun(name, name, status, facts, _in_order(rows))


def _hyperparameters(content: bytes) -> dict[str, Any]:
    metadata = import_extra("tensorboard.plugins.hparams.metadata", "tensorboard", "it")
    plugin_data = import_extra("tensorboard.plugins.hparams.plugin_data_pb2", "tensorboard", "it")
    data = plugin_data.HParamsPluginData.FromString(content)
    if not data.HasField("session_start_info"):
        return {}
    start = metadata.parse_session_start_info_plugin_data(content)
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}


def _exported(files: list[Path]) -> Iterator[TrackedRun]:
    """Runs by the names of the files, whose values are joined by their steps."""
    found: dict[str, Rows] = defaultdict(lambda: defaultdict(dict))
    for file in files:
        said = EXPORT.fullmatch(file.name)
        assert said
        for step, value in _points(file):
            found[said["run"]][step][said["tag"]] = value
    for name, rows in found.items():
        yield TrackedRun(name, name, "", {}, _in_order(rows))


def _points(file: Path) -> list[tuple[int, float]]:
    with reading(file):
        if file.suffix == ".json":
            return [(int(step), float(value)) for _, step, value in json_of(file)]
        table = load_table(file)
        pairs = zip(table["Step"], table["Value"], strict=True)
        return [(int(step), float(value)) for step, value in pairs]


def _in_order(rows: Rows) -> list[dict[str, Any]]:
    return [{"step": step, **rows[step]} for step in sorted(rows)]
