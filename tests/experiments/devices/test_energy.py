"""Energy by counters that rise, begin anew, are shared with others, or cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.devices import energy


@pytest.fixture
def counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two packages of 1000 J, one with a part, and a machine on which this process is busy."""
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"):
        (tmp_path / name).mkdir()
        put(tmp_path, name, 900)
        (tmp_path / name / "max_energy_range_uj").write_text("1000000000\n")
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    monkeypatch.setattr(energy, "gpu_joules", lambda: None)
    return tmp_path


def put(folder: Path, name: str, joules: float) -> None:
    (folder / name / "energy_uj").write_text(f"{joules * 1e6:.0f}\n")


def busy(monkeypatch: pytest.MonkeyPatch, own: list[float], all_: list[float]) -> None:
    monkeypatch.setattr(energy, "_own_seconds", lambda: own.pop(0))
    monkeypatch.setattr(energy, "_busy_seconds", lambda: all_.pop(0))


def test_packages_add_up_and_a_counter_may_begin_anew(counters: Path, monkeypatch):
    busy(monkeypatch, [0.0, 10.0], [0.0, 10.0])
    meter = energy.Meter()
    put(counters, "intel-rapl:0", 950)
    put(counters, "intel-rapl:1", 20)
    put(counters, "intel-rapl:0:0", 999)  # a part of package 0
    assert meter.joules() == pytest.approx(50 + 120)


def test_a_process_pays_its_share_of_a_busy_machine(counters: Path, monkeypatch):
    busy(monkeypatch, [5.0, 6.0], [100.0, 104.0])
    meter = energy.Meter()
    put(counters, "intel-rapl:0", 940)
    assert meter.joules() == pytest.approx(40 / 4)


def test_no_counter_gives_none(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    monkeypatch.setattr(energy, "gpu_joules", lambda: None)
    assert energy.Meter().joules() is None


def test_gpus_count_in_full(tmp_path: Path, monkeypatch):
    readings = [1000.0, 1250.0]
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    monkeypatch.setattr(energy, "gpu_joules", lambda: readings.pop(0))
    assert energy.Meter().joules() == 250.0


def test_this_machine_tells_its_busy_time():
    assert energy._busy_seconds() > 0 and energy._own_seconds() > 0
