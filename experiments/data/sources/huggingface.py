"""The rows of a hub dataset's train split; data.path is ``name`` or ``name:subset``.

The hub's validation split is not read: all sources share one rule of splitting.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from experiments.config.data import CorpusConfig
from experiments.data.sources._files import one_line
from experiments.data.sources._rows import column_of, row_text, usable_rows
from experiments.data.sources._source import Document, Skipped, Source
from scaling.common.errors import UserError
from scaling.common.plugins import import_extra


def documents(config: CorpusConfig) -> Iterator[Document | Skipped]:
    datasets = import_extra("datasets", "hub", "data.source=huggingface")
    name, _, subset = config.path.partition(":")
    try:
        rows = datasets.load_dataset(name, subset or None, split="train")
    except (OSError, ValueError) as error:
        raise UserError(f"data.path={config.path}: cannot load ({one_line(error)})") from error
    column = column_of(config.field, rows.column_names, config.path)
    places = (
        (f"{config.path}: row {k}", row) for k, row in enumerate(rows.select_columns([column]))
    )
    yield from usable_rows(places, partial(row_text, field=config.field))


SOURCE = Source(documents, usage="data.path=NAME or NAME:SUBSET; pip install -e '.[hub]'")
