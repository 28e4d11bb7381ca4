"""What holds on one device holds in stages: the tests of `on_pipeline.py`."""

from __future__ import annotations

import pytest
from fake_devices import run


def test_on_eight_devices() -> None:
    run("on_pipeline.py")


@pytest.mark.slow
def test_slow_ones_on_eight_devices() -> None:
    run("on_pipeline.py", "-m", "slow")
