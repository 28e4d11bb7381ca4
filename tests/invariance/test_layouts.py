"""What holds on one device holds when it is shared out: the tests of `on_layouts.py`."""

from __future__ import annotations

import pytest
from fake_devices import run


def test_on_eight_devices() -> None:
    run("on_layouts.py")


@pytest.mark.slow
def test_slow_ones_on_eight_devices() -> None:
    run("on_layouts.py", "-m", "slow")
