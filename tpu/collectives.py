"""What a compiled program exchanges between chips, read from the text of its HLO.

XLA's TPU compiler hides an exchange behind other work by splitting it into a chain of fusions that
all name the same instruction and channel; such a chain is one exchange. A reduce-scatter is a
fusion called all-reduce-scatter. A collective that it has turned into a ring of permutes, to
overlap it with the matrix product that makes its parts, is counted as those permutes.

An exchange in the body of a loop counts as often as the loop runs. Loops over layers, microbatches
or parts of a pipeline compare their counter, which starts at 0, with a constant; the text says it
in no other way. The loop over the steps of a dispatch has no constant; it is the outermost.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

# What one of m chips sends of an array: gathered, before it is scattered, else as each chip has it
SENT: Mapping[str, Callable[[int], float]] = {
    "all-gather": lambda m: (m - 1) / m,
    "reduce-scatter": lambda m: (m - 1) / m,
    "all-reduce": lambda m: 2 * (m - 1) / m,
    "all-to-all": lambda m: (m - 1) / m,
    "ragged-all-to-all": lambda m: (m - 1) / m,
    "collective-permute": lambda m: 1.0,
}

PRED_BITS = 8  # the name of every other dtype has its bits as its first number

_HEAD = re.compile(r"^(ENTRY )?%([\w.-]+) \(.*\{$")
_EXCHANGE = re.compile(rf" = (.*?) ({'|'.join(SENT)})(-start)?\(")
_FUSION = re.compile(r" (?:fusion|call|async-start)\(.*(?:calls|to_apply)=%([\w.-]+)")
_WHILE = re.compile(r" while\(.*condition=%([\w.-]+), body=%([\w.-]+)")
_ARRAY = re.compile(r"\b([a-z]+\d\w*|pred)\[([\d,]*)\]")
_COMPARE = re.compile(r"ROOT .* compare\(%([\w.-]+), %([\w.-]+)\), direction=LT")


@dataclass(frozen=True)
class Collective:
    """One exchange.

    Attributes:
        kind: a key of `SENT`.
        array: bytes, of what `SENT` takes its part of.
        group: chips that exchange with one another.
        times: in a step.
        source: the operation of the program that it was made for, as JAX names it.
    """

    kind: str
    array: int
    group: int
    times: float
    source: str

    @property
    def sent(self) -> float:
        """Bytes that one chip sends in a step."""
        return self.times * self.array * SENT[self.kind](self.group)


@dataclass(frozen=True)
class Module:
    """The text of a compiled program, by computation."""

    computations: Mapping[str, tuple[str, ...]]
    entry: str
    steps: int  # of one dispatch

    @cached_property
    def collectives(self) -> tuple[Collective, ...]:
        """All exchanges of a step; one outside the loop of steps has its part of a dispatch."""
        return tuple(self._body(self.entry, 1 / self.steps, outermost=True))

    @property
    def unknown_loops(self) -> int:
        """Loops that have no constant and are not that of the steps; their bodies count once."""
        found = (
            loop.group(1)
            for name, lines in self.computations.items()
            for line in lines
            if name != self.entry and (loop := _WHILE.search(line))
        )
        return sum(self._trips(condition) is None for condition in found)

    def _body(self, name: str, times: float, *, outermost: bool = False) -> Iterator[Collective]:
        """Of the entry, or of a loop's body that runs so often."""
        chained: set[tuple[str, str]] = set()
        for line in self.computations[name]:
            if loop := _WHILE.search(line):
                condition, body = loop.groups()
                trips = self._trips(condition) or (self.steps if outermost else 1)
                yield from self._body(body, times * trips)
            elif called := _FUSION.search(line):
                yield from self._fused(called.group(1), times, chained)
            elif found := _collective(line, name, times):
                yield found

    def _fused(
        self, name: str, times: float, chained: set[tuple[str, str]]
    ) -> Iterator[Collective]:
        """Of a fusion: each chain, which `chained` knows by its channel, counts where it begins."""
        for line in self.computations[name]:
            if called := _FUSION.search(line):
                yield from self._fused(called.group(1), times, chained)
            elif found := _collective(line, name, times):
                channel = re.search(r"channel_id=(\d+)", line)
                key = found.kind, channel.group(1) if channel else line
                if key not in chained:
                    chained.add(key)
                    yield found

    def _trips(self, condition: str) -> int | None:
        """N of `i < N`, where N is a constant."""
        lines = self.computations[condition]
        compared = _COMPARE.search(lines[-1])
        if compared is None:
            return None
        for line in lines:
            if found := re.search(rf"%{re.escape(compared.group(2))} = .* constant\((\d+)\)", line):
                return int(found.group(1))
        return None


def parse(text: str, steps: int) -> Module:
    """The HLO of a program that takes up to so many steps in a dispatch."""
    computations: dict[str, tuple[str, ...]] = {}
    entry, lines = "", list[str]()
    for line in text.splitlines():
        if head := _HEAD.match(line):
            name, lines = head.group(2), []
            entry = name if head.group(1) else entry
        elif line.startswith("}"):
            computations[name] = tuple(lines)
        else:
            lines.append(line)
    return Module(computations, entry, steps)


def _collective(line: str, computation: str, times: float) -> Collective | None:
    found = _EXCHANGE.search(line)
    if found is None:
        return None
    shapes, kind, start = found.groups()
    arrays = [_bytes(*array) for array in _ARRAY.findall(shapes)]
    if kind == "collective-permute" and start:
        arrays = arrays[:1]  # then come the result and two semaphores
    elif kind == "all-gather" and start:
        arrays = arrays[len(arrays) // 2 :]  # the operands come first
    group = _group(line)
    array = sum(arrays)
    if kind == "reduce-scatter":
        array *= group
    if computation.startswith("all-reduce-scatter"):
        kind = "reduce-scatter"
    source = re.search(r'op_name="([^"]*)"', line)
    return Collective(kind, array, group, times, source.group(1) if source else "")


def _bytes(dtype: str, sides: str) -> int:
    number = re.search(r"\d+", dtype)
    bits = int(number.group()) if number else PRED_BITS
    return math.ceil(math.prod(int(side) for side in sides.split(",") if side) * bits / 8)


def _group(line: str) -> int:
    """Chips of one group, in any of the three ways in which XLA writes them."""
    if mesh := re.search(r"replica_groups=mesh\[([^\]]*)\][^{]*\{([^}]*)\}", line):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", mesh.group(1)))
        return math.prod(int(sizes[axis]) for axis in re.findall(r"'(\w+)'", mesh.group(2)))
    if grid := re.search(r"replica_groups=\[\d+,(\d+)\]<=", line):
        return int(grid.group(1))
    listed = re.search(r"replica_groups=\{\{([\d,]*)\}", line)
    return listed.group(1).count(",") + 1 if listed else 1
