"""Tables as files that say where they come from: a comment above a CSV, metadata of a Parquet."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.tables.files import typed_table
from scaling.common.files import write_bytes
from scaling.common.plugins import import_extra

if TYPE_CHECKING:
    import pandas as pd

KEY = b"windtunnel"  # of the metadata


def write(table: pd.DataFrame, file: Path, provenance: Mapping[str, str]) -> None:
    """CSV or Parquet, by the name of the file."""
    if file.suffix != ".parquet":
        write_bytes(file, f"# {json.dumps(provenance)}\n{table.to_csv(index=False)}".encode())
        return
    arrow = import_extra("pyarrow", "text", "Parquet")
    parquet = import_extra("pyarrow.parquet", "text", "Parquet")
    made = arrow.Table.from_pandas(typed_table(table.astype(object)), preserve_index=False)
    held = {**(made.schema.metadata or {}), KEY: json.dumps(provenance).encode()}
    out = io.BytesIO()
    parquet.write_table(made.replace_schema_metadata(held), out)
    write_bytes(file, out.getvalue())
