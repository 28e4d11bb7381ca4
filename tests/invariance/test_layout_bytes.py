"""The bytes of layouts beside XLA's: the tests of `layout_bytes.py`."""

from __future__ import annotations

from fake_devices import run


def test_on_eight_devices() -> None:
    run("layout_bytes.py")
