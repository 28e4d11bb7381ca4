from __future__ import annotations

import pytest

from scaling.common.errors import UserError
from scaling.machines.layout import AXES, KINDS, Layout


@pytest.mark.parametrize(
    ("layout", "devices", "sizes"),
    [
        (Layout(), 1, {}),
        (Layout("data"), 8, {"data": 8}),
        (Layout("fsdp"), 8, {"fsdp": 8}),
        (Layout("fsdp", data=2), 8, {"data": 2, "fsdp": 4}),
        (Layout("fsdp_tensor", tensor=4), 8, {"fsdp": 2, "tensor": 4}),
        (Layout("hierarchical", fsdp=4), 8, {"data": 2, "fsdp": 4}),
        (Layout("expert", expert=2), 8, {"fsdp": 4, "expert": 2}),
        (Layout("sequence", sequence=8), 8, {"sequence": 8}),
        (Layout("pipeline", stage=2), 8, {"data": 4, "stage": 2}),
    ],
)
def test_axes_left_open_take_the_devices_that_are_left(layout, devices, sizes):
    settled = layout.over(devices)
    assert {axis: n for axis, n in settled.sizes.items() if n > 1} == sizes
    assert settled.devices == devices
    assert settled.over(devices) == settled


def test_every_kind_names_axes_of_the_mesh():
    assert {"data", "fsdp"} <= KINDS.keys()
    for kind in KINDS.values():
        assert kind.fills in AXES
        assert kind.needs is None or kind.needs in AXES


def test_members_are_shared_out_over_blocks_of_devices():
    settled = Layout("fsdp", population=2).over(8)
    assert (settled.blocks, settled.devices, settled.devices_in_all) == (2, 4, 8)
    assert settled.mesh == {"population": 2, **settled.sizes}
    assert settled.sizes["fsdp"] == 4


def test_sequences_are_split_over_the_axes_that_share_a_batch():
    assert Layout("expert", data=2, expert=2).over(8).batch_ways == 8
    assert Layout("fsdp_tensor", tensor=4).over(8).batch_ways == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "fsp"}, r"execution.layout.name=fsp: did you mean 'fsdp'\?"),
        ({"name": "fsdp", "zero": 4}, r"execution.layout.zero=4: known: 1, 2, 3"),
        ({"name": "fsdp", "fsdp": -1}, r"execution.layout.fsdp=-1: must be 0 \(left open\)"),
        ({"fsdp": 4}, r"execution.layout.fsdp=4: the layout 'single' takes no sizes; set"),
        ({"name": "auto", "data": 2}, r"the layout 'auto' takes no sizes"),
        ({"population": 2}, r"execution.layout.population=2: the layout 'single' takes no sizes"),
    ],
)
def test_bad_fields_are_refused(fields, message):
    with pytest.raises(UserError, match=message):
        Layout(**fields)


@pytest.mark.parametrize(
    ("layout", "devices", "message"),
    [
        (Layout(), 8, r"one device is not the 8 devices there are"),
        (Layout("data", data=3), 8, r"data 3 is not the 8 devices there are; change the sizes"),
        (Layout("fsdp", population=3), 8, r"population 3 x fsdp 2 is not the 8 devices"),
        (Layout("fsdp", tensor=3), 8, r"fsdp 2 x tensor 3 is not the 8 devices"),
        (Layout("fsdp_tensor"), 8, r"name=fsdp_tensor: give execution.layout.tensor a size"),
        (Layout("pipeline"), 8, r"name=pipeline: give execution.layout.stage a size"),
        (Layout("auto"), 8, r"name=auto: it is chosen on the devices that train"),
    ],
)
def test_axes_that_are_not_the_devices_are_refused(layout, devices, message):
    with pytest.raises(UserError, match=message):
        layout.over(devices)
