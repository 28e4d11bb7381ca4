"""Copies of a run's state in the memory of other processes: a killed process costs no checkpoint.

Each process of a group trains beside a keeper (`experiments.launchers._keeper`), which outlives it.
Every `steps` steps the process sends its shards to its keeper, which sends them on to the next
process's keeper. So two hosts have each shard, and one of them may die. Keepers have the last two
copies. A copy begins only when every process has ended the one before, so that one of the two is
whole everywhere. Source: Wang et al. 2023 (Gemini, SOSP).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Thread
from typing import Any

import jax
import numpy as np

from experiments.devices import frames
from experiments.devices.multihost import common
from experiments.record import AGAIN

HERE = "127.0.0.1"  # a keeper is on its process's host


class PeerMemory:
    """The copies of this process, by its keeper."""

    def __init__(self, keeper: int, steps: int) -> None:
        """Args: keeper: its port; steps: between copies."""
        self.steps = steps
        self._keeper = HERE, keeper
        self._sender = ThreadPoolExecutor(1)
        self._sending: Future[Any] | None = None
        Thread(target=_end_with, args=(self._keeper,), daemon=True).start()

    def is_due(self, before: int, now: int) -> bool:
        """True where a copy's step lies in the dispatch that has just ended."""
        return before // self.steps < now // self.steps

    def is_sending(self) -> bool:
        return self._sending is not None and not self._sending.done()

    def keep(self, run_id: str, step: int, state: Any) -> None:
        """Copy this process's shards to the host and begin to send them."""
        if self._sending is not None:
            self._sending.result()
        shards = dict(_shards(state))
        sizes = {name: shard.nbytes for name, shard in shards.items()}
        head = {"do": "keep", "run": run_id, "step": step, "sizes": sizes}
        # a view of a buffer on a CPU is safe: JAX then does not donate it
        parts = [np.asarray(shard).reshape(-1).view(np.uint8) for shard in shards.values()]
        self._sending = self._sender.submit(frames.ask, self._keeper, head, parts)

    def restore(self, run_id: str, state: Any, beyond: int) -> Any | None:
        """The newest copy that all processes can have, in the form and placement of `state`.

        None where no copy is of a later step than `beyond`, or none has these shards.
        """
        head, _ = frames.ask(self._keeper, {"do": "steps", "run": run_id})
        sizes = {name: shard.nbytes for name, shard in _shards(state)}
        whole = (int(step) for step, found in head["steps"].items() if found == sizes)
        step = max(common(list(whole), of=2), default=-1)
        if step <= beyond:
            return None
        head, content = frames.ask(self._keeper, {"do": "load", "run": run_id, "step": step})
        ends = np.cumsum(list(head["sizes"].values()))
        starts = dict(zip(head["sizes"], ends - list(head["sizes"].values()), strict=True))

        def leaf(path: Any, like: jax.Array) -> jax.Array:
            def part(shard: Any) -> jax.Array:
                first = starts[_name(path, shard)]
                data = shard.data
                flat = np.frombuffer(content, data.dtype, data.size, int(first))
                return jax.device_put(flat.reshape(data.shape), shard.device)

            parts = [part(shard) for shard in like.addressable_shards]
            return jax.make_array_from_single_device_arrays(like.shape, like.sharding, parts)

        return jax.tree_util.tree_map_with_path(leaf, state)


def _shards(state: Any) -> Iterator[tuple[str, jax.Array]]:
    """The arrays of this process's devices; one that several devices have, several times."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        for shard in leaf.addressable_shards:
            yield _name(path, shard), shard.data


def _name(path: Any, shard: Any) -> str:
    """The leaf, its dtype and the place in it."""
    place = ",".join(f"{axis.start or 0}:" for axis in shard.index)
    return f"{jax.tree_util.keystr(path)} {shard.data.dtype}[{place}]"


def _end_with(keeper: tuple[str, int]) -> None:
    """End this process as soon as its keeper has ended."""
    with socket.create_connection(keeper) as connection:
        frames.send(connection, {"do": "stay"})
        connection.recv(1)
    os._exit(AGAIN)
