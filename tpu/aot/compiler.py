"""Programs compiled ahead of time for a slice of TPUs, on a machine that needs none.

libtpu compiles for a named topology; nothing runs. It runs in a separate process
(`tpu.aot.worker`) that looks for no chips here, so that a crash of libtpu ends nothing else.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from experiments.config.from_record import stored
from experiments.config.run import RunConfig
from scaling.common.errors import UserError
from scaling.common.files import write_json
from tpu.aot.collectives import Exchange
from tpu.aot.topologies import Topology

# "[SPMD] Involuntary full rematerialization": the partitioner found no way from one sharding to
# another but to put the whole array together on every chip
REMATERIALISED = "Involuntary full rematerialization"


@dataclass(frozen=True)
class CompiledProgram:
    """The compiled program that trains one run, as one chip holds it.

    Sizes are bytes of HBM, without a chip's other memories. `peak` is in use at once, arguments
    included. Arguments and temporaries add up to more, since not all temporaries are live at once.
    A program that does not fit is a `NoRoom`.
    """

    axes: dict[str, int]  # of the layout, those longer than 1
    microbatch: int  # sequences of all chips together
    arguments: int  # the state, and a dispatch's batches
    aliased: int  # of them, taken over by the results: the state is donated
    temporaries: int
    peak: int
    collectives: tuple[Exchange, ...]
    unknown_loops: int
    seconds: float  # of the compiler
    rematerialised: int = 0  # warnings of XLA


@dataclass(frozen=True)
class NoRoom:
    """A program that does not fit into a chip's HBM, with the compiler's message."""

    axes: dict[str, int]
    microbatch: int
    message: str
    seconds: float


Outcome = CompiledProgram | NoRoom


def compiled(config: RunConfig, topology: Topology) -> Outcome:
    """The program of a run whose layout is no longer "auto", for all chips of the slice.

    A layout of one device is compiled for one of them.

    Raises:
        UserError: libtpu is not installed or fails, or the layout does not divide the run.
    """
    if find_spec("libtpu") is None:
        raise UserError("libtpu is not installed; pip install -e '.[tpu]' (it needs no TPU)")
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder, "config.json"), Path(folder, "result.json")
        write_json(source, stored(config))
        words = (sys.executable, "-m", "tpu.aot.worker", str(source), topology.name, str(result))
        child = subprocess.run(words, env=_environment(topology), stderr=subprocess.PIPE, text=True)
        if child.returncode == 0:
            return _read(result, child.stderr)
    *_, last = child.stderr.splitlines() or ["no word of it"]
    if child.returncode == 2 and last.startswith("error: "):
        raise UserError(last.removeprefix("error: "))
    if child.returncode < 0:
        last = f"it was ended by {signal.Signals(-child.returncode).name}"
    raise UserError(
        f"{topology.name}: libtpu could not compile the program ({last}); try another layout"
    )


def write(outcome: Outcome, path: Path) -> None:
    """Write the outcome for `compiled`."""
    path.write_text(json.dumps({type(outcome).__name__: asdict(outcome)}))


def _read(path: Path, stderr: str) -> Outcome:
    ((kind, fields),) = json.loads(path.read_bytes()).items()
    if kind == NoRoom.__name__:
        return NoRoom(**fields)
    fields["collectives"] = tuple(Exchange(**one) for one in fields["collectives"])
    return CompiledProgram(**fields | {"rematerialised": stderr.count(REMATERIALISED)})


def _environment(topology: Topology) -> dict[str, str]:
    """JAX runs on the CPU; libtpu asks no metadata server, waits for no lock and says little."""
    return os.environ | {
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_COMPILATION_CACHE": "false",
        "JAX_TRACEBACK_FILTERING": "off",  # else its notice is the last line
        "TPU_SKIP_MDS_QUERY": "1",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        "TPU_ACCELERATOR_TYPE": topology.accelerator_type,
        "TPU_WORKER_HOSTNAMES": "localhost",
    }
