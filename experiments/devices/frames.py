"""Frames between processes: a small dict as JSON, then bytes; nothing of them is executed.

A frame is two lengths of 8 bytes, the JSON and the bytes.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Sequence
from typing import Any

LENGTHS = struct.Struct("!QQ")

Head = dict[str, Any]


class ClosedError(OSError):
    """The other end of a connection has closed it."""


def send(to: socket.socket, head: Head, parts: Sequence[Any] = ()) -> None:
    """Send one frame; its bytes are those of the buffers, one after another."""
    views = [memoryview(part).cast("B") for part in parts]
    text = json.dumps(head).encode()
    to.sendall(LENGTHS.pack(len(text), sum(map(len, views))) + text)
    for view in views:
        to.sendall(view)


def receive(of: socket.socket) -> tuple[Head, bytearray]:
    """The next frame.

    Raises:
        ClosedError: there is none.
    """
    text, size = LENGTHS.unpack(_exactly(of, LENGTHS.size))
    return json.loads(_exactly(of, text)), _exactly(of, size)


def ask(address: tuple[str, int], head: Head, parts: Sequence[Any] = ()) -> tuple[Head, bytearray]:
    """The frame that answers one frame, over a connection of its own."""
    with socket.create_connection(address) as other:
        send(other, head, parts)
        return receive(other)


def _exactly(of: socket.socket, size: int) -> bytearray:
    found = bytearray(size)
    rest = memoryview(found)
    while rest:
        taken = of.recv_into(rest)
        if not taken:
            raise ClosedError("the other end closed the connection")
        rest = rest[taken:]
    return found
