from __future__ import annotations

import jax
import pytest
import tiny

from experiments.devices.slot import Slot
from experiments.training.populations import throughput
from experiments.training.populations.grouping import ALONE, GAIN, signature


@pytest.fixture
def slot(tmp_path, cache):
    own = tmp_path / "cache"
    own.mkdir()
    (own / "xla").symlink_to(cache / "xla")
    return Slot(own, tmp_path / "workers.log", core=None)


def test_a_curve_is_measured_once_in_a_process_of_its_own_and_kept(slot, monkeypatch) -> None:
    wanted = [(signature(tiny.config()), 2)]
    (curve,) = throughput.curves(wanted, slot)
    assert curve.keys() == {1, 2}
    assert all(seconds > 0 for seconds in curve.values())
    monkeypatch.setattr(throughput.multiprocessing, "get_context", None)
    assert throughput.curves(wanted, slot) == [curve]
    assert throughput.curves([(wanted[0][0], 3)], slot) == [curve]  # nothing beyond 2 to measure
    assert throughput.kept(wanted[0][0], slot) == curve
    assert throughput.kept(wanted[0][0], slot, 8) is None
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
    assert throughput.kept(wanted[0][0], slot) is None  # of other devices


def test_what_cannot_be_measured_is_trained_alone(slot) -> None:
    """Its process fails: the worker's log cannot be written."""
    lost = Slot(slot.cache, slot.cache, core=None)
    assert throughput.curves([(signature(tiny.config()), 2)], lost) == [ALONE]


@pytest.mark.parametrize(
    ("seconds", "memory", "sizes"),
    [
        ({1: 1.0, 2: 1.0, 4: 1.0, 8: 1.0}, 1e9, [1, 2, 4, 8]),
        ({1: 1.0, 2: 1.2, 4: 2.4 / GAIN + 0.1, 8: 1.0}, 1e9, [1, 2, 4]),
        ({1: 1.0, 2: 1.0, 4: 1.0, 8: 1.0}, 500 / throughput.MEMORY, [1, 2, 4]),  # 100 B each
    ],
)
def test_measuring_ends_where_it_no_longer_pays_or_fits(
    monkeypatch, seconds, memory, sizes
) -> None:
    monkeypatch.setattr(throughput, "_time", lambda config, k: (seconds[k], 100 * k))
    monkeypatch.setattr(throughput, "_device_bytes", lambda: memory)
    assert list(throughput.measure(tiny.config(), 8)) == sizes


@pytest.mark.parametrize(
    ("seconds", "memory", "sizes"),
    [
        ({1: 1.0, 4: 1.0, 8: 1.0, 16: 1.0}, 1e9, [1, 2, 3, 4, 8, 16]),
        ({1: 1.0, 4: 1.0, 8: 2.1, 16: 1.0}, 1e9, [1, 2, 3, 4, 8]),
        ({1: 1.0, 4: 5.0, 8: 1.0, 16: 1.0}, 1e9, [1, 2, 3, 4]),  # as on fake devices
        ({1: 1.0, 4: 1.0, 8: 1.0, 16: 1.0}, 300 / throughput.MEMORY, [1, 2, 3, 4, 8]),
    ],
)
def test_four_devices_are_filled_evenly(monkeypatch, seconds, memory, sizes) -> None:
    """Each member takes 100 bytes of its device."""
    monkeypatch.setattr(jax, "local_device_count", lambda: 4)
    monkeypatch.setattr(throughput, "_time", lambda config, k: (seconds[k], 100 * max(1, k // 4)))
    monkeypatch.setattr(throughput, "_device_bytes", lambda: memory)
    curve = throughput.measure(tiny.config(), 30)
    assert sorted(curve) == sizes
    assert curve[2] == curve[3] == curve[4]
