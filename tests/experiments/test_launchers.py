from __future__ import annotations

import os
from pathlib import Path

import pytest
import tiny

from experiments import launchers
from experiments.devices import machine
from experiments.launchers import local
from experiments.launchers.local import Local, default_workers
from scaling.common.errors import UserError


@pytest.mark.parametrize(
    ("name", "workers", "resources", "message"),
    [
        ("locl", None, {}, r"--launcher 'locl': did you mean 'local'"),
        ("local", 0, {}, r"--workers 0: must be at least 1"),
        ("local", 1, {"num_gpus": "1"}, r"--resource num_gpus: the local launcher takes none"),
    ],
)
def test_choice_that_no_launcher_knows_is_refused(name, workers, resources, message):
    with pytest.raises(UserError, match=message):
        launchers.load(name, workers, resources)


def test_local_launcher_is_loaded_by_its_name():
    assert launchers.load("local", 3, {}) == Local(3)


@pytest.mark.parametrize(
    ("platforms", "plugins", "expected"),
    [
        (None, (), 3),
        ("", (), 3),
        (None, ("xla_cuda12",), 1),
        ("cpu", ("xla_cuda12",), 3),
        ("cuda", ("xla_cuda12",), 1),
        ("tpu,cpu", (), 1),
    ],
)
def test_one_worker_per_core_or_one_on_an_accelerator(monkeypatch, platforms, plugins, expected):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    if platforms is not None:
        monkeypatch.setenv("JAX_PLATFORMS", platforms)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: plugins)
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {2, 5, 7}, raising=False)
    monkeypatch.setattr(machine, "CAN_PIN", True)
    assert default_workers() == expected
    pinned = expected == 3
    assert list(local._cores(2)) == ([2, 5] if pinned else [None, None])
    assert list(local._cores(4)) == [None] * 4


def test_each_worker_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-8f2a")
    assert default_workers() == 2
    assert list(local._gpus(2)) == ["4", "GPU-8f2a"]
    assert list(local._gpus(3)) == ["4", "GPU-8f2a", "4"]
    assert list(local._gpus(1)) == [None]  # one worker sees them all
    site = launchers.Site(Path("runs"), Path("cache"))
    assert Local(10**15).slot(site).gpu == "4"  # more workers than memory holds slots


def test_runs_that_are_shared_out_have_one_worker_with_all_devices(monkeypatch, tmp_path):
    hired = []
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setattr(
        local, "train_all", lambda populations, slots, watch: not hired.append((populations, slots))
    )
    shared = ["execution.layout.name=fsdp", "execution.layout.fsdp=4"]
    populations = [(tiny.job(tmp_path, *more),) for more in (shared, [], ["seed=1"])]
    site = launchers.Site(tmp_path, tmp_path)
    assert Local(2).train(site, populations, lambda event: None)
    (alone, two), (together, one) = hired
    assert (alone, together) == (populations[1:], populations[:1])
    assert [slot.devices for slot in two] == [None, None]
    assert [(slot.devices, slot.core) for slot in one] == [(4, None)]
