"""Text that the machine has: files below a folder, and Python in two."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from experiments.config.data import CorpusConfig
from experiments.data.sources import Document, Skipped, _python, documents, found_here
from experiments.data.sources._embedded import embedded
from scaling.common.errors import UserError

PYTHON = b'''"""Module.

More."""

import os


def f(x):
    """Docstring of f."""
    return "no docstring"  # a comment
'''


def test_docstrings_and_code_share_no_line() -> None:
    assert _python.docstrings(PYTHON) == b"Module.\n\nMore.\n\nDocstring of f."
    assert _python.code(PYTHON) == (
        b'\nimport os\n\n\ndef f(x):\n    return "no docstring"  # a comment\n'
    )


def test_files_below_a_folder_come_in_order_and_damaged_ones_are_named(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "z.py").write_bytes(b"z = 1")
    (tmp_path / "b" / "wrong.py").write_bytes(b"def")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "t.py").write_bytes(b"t = 1")
    (tmp_path / "a.py.gz").write_bytes(gzip.compress(b"a = 1"))
    (tmp_path / "cut.py.gz").write_bytes(gzip.compress(b"a = 1")[:-9])
    source = embedded(
        lambda: [tmp_path], lambda name: ".py" in name, "get it so", text=_python.code
    )
    found = list(source.documents(CorpusConfig()))
    assert [each.content for each in found if isinstance(each, Document)] == [b"a = 1", b"z = 1"]
    wrong = {Path(each.name).name: each.reason for each in found if isinstance(each, Skipped)}
    assert wrong.keys() == {"cut.py.gz", "wrong.py"}
    assert wrong["wrong.py"].startswith("damaged (line 1:")
    nothing = embedded(lambda: [tmp_path], lambda name: False, "get it so")
    with pytest.raises(UserError, match=r"data\.source=stdlib: no text on this machine; get it so"):
        list(nothing.documents(CorpusConfig()))


@pytest.mark.parametrize("name", ["metadata", "stdlib_tests"])
def test_text_of_the_installed_packages_is_found(name: str) -> None:
    size, _ = found_here(name)
    first = next(iter(documents(CorpusConfig(source=name))))
    assert size
    assert size > 1e6
    assert isinstance(first, Document)
