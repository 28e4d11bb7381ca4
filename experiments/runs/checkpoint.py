"""Checkpoints of a run's state: save and restore, by Orbax, which no other file imports.

Saving is asynchronous and atomic: an interrupted save leaves the one before it in place. A complete
save gets checksums; restoring passes over a checkpoint that differs from them. The run's owner
moves it aside, for Orbax saves nothing below its newest step. The data need no state: batches are a
function of (seed, step), and the step is in the state.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import jax

from experiments.devices.multihost import ask, leads, told
from experiments.runs.checksums import damage, is_sealed, named_by_step, seal
from experiments.runs.layer_stacking import is_stacked, turn, turned_like
from scaling.common import files
from scaling.common.errors import UserError

log = logging.getLogger(__name__)

Aside = Callable[[Path, str], None]  # moves a damaged checkpoint away and tells the reason


class Checkpoints:
    """Checkpoints of one run folder; a context that waits for its last save.

    The newest `keep` are kept, and those of the `permanent` steps are never removed.
    """

    def __init__(self, folder: Path, keep: int = 2, permanent: Sequence[int] = ()) -> None:
        from orbax.checkpoint import v1 as orbax

        policies = orbax.training.preservation_policies
        self._folder = folder
        self._current: int | None = None  # the step last restored or saved
        self._sealer = ThreadPoolExecutor(1)
        self._saving: Future[None] | None = None  # the save under way
        with self._writing():
            self._orbax = orbax.training.Checkpointer(
                folder.absolute(),
                preservation_policy=policies.AnyPreservationPolicy(
                    [policies.LatestN(keep), policies.CustomSteps(permanent)]
                ),
                cleanup_tmp_directories=True,
            )

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        with self._writing():
            try:
                self._finish()
            finally:
                self._sealer.shutdown()
                self._orbax.close()

    def save(self, step: int, state: Any) -> None:
        """Begin to save the state after `step` steps; it may be donated as soon as this returns.

        From an accelerator the state is copied first. On a CPU Orbax writes from a view of the
        buffers; JAX does not donate a buffer with a view, but copies it.
        """
        if step == self._current:
            return
        with self._writing():
            self._finish()
            response = self._orbax.save_async(step, state, overwrite=True)
        self._saving, self._current = self._sealer.submit(self._complete, step, response), step

    def latest(self) -> int:
        """The step of the newest checkpoint, sound or not; -1 without one."""
        return told(lambda: max((found.step for found in self._orbax.checkpoints), default=-1))

    def restore(self, state: Any, aside: Aside | None = None) -> Any:
        """Load the latest sound state, in the form and placement of `state`.

        Without one, `state` comes back. `aside` is for the run's owner; a reader passes damage by.

        Raises:
            UserError: a checkpoint is whole and still cannot be loaded, or, for a reader, all are
                damaged.
        """
        steps = told(
            lambda: sorted((found.step for found in self._orbax.checkpoints), reverse=True)
        )
        for step in steps:
            folder = self._folder / str(step)
            reason = told(partial(damage, folder))
            if reason is None:
                restored, trouble = self._load(step, state)
                if trouble is None:
                    self._current = step
                    return restored
                raise UserError(
                    f"{folder}: whole, and {trouble}: of another version or model; use that, or "
                    "move it away to continue from the one before"
                )
            if aside is not None:
                told(partial(aside, folder, reason))
                self._orbax.reload()
        if steps and aside is None:
            raise UserError(
                f"{self._folder}: no checkpoint can be read (steps {steps}); train the run again"
            )
        return state

    def _load(self, step: int, state: Any) -> tuple[Any, str | None]:
        """Load the state of this step, or the reason that a process cannot read it."""
        restored = reason = None
        try:
            restored = _load_like(state, self._orbax, step)
        except (KeyError, ValueError, OSError) as error:  # KeyError: Orbax's word for damage
            log.warning("%s/%d: %s", self._folder, step, error)
            reason = "cannot be loaded"
        if any(ask(lambda: reason is not None)()):
            return None, reason or "another process failed"
        return restored, None

    def _finish(self) -> None:
        """Wait for the save under way and its checksums."""
        saving, self._saving = self._saving, None
        if saving is not None:
            saving.result()

    def _complete(self, step: int, response: Any) -> None:
        """Write the checksums as soon as the save is whole, in a thread of its own."""
        response.result()  # of all processes
        if leads():
            seal(self._folder / str(step))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn an error of the disk into one line."""
        try:
            yield
        except (OSError, ValueError) as error:
            number = _error_number(error)
            if number is None:
                raise
            raise files.refused(self._folder, number, "make room") from error


def _error_number(error: OSError | ValueError) -> int | None:
    """The system's number; TensorStore puts it into the text of a ValueError."""
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"os_error_code='(\d+)'", str(error))
    return int(found[1]) if found else None


def kept(folder: Path) -> list[int]:
    """The steps of the whole checkpoints in a folder, in order."""
    return sorted(int(path.name) for path in named_by_step(folder) if is_sealed(path))


def read(folder: Path, step: int, state: Any) -> Any:
    """Load one checkpoint, in the form and placement of `state`; its folder may be in use.

    Raises:
        UserError: it is missing, damaged, or of another model.
    """
    from orbax.checkpoint import v1 as orbax

    path = folder / str(step)
    if step not in (steps := kept(folder)):
        raise UserError(f"{path}: no whole checkpoint; of the run are kept steps {steps}")
    reason = damage(path)
    if reason is None:
        try:
            return _load_like(state, orbax, path.absolute())
        except (KeyError, ValueError, OSError) as error:
            reason = str(error).partition("\n")[0]
    raise UserError(f"{path}: cannot be read: {reason}; of the run are kept steps {steps}")


def _load_like(state: Any, orbax: Any, which: int | Path) -> Any:
    """Load a step of a checkpointer, or a path by the module, in the form of `state`."""
    saved = orbax.metadata(which).metadata
    if is_stacked(saved) == is_stacked(state):
        return orbax.load(which, jax.tree.map(_abstract, state))
    other = jax.tree.map(_abstract, jax.jit(lambda state: turn(state, saved))(state))
    return turned_like(orbax.load(which, other), state)


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
