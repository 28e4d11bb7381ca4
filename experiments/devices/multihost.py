"""Several processes as one: they meet, then decide together.

In one program over all their devices every process must do the same in the same order. Process 0
broadcasts decisions that depend on time, signals or the file system, or all processes reduce them.
Process 0 alone writes records. With one process nothing here costs anything.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from scaling.common.errors import UserError

PARTING = 60  # seconds that an ending process waits for the others

Value = TypeVar("Value")
Flag = Callable[[], bool]


@dataclass(frozen=True)
class Meeting:
    """The meeting point of processes. None: given by the cluster (Slurm, a TPU pod, Open MPI)."""

    coordinator: str | None = None  # HOST:PORT of process 0
    processes: int | None = None
    process: int | None = None  # this one: 0, 1, ...

    def __post_init__(self) -> None:
        if self.coordinator is not None and not self.coordinator.rpartition(":")[2].isdecimal():
            raise UserError(f"coordinator={self.coordinator}: expected HOST:PORT of process 0")
        if self.process is not None and not 0 <= self.process < (self.processes or np.inf):
            raise UserError(
                f"process={self.process}: processes={self.processes} are numbered from 0"
            )

    def join(self) -> None:
        """Wait for the others, before JAX looks for devices; JAX then has those of all.

        Raises:
            UserError: the cluster names no coordinator, or a process is missing at the timeout.
        """
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        # JAX would take SIGTERM, which must reach our handlers
        jax.config.update("jax_enable_preemption_service", False)
        try:
            jax.distributed.initialize(
                self.coordinator,
                self.processes,
                self.process,
                shutdown_timeout_seconds=PARTING,
            )
        except ValueError as error:
            raise UserError(
                "no cluster says where its processes meet (srun, a TPU pod, mpirun); give "
                "coordinator=HOST:PORT, processes=N and process=I to each of N processes"
            ) from error
        except jax.errors.JaxRuntimeError as error:
            where = self.coordinator or "the coordinator"
            raise UserError(
                f"not all processes have met at {where} ({str(error).splitlines()[0]}); "
                "start all N with the same command, each with its own number"
            ) from error


def leads() -> bool:
    return jax.process_index() == 0


def tell(value: object) -> None:
    """Broadcast a value to the others, which `hear` it; for process 0."""
    _broadcast(pickle.dumps(value))


def hear() -> Any:
    """The next value that process 0 broadcasts."""
    return pickle.loads(_broadcast(b""))


def told(say: Callable[[], Value]) -> Value:
    """The value of `say` in process 0, in all processes; the others do not call it."""
    if jax.process_count() == 1:
        return say()
    if not leads():
        heard: Value = hear()
        return heard
    value = say()
    tell(value)
    return value


def _broadcast(content: bytes) -> bytes:
    """The bytes of process 0."""
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(content))))
    padded = np.zeros(1 << size.bit_length(), np.uint8)  # a program per length, so few lengths
    padded[: len(content)] = np.frombuffer(content, np.uint8)
    found: bytes = multihost_utils.broadcast_one_to_all(padded)[:size].tobytes()
    return found


def common(numbers: Sequence[int], of: int) -> set[int]:
    """The numbers that every process has, of up to `of` each; none is negative."""
    own = np.array([*numbers, *[-1] * (of - len(numbers))], np.int32)
    if jax.process_count() == 1:
        return set(numbers)
    rows = np.asarray(multihost_utils.process_allgather(own))
    return set.intersection(*(set(row.tolist()) for row in rows)) - {-1}


def ask(*flags: Flag) -> Callable[[], list[bool]]:
    """Reduce flags over all processes, asynchronously; a flag is up if any process raises it.

    The devices exchange them in order, before later work. With one process, calling the answer
    reads the flags.
    """
    if jax.process_count() == 1:
        return lambda: [flag() for flag in flags]
    raised = np.array([[flag() for flag in flags]])
    over, any_of = _exchange()
    found = any_of(
        jax.make_array_from_callback((jax.device_count(), len(flags)), over, lambda index: raised)
    )
    return lambda: [bool(flag) for flag in np.asarray(found)]


@cache
def _exchange() -> tuple[NamedSharding, Callable[[jax.Array], jax.Array]]:
    """A row of flags for every device, and the program that joins them."""
    mesh = Mesh(np.array(jax.devices()), ("devices",))
    whole = NamedSharding(mesh, PartitionSpec())
    rows = NamedSharding(mesh, PartitionSpec("devices"))
    return rows, jax.jit(partial(jnp.any, axis=0), out_shardings=whole)
