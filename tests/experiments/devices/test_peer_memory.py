"""Copies of a state in the memory of two keepers, over real sockets."""

from __future__ import annotations

import socket
import time
from threading import Thread

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.devices.peer_memory import HERE, PeerMemory
from experiments.launchers._keeper import Keeper

OPEN: list[socket.socket] = []  # until this process ends


@pytest.fixture
def keepers() -> list[Keeper]:
    found = [Keeper((HERE, 0), 2, number) for number in range(2)]
    servers = [socket.create_server((HERE, 0)) for _ in found]
    OPEN.extend(servers)
    for keeper, server in zip(found, servers, strict=True):
        keeper.addresses = [server.getsockname()[:2] for server in servers]
        Thread(target=keeper._serve, args=(server,), daemon=True).start()
    return found


def test_a_replaced_keeper_has_its_copies_from_the_next_one(keepers: list[Keeper]) -> None:
    memory = PeerMemory(keepers[0].addresses[0][1], steps=8)
    advance = jax.jit(lambda x: jax.tree.map(lambda leaf: leaf + 1, x), donate_argnums=0)
    state = {"w": jnp.arange(6.0).reshape(2, 3), "step": jnp.int32(16)}
    assert memory.restore("run", state, beyond=-1) is None
    for step in (8, 16, 24):
        if step == 24:
            memory._sender.submit(time.sleep, 0.2)  # the state is donated before it is sent
        kept = jax.tree.map(lambda leaf: np.array(leaf, copy=True), state)
        memory.keep("run", step, state)
        state = advance(state)
        assert memory._sending is not None
        memory._sending.result()
    assert not memory.is_sending()
    assert [sorted(each.store.of(0, "run")) for each in keepers] == [[16, 24]] * 2

    keepers[0].store.copies.clear()  # as one that was killed and started again
    like = {"w": jnp.zeros((2, 3)), "step": jnp.int32(0)}
    found = memory.restore("run", like, beyond=16)
    assert found is not None
    jax.tree.map(np.testing.assert_array_equal, found, kept)
    assert memory.restore("run", like, beyond=24) is None, "a checkpoint is as new"
    assert memory.restore("another", like, beyond=-1) is None
    for w in (jnp.zeros((3, 3)), jnp.zeros((2, 3), jnp.int32)):
        assert memory.restore("run", {**like, "w": w}, beyond=-1) is None, "of another form"
