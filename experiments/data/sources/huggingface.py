"""The rows of a hub dataset's train split, streamed; data.path is ``name[:subset[:rows]]``.

The dataset is read as it comes, never stored as a whole, and again for each pass over the text:
give a number of rows for a part of a large one. The hub's validation split is not read: all sources
share one rule of splitting.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain, islice

from experiments.config.data import CorpusConfig
from experiments.data.sources._files import one_line
from experiments.data.sources._rows import column_of, row_text, usable_rows
from experiments.data.sources._source import Document, Skipped, Source
from scaling.common.errors import UserError
from scaling.common.plugins import import_extra
from scaling.common.quantities import integer


def documents(config: CorpusConfig) -> Iterator[Document | Skipped]:
    datasets = import_extra("datasets", "hub", "data.source=huggingface")
    name, _, rest = config.path.partition(":")
    subset, _, count = rest.partition(":")
    try:
        found = datasets.load_dataset(name, subset or None, split="train", streaming=True)
        most = integer(count) if count else None
        rows = islice(found, most)
        first = next(rows, None)
    except (OSError, ValueError) as error:
        raise UserError(f"data.path={config.path}: cannot load ({one_line(error)})") from error
    if first is None:
        return
    column_of(config.field, list(first), config.path)
    places = ((f"{config.path}: row {k}", row) for k, row in enumerate(chain([first], rows)))
    yield from usable_rows(places, partial(row_text, field=config.field))


SOURCE = Source(
    documents,
    usage="data.path=NAME, NAME:SUBSET or NAME:SUBSET:ROWS; pip install -e '.[hub]'",
)
