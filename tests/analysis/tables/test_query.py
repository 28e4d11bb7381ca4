"""Conditions on the rows of a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.tables.query import rows
from scaling.common.errors import UserError


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame({
        "flops_6nd": [1e14, 1e15, 1e16, np.nan],
        "rung": pd.array([0, 1, 2, None], dtype="Int64"),
        "data.source": ["web", "web and books", None, "code"],
        "Model Size": [1, 2, 3, 4],
        "tied": [True, False, True, False],
        "size": ["60M", "1.2B", "2e9", "total"],
        "C": np.array([10**20, 10**23, 2**64, 3 * 10**22], dtype=object),
        "run_id": ["5381e182", "12e5", "120e4", "00123"],
    })  # fmt: skip


@pytest.mark.parametrize(
    ("query", "chosen"),
    [
        ("flops_6nd>1e15", [2]),
        ("flops_6nd >= 1e15", [1, 2]),
        ("flops_6nd<1e15", [0]),
        ("flops_6nd<=1e15", [0, 1]),
        ("flops_6nd==1e15", [1]),
        ("flops_6nd!=1e15", [0, 2]),
        ("rung>=1", [1, 2]),
        ("rung!=1", [0, 2]),
        ("  rung >= 1  and  flops_6nd < 1e16 ", [1]),
        ("data.source==web", [0]),
        ("data.source=='web and books'", [1]),
        ('data.source!="web and books" and rung>=0', [0]),
        ("data.source!=web", [1, 3]),
        ("Model Size>2", [2, 3]),
        ("tied==True", [0, 2]),
        ("tied!=True and Model Size>=1", [1, 3]),
        ("tied==true", [0, 2]),
        ("rung==0 or rung==2", [0, 2]),
        ("rung==0 or rung>=1 AND flops_6nd>1e15", [0, 2]),
        ("rung>=1 && flops_6nd<1e16 | Model Size==4", [1, 3]),
        ("1e15<flops_6nd", [2]),
        ("Model Size>rung", [0, 1, 2]),
        ("data.source==*", [0, 1, 3]),
        ("size>60M", [1, 2]),
        ("size==1.2B", [1]),
        ("C>1e22", [1, 3]),
        ("run_id==120e4", [2]),
        ("run_id!=12e5", [0, 2, 3]),
        ("Model Size==last of tied", [2, 3]),
        ("C == Last of 'data.source'", [0, 1, 2, 3]),
        ("flops_6nd==last of tied and rung>=1", [1, 2]),
        ("rung!=2 and C==last of tied", [0, 1]),
    ],
)
def test_rows_that_meet_every_condition(table: pd.DataFrame, query: str, chosen: list[int]):
    mask = rows(table, query)
    assert mask.dtype == bool
    assert np.flatnonzero(mask).tolist() == chosen


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "write column, comparison and value"),
        ("flops_6nd", "write column, comparison and value"),
        ("flops_6nd=1e15", "write column, comparison and value"),
        ("flops_6nd=>1e15", "write column, comparison and value"),
        ("flops_6nd>", "write column, comparison and value"),
        (">1e15", "write column, comparison and value"),
        ("rung>1 and", "holds numbers, not '1 and'"),
        ("flops_6dn>1e15", "no column 'flops_6dn'; did you mean 'flops_6nd'"),
        ("flops_6nd>large", "'flops_6nd' holds numbers, not 'large'"),
        ("data.source>web", "'data.source' holds text: use == or !="),
        ("tied>0", "'tied' holds text"),
        ("(rung>1)", "without brackets"),
        ("not rung>1", "without brackets"),
        ("Model Size==7", "holds no 7; the nearest is 4"),
        ("Model Size==last of tide", "no column 'tide': did you mean 'tied'"),
        ("data.source==last of tied", "column 'data.source' holds no numbers"),
        ("data.source==wbe", "'data.source' holds no 'wbe'; did you mean 'web'"),
    ],
)
def test_a_condition_that_cannot_be_read(table: pd.DataFrame, query: str, message: str):
    with pytest.raises(UserError, match=message) as error:
        rows(table, query)
    assert "\n" not in str(error.value)
