"""Keeper of one process of a group: it holds copies of shards, and starts the process again.

A keeper does not train. Its process does, and may be killed at any time: the keepers of all
processes then kill theirs, meet, and start them anew. Those go on from the copies that the keepers
hold (`experiments.devices.peer_memory`). A keeper that was killed too is replaced by the same
command, and has its copies from the next one. Keepers meet at the one of process 0, a port above
the coordinator's.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread

from experiments.devices import frames
from experiments.devices.frames import Head
from experiments.record import AGAIN
from scaling.common.errors import UserError

COPIES = 2  # of a process's shards, the newest
PATIENCE = 600.0  # seconds until a keeper that does not come is missing
GRACE = 90.0  # seconds from the end of one process to that of all
FRUITLESS = 3  # rounds without a new copy, after which the keepers give up
RETRY = 0.2  # seconds

Address = tuple[str, int]
Copy = tuple[dict[str, int], bytearray]  # bytes by shard, and all of them


@dataclass
class Store:
    """Copies by owner and run; `kept` counts all that ever came."""

    copies: dict[int, dict[str, dict[int, Copy]]] = field(default_factory=dict)
    kept: int = 0

    def keep(self, owner: int, run: str, step: int, copy: Copy) -> None:
        """Hold a copy, and no longer those of other runs or more than `COPIES`."""
        found = {**self.copies.get(owner, {}).get(run, {}), step: copy}
        newest = sorted(found)[-COPIES:]
        self.copies[owner] = {run: {step: found[step] for step in newest}}
        self.kept += 1

    def of(self, owner: int, run: str) -> dict[int, Copy]:
        return self.copies.get(owner, {}).get(run, {})


@dataclass
class Keeper:
    """The keeper of process `number` of `processes`."""

    coordinator: Address
    processes: int
    number: int
    store: Store = field(default_factory=Store)
    addresses: list[Address] = field(default_factory=list)  # of all keepers
    _stopping: bool = False
    _child: subprocess.Popen[bytes] | None = None
    _waiting: SimpleQueue[tuple[Head, socket.socket]] = field(default_factory=SimpleQueue)

    def carry_out(self, command: Sequence[str]) -> int:
        """Start the command, again after each failure in the group; the exit code of all.

        Args:
            command: gets `--resource=keeper=PORT` besides.
        """
        port = self.coordinator[1] + 1 if self.number == 0 else 0
        server = socket.create_server(("", port), backlog=4 * self.processes)
        port = server.getsockname()[1]
        Thread(target=self._serve, args=(server,), daemon=True).start()
        if self.number == 0:
            Thread(target=self._chair, daemon=True).start()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        before, fruitless = -1, 0
        while fruitless < FRUITLESS:
            code = self._round([*command, f"--resource=keeper={port}"], port)
            if code is not None:
                return code
            fruitless = 0 if self.store.kept > before else fruitless + 1
            before = self.store.kept
            print(f"process {self.number}: the group starts again", file=sys.stderr, flush=True)
        print(f"process {self.number}: {FRUITLESS} starts without a copy", file=sys.stderr)
        return AGAIN

    def _round(self, command: Sequence[str], port: int) -> int | None:
        """Meet, start the process, and wait for the verdict: an exit code, or None for again."""
        chair = self._meet(port)
        with chair:
            self._child = subprocess.Popen(command, start_new_session=True)
            if self._stopping:
                self._child.terminate()
            Thread(target=self._report, args=(chair, self._child), daemon=True).start()
            try:
                verdict, _ = frames.receive(chair)
            except OSError:  # the keeper of process 0 has died
                verdict = {"code": AGAIN if self._stopping else None}
            finally:
                self._child.kill()
                self._child.wait()
        code: int | None = verdict["code"]
        return code

    def _meet(self, port: int) -> socket.socket:
        """The connection to the chair, once all keepers have come."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                chair = socket.create_connection((self.coordinator[0], self.coordinator[1] + 1))
                frames.send(chair, {"do": "meet", "number": self.number, "port": port})
                chair.settimeout(max(0.0, end - time.monotonic()))
                found, _ = frames.receive(chair)
            except OSError:
                time.sleep(RETRY)
                continue
            chair.settimeout(None)
            self.addresses = [(host, port) for host, port in found["addresses"]]
            return chair
        host, at = self.coordinator
        raise UserError(
            f"not all {self.processes} processes have met at {host}:{at + 1} in {PATIENCE:.0f} s; "
            "start all with the same command, each with its own number"
        )

    def _report(self, chair: socket.socket, child: subprocess.Popen[bytes]) -> None:
        code = child.wait()
        with contextlib.suppress(OSError):
            frames.send(chair, {"code": AGAIN if self._stopping else code})

    def _stop(self, *_: object) -> None:
        """Hand a stop signal on: the process saves a checkpoint, and all end."""
        self._stopping = True
        if self._child is not None:
            self._child.terminate()

    # --- what others ask a keeper ---

    def _serve(self, server: socket.socket) -> None:
        while True:
            connection, _ = server.accept()
            Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # who asked has died
            head, content = frames.receive(connection)
            match head["do"]:
                case "meet":
                    self._waiting.put((head, connection))
                    return
                case "stay":
                    connection.recv(1)
                case "keep":
                    self._keep(head, content)
                    frames.send(connection, {})
                case "steps":
                    found = self._own(head).items()
                    frames.send(connection, {"steps": {step: copy[0] for step, copy in found}})
                case "load":
                    owner = head.get("owner", self.number)
                    sizes, whole = self.store.of(owner, head["run"])[head["step"]]
                    frames.send(connection, {"sizes": sizes}, [whole])
                case "held":
                    held = self.store.of(head["owner"], head["run"])
                    frames.send(connection, {"steps": sorted(held)})
        connection.close()

    def _keep(self, head: Head, content: bytearray) -> None:
        """Hold a copy; one of this process also in the memory of the next keeper."""
        owner = head.setdefault("owner", self.number)
        self.store.keep(owner, head["run"], head["step"], (head["sizes"], content))
        if owner == self.number and self.processes > 1:
            frames.ask(self._next, head, [content])

    def _own(self, asked: Head) -> dict[int, Copy]:
        """This process's copies; those of a keeper that was replaced come from the next one."""
        own = self.number, asked["run"]
        if not self.store.of(*own) and self.processes > 1:
            at = {"run": asked["run"], "owner": self.number}
            for step in frames.ask(self._next, {"do": "held", **at})[0]["steps"]:
                found, whole = frames.ask(self._next, {"do": "load", **at, "step": step})
                self.store.keep(*own, step, (found["sizes"], whole))
        return self.store.of(*own)

    @property
    def _next(self) -> Address:
        return self.addresses[(self.number + 1) % self.processes]

    # --- the keeper of process 0 ---

    def _chair(self) -> None:
        """Bring the keepers together, and give each round's verdict."""
        while True:
            came: dict[int, tuple[Head, socket.socket]] = {}
            while len(came) < self.processes:
                head, connection = self._waiting.get()
                came[head["number"]] = head, connection
            members = [came[number] for number in range(self.processes)]
            addresses = [(c.getpeername()[0], head["port"]) for head, c in members]
            connections = [connection for _, connection in members]
            _tell(connections, {"addresses": addresses})
            _tell(connections, {"code": _verdict(connections)})
            for connection in connections:
                connection.close()


def _tell(connections: Sequence[socket.socket], head: Head) -> None:
    for connection in reversed(connections):  # the chair's own last, for it ends with its process
        with contextlib.suppress(OSError):  # of a keeper that has died
            frames.send(connection, head)


def _verdict(connections: Sequence[socket.socket]) -> int | None:
    """The exit code with which all processes have ended; None if one was killed, or they differ."""
    codes: list[int] = []
    with selectors.DefaultSelector() as ready:
        for connection in connections:
            ready.register(connection, selectors.EVENT_READ)
        while len(codes) < len(connections):
            found = ready.select(GRACE if codes else None)
            for key, _ in found:
                ready.unregister(key.fileobj)
                try:
                    codes.append(frames.receive(key.fileobj)[0]["code"])  # type: ignore[arg-type]
                except OSError:
                    return None
            if not found or min(codes) < 0 or len(set(codes)) > 1:
                return None
    return codes[0]
