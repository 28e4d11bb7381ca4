"""Exchanges are read from HLO as XLA's TPU compiler writes it: loops, chains, fused scatters."""

from __future__ import annotations

import pytest

from tpu.collectives import parse

STEPS, LAYERS = 8, 3

MODULE = """\
HloModule jit_train_chunk, is_scheduled=true

%begins (a: bf16[64]) -> (bf16[64], bf16[256]) {
  %a = bf16[64]{0:T(128)} parameter(0)
  %all-gather.1 = bf16[256]{0:T(256)(128)(2,1)} all-gather(%a), channel_id=3, \
replica_groups=mesh['axis_0'=2,'axis_1'=4] {'axis_1'}, dimensions={0}, \
metadata={op_name="jit(train_chunk)/gather"}
  ROOT %call = (bf16[64], bf16[256]) custom-call(%all-gather.1), \
custom_call_target="AsyncCollectiveStart"
}

%async_collective_fusion.1 (a: bf16[64]) -> bf16[256] {
  %a = bf16[64]{0:T(128)} parameter(0)
  ROOT %all-gather.2 = bf16[256]{0:T(256)} all-gather(%a), channel_id=3, \
replica_groups=mesh['axis_0'=2,'axis_1'=4] {'axis_1'}, dimensions={0}
}

%all-reduce-scatter.1 (a: f32[4,64]) -> f32[4,16] {
  %a = f32[4,64]{1,0} parameter(0)
  %all-reduce.1 = f32[4,64]{1,0} all-reduce(%a), channel_id=4, replica_groups=[2,4]<=[8], \
to_apply=%add
  ROOT %slice = f32[4,16]{1,0} dynamic-slice(%all-reduce.1, %i), dynamic_slice_sizes={4,16}
}

%layer (p: (s32[], bf16[64])) -> (s32[], bf16[64]) {
  %p = (s32[], bf16[64]{0}) parameter(0)
  %start = (bf16[64], bf16[256]) fusion(%x), kind=kCustom, calls=%begins
  %goes-on = bf16[256]{0} fusion(%x), kind=kCustom, calls=%async_collective_fusion.1
  %scattered = f32[4,16]{1,0} fusion(%y), kind=kCustom, calls=%all-reduce-scatter.1
  %collective-permute-start.1 = (u8[100]{0}, u8[100]{0}, u32[]{:S(2)}, u32[]{:S(2)}) \
collective-permute-start(%z), channel_id=5, source_target_pairs={{0,1},{1,0}}
  %collective-permute-done.1 = u8[100]{0} collective-permute-done(%collective-permute-start.1)
  ROOT %t = (s32[], bf16[64]{0}) tuple(%i, %x)
}

%more_layers (p: (s32[], bf16[64])) -> pred[] {
  %constant.7 = s32[]{:T(128)} constant(3)
  %p = (s32[], bf16[64]{0}) parameter(0)
  %i = s32[] get-tuple-element(%p), index=0
  ROOT %lt = pred[] compare(%i, %constant.7), direction=LT
}

%step (p: (s32[], bf16[64])) -> (s32[], bf16[64]) {
  %p = (s32[], bf16[64]{0}) parameter(0)
  %layers = (s32[], bf16[64]{0}) while(%p), condition=%more_layers, body=%layer
  ROOT %all-reduce.2 = (f32[10]{0}, bf16[3,5]{1,0}) all-reduce(%a, %b), channel_id=6, \
replica_groups={{0,1},{2,3},{4,5},{6,7}}, to_apply=%add
}

%more_steps (p: (s32[], s32[], pred[])) -> pred[] {
  %p = (s32[], s32[], pred[]) parameter(0)
  %lt = pred[] compare(%i, %left), direction=LT
  ROOT %and = pred[] and(%lt, %not)
}

ENTRY %main (p: (s32[], bf16[64])) -> (s32[], bf16[64]) {
  %p = (s32[], bf16[64]{0}) parameter(0)
  %all-to-all.1 = bf16[4,2]{1,0} all-to-all(%p), channel_id=7, replica_groups=[1,8]<=[8]
  ROOT %steps = (s32[], bf16[64]{0}) while(%p), condition=%more_steps, body=%step
}
"""


def test_every_exchange_of_a_step_counts_once_for_each_trip() -> None:
    found = {
        (one.kind, one.array, one.group, one.times) for one in parse(MODULE, STEPS).collectives
    }
    assert found == {
        ("all-gather", 512, 4, LAYERS),  # a chain of two fusions, one exchange
        ("reduce-scatter", 1024, 4, LAYERS),
        ("collective-permute", 100, 1, LAYERS),
        ("all-reduce", 40 + 30, 2, 1),
        ("all-to-all", 16, 8, 1 / STEPS),  # before the loop: once a dispatch
    }


def test_a_chip_sends_its_part() -> None:
    sent = {one.kind: one.sent for one in parse(MODULE, STEPS).collectives}
    assert sent == pytest.approx(
        {
            "all-gather": LAYERS * 512 * 3 / 4,
            "reduce-scatter": LAYERS * 1024 * 3 / 4,
            "collective-permute": LAYERS * 100,
            "all-reduce": 70.0,  # 2 (m - 1) / m of 70
            "all-to-all": 16 * 7 / 8 / STEPS,
        }
    )


def test_the_source_is_told() -> None:
    sources = {one.source for one in parse(MODULE, STEPS).collectives}
    assert sources == {"jit(train_chunk)/gather", ""}


def test_loops_of_unknown_length_are_told_but_that_of_the_steps() -> None:
    assert parse(MODULE, STEPS).unknown_loops == 0
    data = MODULE.replace("compare(%i, %constant.7)", "compare(%i, %n)")
    module = parse(data, STEPS)
    assert module.unknown_loops == 1
    assert {one.times for one in module.collectives} == {1, 1 / STEPS}


def test_a_program_of_one_chip_exchanges_nothing() -> None:
    text = "ENTRY %main (p: f32[]) -> f32[] {\n  ROOT %p = f32[] parameter(0)\n}\n"
    assert parse(text, STEPS).collectives == ()
