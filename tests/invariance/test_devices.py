"""What holds on one device holds on several: the tests of `on_devices.py`, on eight fake ones."""

from __future__ import annotations

from fake_devices import run


def test_on_eight_devices() -> None:
    run("on_devices.py")
