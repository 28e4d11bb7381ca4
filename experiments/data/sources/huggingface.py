"""The rows of a hub dataset's train split; data.path is ``name`` or ``name:subset``.

The hub's validation split is not read: all sources share one rule of splitting.
"""

from __future__ import annotations

from collections.abc import Iterator

from experiments.config.data import CorpusConfig
from experiments.data.sources._files import one_line
from experiments.data.sources._rows import no_field, text_bytes
from experiments.data.sources._source import Document, Source
from scaling.common.errors import UserError
from scaling.common.extras import import_extra


def documents(config: CorpusConfig) -> Iterator[Document]:
    datasets = import_extra("datasets", "hub", "data.source=huggingface")
    name, _, subset = config.path.partition(":")
    try:
        rows = datasets.load_dataset(name, subset or None, split="train")
    except (OSError, ValueError) as error:
        raise UserError(f"data.path={config.path}: cannot load ({one_line(error)})") from error
    if config.field not in rows.column_names:
        raise no_field(f"{config.path}: row 0", config.field, rows.column_names)
    for number, row in enumerate(rows.select_columns([config.field])):
        place = f"{config.path}: row {number}"
        yield Document(place, text_bytes(row[config.field], config.field, place))


SOURCE = Source(documents)
