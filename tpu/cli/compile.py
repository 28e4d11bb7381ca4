"""Compile every program of a study, or one config, for a slice of TPUs, with no TPU at hand.

Runs of equal shapes share a program, which is compiled once and takes from seconds to minutes. The
first table holds the program's FLOPs and, of one chip, its HBM as the compiler laid it out. FLOPs
are flops_model of one step and all chips, by formula: the compiler counts the body of a loop only
once, and no custom call. The second table holds the exchanges of a step and the bytes that each
chip sends, loops counted with their trips.

  windtunnel tpu compile isoflop --set scale=pod --topology v5e:4x4
  windtunnel tpu compile isoflop --topology v5p-256 --layout fsdp_tensor \\
      --set execution.layout.tensor=4
  windtunnel tpu compile runs/isoflop/RUN/config.json --topology v6e:8x8 --json > compiled.json

It needs libtpu, not a TPU: pip install -e '.[tpu]'. Exit codes: 0 all fit, 1 some do not, 2 the
user's mistake.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from scaling.common.answers import Answer, Whole
from scaling.common.errors import UserError
from scaling.common.tables import table
from scaling.machines.chips import GIB, Chip, chip
from tpu.aot.collectives import SENT
from tpu.aot.topologies import Topology, topology
from tpu.cli import _studies as studies

if TYPE_CHECKING:
    from experiments.config.run import RunConfig
    from experiments.plan.run import Run
    from tpu.aot.compiler import CompiledProgram, Outcome

MEMORY = (
    "rungs",
    "runs",
    "params_total",
    "layout",
    "microbatch",
    "FLOPs/step",
    "arguments",
    "temporaries",
    "aliased",
    "peak",
    "of HBM",
    "compile s",
    "fits",
)
NO_ROOM = 1  # exit code where a run does not fit


@dataclass(frozen=True)
class ProgramRuns:
    """Runs that share a program, by the first of them."""

    config: RunConfig  # with its layout settled or named
    runs: tuple[Run, ...]

    @property
    def rungs(self) -> str:
        rungs = sorted({run.rung for run in self.runs})
        return ",".join(map(str, rungs))

    @property
    def params_total(self) -> float:
        return self.runs[0].ledger["params_total"]

    @property
    def flops(self) -> float:
        """flops_model of a step."""
        return self.runs[0].ledger["flops_model"] / self.config.science.steps


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    studies.add(parser)
    parser.add_argument(
        "--topology", required=True, metavar="SLICE", help="as v5e:4x4, v5litepod-16 or v5p-128"
    )


def run(options: argparse.Namespace) -> Answer:
    """Print both tables once every program is compiled, and below those that do not fit."""
    from tpu.aot.compiler import NoRoom, compiled

    slice_ = topology(options.topology)
    device = chip(slice_.kind)
    device = replace(device, hbm_bytes=device.hbm_bytes / slice_.generation.devices)
    groups, refused = _groups(studies.runs(options, slice_.devices), device, slice_)
    done: list[tuple[ProgramRuns, Outcome]] = []
    for group in groups:
        try:
            outcome = compiled(group.config, slice_)
        except UserError as error:
            refused.append(str(error))
            continue
        done.append((group, outcome))
        options.progress("compiling", len(done), len(groups))
    if not done:
        raise UserError(refused[0])
    what = "chip" if slice_.generation.devices == 1 else "core"
    hbm = device.hbm_bytes / GIB
    lines = [
        f"{slice_.name} ({slice_.accelerator_type}): {slice_.devices} {what}s of "
        f"{hbm:.4g} GiB; memory in GiB of one {what}",
        table(MEMORY, [_memory(*pair, device) for pair in done]),
    ]
    fitting = [(group, found) for group, found in done if not isinstance(found, NoRoom)]
    refused, warnings = list(dict.fromkeys(refused)), _warnings(done)
    values = {
        "topology": slice_.name,
        "accelerator_type": slice_.accelerator_type,
        "devices": slice_.devices,
        "hbm_gib": hbm,
        "programs": [_row(*pair) for pair in done],
        "warnings": warnings,
        "refused": refused,
    }
    yield Whole(values, "\n".join([*lines, *_exchanges(fitting), *warnings, *refused]))
    return 0 if len(fitting) == len(done) and not refused else NO_ROOM


def _groups(
    runs: Sequence[Run], device: Chip, slice_: Topology
) -> tuple[list[ProgramRuns], list[str]]:
    """Runs by their program, and the reasons of those that have none."""
    from experiments.training.populations.grouping import signature

    found: dict[RunConfig, list[Run]] = {}
    refused: list[str] = []
    for run in runs:
        try:
            config = _settled(run.config, device, slice_)
        except UserError as error:
            refused.append(str(error))
            continue
        found.setdefault(signature(config), []).append(replace(run, config=config))
    return [ProgramRuns(runs[0].config, tuple(runs)) for runs in found.values()], refused


def _settled(config: RunConfig, device: Chip, slice_: Topology) -> RunConfig:
    """With the layout that `estimate` would choose, where it is left open.

    Raises:
        UserError: it is not for this number of chips, or none fits.
    """
    from experiments.devices.auto_layout import choose
    from experiments.devices.resolve import resolve

    execution = config.execution
    if execution.layout.name != "auto":
        resolve(config, "tpu", slice_.devices)
        return config
    best = choose(config, device, slice_.devices).best
    execution = replace(execution, layout=best.layout, microbatch=best.step.microbatch)
    return replace(config, execution=execution)


def _memory(group: ProgramRuns, outcome: Outcome, device: Chip) -> list[str]:
    from tpu.aot.compiler import NoRoom

    axes = " ".join(f"{axis} {size}" for axis, size in outcome.axes.items()) or "one chip"
    row = [group.rungs, str(len(group.runs)), f"{group.params_total:,.0f}", axes]
    row += [str(outcome.microbatch), f"{group.flops:.3g}"]
    if isinstance(outcome, NoRoom):
        return [*row, *"-----", f"{outcome.seconds:.0f}", "no"]
    found = outcome.arguments, outcome.temporaries, outcome.aliased, outcome.peak
    row += [f"{size / GIB:.3g}" for size in found]
    return [*row, f"{outcome.peak / device.hbm_bytes:.0%}", f"{outcome.seconds:.0f}", "yes"]


def _exchanges(programs: Sequence[tuple[ProgramRuns, CompiledProgram]]) -> list[str]:
    kinds = [
        kind
        for kind in SENT
        if any(one.kind == kind for _, program in programs for one in program.collectives)
    ]
    if not kinds:
        return []
    rows = [
        [group.rungs, f"{group.params_total:,.0f}", *(_cell(program, kind) for kind in kinds)]
        for group, program in programs
    ]
    title = "\nexchanges in a step: number, and GiB sent by each"
    return [title, table(("rungs", "params_total", *kinds), rows)]


def _cell(program: CompiledProgram, kind: str) -> str:
    ours = [one for one in program.collectives if one.kind == kind]
    times, sent = sum(one.times for one in ours), sum(one.sent for one in ours)
    return f"{times:,.0f} x, {sent / GIB:.3g}" if ours else "-"


def _warnings(done: Sequence[tuple[ProgramRuns, Outcome]]) -> list[str]:
    from tpu.aot.compiler import NoRoom
    from tpu.aot.remedies import remedies

    found = []
    for group, outcome in done:
        who = f"params_total {group.params_total:,.0f}"
        if isinstance(outcome, NoRoom):
            change = remedies(group.config, outcome.axes, outcome.microbatch)
            found.append(f"{who}: {outcome.message}; try {', or '.join(change)}")
            continue
        if outcome.rematerialised:
            found.append(
                f"{who}: XLA puts {outcome.rematerialised} arrays together on every chip to lay "
                "them out anew (involuntary full rematerialization)"
            )
        if outcome.unknown_loops:
            found.append(
                f"{who}: {outcome.unknown_loops} loops of unknown length; their exchanges are "
                "counted once"
            )
    return found


def _row(group: ProgramRuns, outcome: Outcome) -> dict[str, Any]:
    """All facts of a program."""
    from experiments.config.fields import to_dict
    from tpu.aot.compiler import NoRoom

    row = {
        "rungs": sorted({run.rung for run in group.runs}),
        "runs": len(group.runs),
        "params_total": group.params_total,
        "flops_model_per_step": group.flops,
        "fits": not isinstance(outcome, NoRoom),
        **asdict(outcome),
        "config": to_dict(group.config),
    }
    if not isinstance(outcome, NoRoom):
        row["collectives"] = [asdict(one) | {"sent": one.sent} for one in outcome.collectives]
    return row
