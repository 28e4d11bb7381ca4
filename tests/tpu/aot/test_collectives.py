"""Exchanges are read from HLO as XLA's TPU compiler writes it: loops, chains, fused scatters."""

from __future__ import annotations

from collections import Counter

import pytest

from tpu.aot.collectives import parse

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
  %constant.8 = s32[]{:T(128)} constant(1)
  %i = s32[] get-tuple-element(%p), index=0
  %copy.1 = s32[] copy(%i)
  %next = s32[] add(%copy.1, %constant.8), metadata={op_name="add"}
  %turns = (f32[2]{0}, u32[]) while(%r), condition=%more_turns, body=%turn
  ROOT %t = (s32[], bf16[64]{0}) tuple(%next, /*index=1*/%x), metadata={op_name="layer"}
}

%turn (r: (f32[2], u32[])) -> (f32[2], u32[]) {
  %r = (f32[2]{0}, u32[]) parameter(0)
  %two = u32[]{:T(128)} constant(2)
  %i = u32[] get-tuple-element(%r), index=1
  %collective-permute.1 = f32[2]{0} collective-permute(%a), channel_id=9, \
source_target_pairs={{0,1},{1,0}}
  %next = u32[] add(%i, %two)
  ROOT %t = (f32[2]{0}, u32[]) tuple(%collective-permute.1, %next)
}

%more_turns (r: (f32[2], u32[])) -> pred[] {
  %constant.9 = u32[]{:T(128)} constant(8)
  %r = (f32[2]{0}, u32[]) parameter(0)
  %i = u32[] get-tuple-element(%r), index=1
  ROOT %lt = pred[] compare(%i, %constant.9), direction=LT
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
    found = [
        (one.kind, one.array, one.group, one.times) for one in parse(MODULE, STEPS).collectives
    ]
    assert sorted(found) == [
        ("all-gather", 512, 4, LAYERS),  # a chain of two fusions, one exchange
        ("all-reduce", 40 + 30, 2, 1),
        ("all-to-all", 16, 8, 1 / STEPS),  # before the loop: once a dispatch
        ("collective-permute", 8, 1, LAYERS * 4),  # of 8 turns two at a time
        ("collective-permute", 100, 1, LAYERS),
        ("reduce-scatter", 1024, 4, LAYERS),
    ]


def test_a_chip_sends_its_part() -> None:
    sent = Counter[str]()
    for one in parse(MODULE, STEPS).collectives:
        sent[one.kind] += one.sent
    assert sent == pytest.approx(
        {
            "all-gather": LAYERS * 512 * 3 / 4,
            "reduce-scatter": LAYERS * 1024 * 3 / 4,
            "collective-permute": LAYERS * (4 * 8 + 100),
            "all-reduce": 70.0,  # 2 (m - 1) / m of 70
            "all-to-all": 16 * 7 / 8 / STEPS,
        }
    )


def test_the_source_is_told() -> None:
    sources = {one.source for one in parse(MODULE, STEPS).collectives}
    assert sources == {"jit(train_chunk)/gather", ""}


def test_loops_of_unknown_length_are_told_but_that_of_the_steps() -> None:
    assert parse(MODULE, STEPS).unknown_loops == 0
    for known, data in (("compare(%i, %constant.7)", "compare(%i, %n)"), ("%constant.8)", "%n)")):
        module = parse(MODULE.replace(known, data), STEPS)
        assert module.unknown_loops == 1
        assert {one.times for one in module.collectives} == {1, 4, 1 / STEPS}


def test_a_program_of_one_chip_exchanges_nothing() -> None:
    text = "ENTRY %main (p: f32[]) -> f32[] {\n  ROOT %p = f32[] parameter(0)\n}\n"
    assert parse(text, STEPS).collectives == ()
