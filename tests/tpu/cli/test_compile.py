"""``windtunnel tpu compile`` around the compiler: what it prints, and mistakes told in one line."""

from __future__ import annotations

import json
import re
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import records

from experiments import record
from experiments.config.fields import to_dict
from experiments.config.run import Execution, RunConfig, Science
from models.config import TransformerConfig
from scaling.common.errors import UserError
from scaling.machines.layout import Layout
from scaling.machines.program import Program as Layers
from tpu.__main__ import main
from tpu.aot import compiler
from tpu.aot.collectives import Exchange
from tpu.aot.compiler import CompiledProgram, NoRoom, Outcome
from tpu.aot.remedies import remedies
from tpu.aot.topologies import Topology, topology

GIB = 2**30
GATHER = Exchange("all-gather", 4 * GIB, 4, 6.0, "jit(train_chunk)/weight")
FITS = CompiledProgram(
    axes={"fsdp": 4},
    microbatch=4,
    arguments=2 * GIB,
    aliased=GIB,
    temporaries=5 * GIB,
    peak=6 * GIB,
    collectives=(GATHER,),
    unknown_loops=0,
    seconds=7.0,
)
NO_ROOM = NoRoom({"fsdp": 4}, 4, "RESOURCE_EXHAUSTED: 20G exceeds available HBM (15.75G)", 3.0)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[RunConfig]:
    """Requests to a compiler whose largest run does not fit."""
    configs: list[RunConfig] = []

    def compiled(config: RunConfig, slice_: Topology) -> Outcome:
        configs.append(config)
        return NO_ROOM if config.science.model.width > 50 else FITS

    monkeypatch.setattr(compiler, "compiled", compiled)
    return configs


def _compile(*words: str) -> int:
    return main(["compile", "quickstart", "--topology", "v5e:2x2", "--layout", "fsdp", *words])


def test_runs_of_equal_shapes_are_compiled_once(
    asked: list[RunConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    assert _compile() == 1
    widths = [config.science.model.width for config in asked]
    assert len(widths) == len(set(widths)) > 1
    text = capsys.readouterr().out
    assert "4 chips of 16 GiB" in text
    row = next(line for line in text.splitlines() if line.endswith("yes"))
    cells = re.split(r" {2,}", row)
    assert cells[3] == "fsdp 4"
    assert cells[6:12] == ["2", "5", "1", "6", "38%", "7"]
    assert "6 x, 18" in text  # GiB sent: 6 times 3/4 of 4
    assert "exceeds available HBM (15.75G); try execution.program.remat=block, or" in text
    assert _compile("--json") == 1
    programs = json.loads(capsys.readouterr().out)["programs"]
    assert [program["fits"] for program in programs].count(False) == 1
    assert sum(program["runs"] for program in programs) > len(programs)
    assert programs[0]["collectives"][0]["sent"] == 18 * GIB


def test_one_config_is_compiled_for_all_chips(asked: list[RunConfig], tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    config = RunConfig(Science(TransformerConfig(width=32)))
    record.write(tmp_path, records.run_record(**to_dict(config)))
    sizes = ["--layout", "fsdp_tensor", "--set", "execution.layout.tensor=2"]
    assert main(["compile", str(path), "--topology", "v5e:2x2", *sizes]) == 0
    assert [config.execution.layout.tensor for config in asked] == [2]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--topology", "v5r:2x2"], "no TPU is called 'v5r'; did you mean 'v5"),
        (["--topology", "v5e:3x3"], "v5e has no such shape; try v5e:2x4"),
        (["--set", "execution.layout.fsdp=3"], "fsdp 3 is not the 4 devices there are"),
        (["--layout", "fsdp_tenor"], "did you mean 'fsdp_tensor'?"),
        (["--layout", "fsdp_tensor"], "give execution.layout.tensor a size"),
        (["--set", "batch.sequences=6"], "batch.sequences=6 does not divide by 4"),
    ],
)
def test_mistakes_are_told_in_one_line(
    asked: list[RunConfig], capsys: pytest.CaptureFixture[str], words: list[str], text: str
) -> None:
    assert _compile(*words) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert text in errors[0]


def test_libtpu_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"libtpu is not installed; pip install -e '\.\[tpu\]'"):
        compiler.compiled(RunConfig(), topology("v5e:2x2"))


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("echo noise >&2; echo 'error: model.width=48: no' >&2; exit 2", "^model.width=48: no$"),
        ("kill -SEGV $$", r"^v5e:2x2: libtpu could not .* \(it was ended by SIGSEGV\)"),
        ("echo INTERNAL: sorry >&2; exit 1", r"\(INTERNAL: sorry\); try another layout"),
    ],
)
def test_however_the_compiler_ends_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, text: str
) -> None:
    child = tmp_path / "python"
    child.write_text(f"#!/bin/sh\n{script}\n")
    child.chmod(0o755)
    monkeypatch.setattr(compiler.sys, "executable", str(child))
    monkeypatch.setattr(compiler, "find_spec", lambda name: ModuleSpec(name, None))
    with pytest.raises(UserError, match=text):
        compiler.compiled(RunConfig(), topology("v5e:2x2"))


@pytest.mark.parametrize("outcome", [FITS, NO_ROOM])
def test_an_outcome_is_read_as_it_was_written(outcome: Outcome, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    compiler.write(outcome, path)
    assert compiler._read(path, "") == outcome


def test_involuntary_rematerialisations_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    compiler.write(FITS, path)
    line = "W0000 spmd.cc:1] [SPMD] Involuntary full rematerialization. The compiler cannot go\n"
    found = compiler._read(path, 2 * line)
    assert isinstance(found, CompiledProgram)
    assert found.rematerialised == 2


def test_remedies_are_those_that_are_left() -> None:
    plain = RunConfig()
    assert remedies(plain, {"data": 4}, 8) == [
        "execution.program.remat=block",
        "execution.program.layers=scan",
        "execution.microbatch=4",
        "--layout fsdp",
        "a larger slice",
    ]
    spare = RunConfig(
        execution=Execution(
            program=Layers(layers="scan", remat="block"), layout=Layout("fsdp", zero=1)
        )
    )
    assert remedies(spare, {"fsdp": 4, "tensor": 2}, 4) == [
        "execution.layout.zero=3",
        "a larger slice",
    ]
