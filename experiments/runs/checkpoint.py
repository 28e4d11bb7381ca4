"""Checkpoints of a run's state: save and restore, by Orbax, which no other file imports.

Saving is asynchronous and atomic: an interrupted save leaves the one before it in place. A complete
save gets checksums; restoring skips a checkpoint that differs from them. The data need no state:
batches are a function of (seed, step), and the step is in the state.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import jax

from experiments.devices.multihost import ask, leads, told
from experiments.runs.checksums import damage, is_sealed, seal
from experiments.runs.layer_stacking import is_stacked, turn, turned_like
from scaling.common.errors import UserError

log = logging.getLogger(__name__)


class Checkpoints:
    """Checkpoints of one run folder; a context that waits for its last save.

    The newest `keep` are kept, and those of the `permanent` steps are never removed.
    """

    def __init__(self, folder: Path, keep: int = 2, permanent: Sequence[int] = ()) -> None:
        from orbax.checkpoint import v1 as orbax

        policies = orbax.training.preservation_policies
        self._folder = folder
        self._current: int | None = None  # the step last restored or saved
        self._saving: tuple[int, Any] | None = None  # the save under way: its step and response
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
        self._saving, self._current = (step, response), step

    def restore(self, state: Any) -> Any:
        """Load the latest readable state, in the form and placement of `state`.

        Without any checkpoint, `state` comes back.

        Raises:
            UserError: there are checkpoints, and none can be read.
        """
        steps = told(
            lambda: sorted((found.step for found in self._orbax.checkpoints), reverse=True)
        )
        for step in steps:
            folder = self._folder / str(step)
            reason = told(partial(damage, folder))
            if reason is None:
                restored, reason = self._load(step, state)
            if reason is not None:
                log.warning("%s: cannot be read: %s", folder, reason)
                continue
            self._current = step
            if leads() and not is_sealed(folder):  # its save was killed before that
                seal(folder)
            return restored
        if steps:
            raise UserError(
                f"{self._folder}: no checkpoint can be read (steps {steps}); "
                "delete that folder to train this run from its start"
            )
        return state

    def _load(self, step: int, state: Any) -> tuple[Any, str | None]:
        """Load the state of this step, or the reason that a process cannot read it."""
        restored = reason = None
        try:
            restored = _load_like(state, self._orbax, step)
        except (KeyError, ValueError, OSError) as error:  # KeyError: Orbax's word for damage
            reason = str(error)
        if any(ask(lambda: reason is not None)()):
            return None, reason or "another process failed"
        return restored, None

    def _finish(self) -> None:
        """Wait for the save under way, and write its checksums."""
        saving, self._saving = self._saving, None
        if saving is not None:
            step, response = saving
            response.result()  # of all processes
            if leads():
                seal(self._folder / str(step))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn an error of the disk into one line."""
        try:
            yield
        except (OSError, ValueError) as error:
            reason = _disk_error(error)
            if reason is None:
                raise
            raise UserError(f"{self._folder}: cannot write ({reason}); make room") from error


def _disk_error(error: OSError | ValueError) -> str | None:
    """The system's error text; TensorStore puts its number into the text of a ValueError."""
    if isinstance(error, OSError):
        return error.strerror
    found = re.search(r"os_error_code='(\d+)'", str(error))
    return os.strerror(int(found[1])) if found else None


def kept(folder: Path) -> list[int]:
    """The steps of the whole checkpoints in a folder, in order."""
    found = (path for path in folder.glob("*") if path.name.isdecimal() and is_sealed(path))
    return sorted(int(path.name) for path in found)


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
    other = jax.tree.map(_abstract, jax.jit(turn)(state))
    return turned_like(orbax.load(which, other), state)


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)
