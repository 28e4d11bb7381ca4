from __future__ import annotations

from types import SimpleNamespace

import jax
import pytest
import tiny

from experiments.devices.auto_layout import settle
from scaling.common.errors import UserError

AUTO = ("execution.layout.name=auto", "batch.sequences=16")


def test_auto_is_settled_on_the_devices_there_are_and_says_why(monkeypatch, tmp_path):
    job, heard = tiny.job(tmp_path, *AUTO), []
    h200 = SimpleNamespace(device_kind="NVIDIA H200")
    monkeypatch.setattr(jax, "devices", lambda: [h200] * 8)
    settled = settle(job, heard.append)
    layout, microbatch = (
        settled.run.config.execution.layout,
        settled.run.config.execution.microbatch,
    )
    assert layout.name != "auto"
    assert layout.devices == 8
    assert microbatch % layout.batch_ways == 0
    assert settled.run.run_id == job.run.run_id
    assert layout.name.split("_")[0] in heard[0].note
    assert "GiB a device, bound by" in heard[0].note
    assert "next best" in heard[0].note


def test_auto_on_a_device_that_nothing_is_known_of_is_refused(tmp_path):
    with pytest.raises(UserError, match="nothing is known of a device 'cpu'; choose a layout by"):
        settle(tiny.job(tmp_path, *AUTO), lambda event: None)


def test_any_other_layout_stays_as_it_is(tmp_path):
    job = tiny.job(tmp_path, "execution.layout.name=fsdp")
    assert settle(job, lambda event: None) is job
