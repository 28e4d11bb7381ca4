"""Exchanges between chips in a compiled program, read from the text of its HLO.

XLA's TPU compiler hides an exchange by splitting it into a chain of fusions. All name the same
instruction and channel; such a chain is one exchange. A reduce-scatter is a fusion called
all-reduce-scatter. A collective turned into a ring of permutes, to overlap a matrix product, counts
as those permutes.

An exchange in the body of a loop counts once per trip. The text does not state the trips. Loops
over layers, microbatches or a ring count from 0, compare with a constant and add another. The loop
over the steps of a dispatch has no constant; it is the outermost.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

# Share of an array that one of m chips sends; the array gathered, before a scatter, or a chip's own
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
_TUPLE = re.compile(r"ROOT .* tuple\((.*?)\)(?:,|$)")
_ADD = re.compile(r" add\(%[\w.-]+, %([\w.-]+)\)")


@dataclass(frozen=True)
class Exchange:
    """One exchange.

    Attributes:
        kind: a key of `SENT`.
        array: bytes of the array that `SENT` takes its part of.
        group: chips that exchange with one another.
        times: in a step.
        source: the operation of the program that caused it, by JAX's name.
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
class HloModule:
    """The text of a compiled program, by computation."""

    computations: Mapping[str, tuple[str, ...]]
    entry: str
    steps: int  # of one dispatch

    @cached_property
    def collectives(self) -> tuple[Exchange, ...]:
        """All exchanges of a step; one outside the loop of steps has its part of a dispatch."""
        return tuple(self._body(self.entry, 1 / self.steps, outermost=True))

    @property
    def unknown_loops(self) -> int:
        """Loops that have no constant and are not that of the steps; their bodies count once."""
        found = (
            loop.groups()
            for name, lines in self.computations.items()
            for line in lines
            if name != self.entry and (loop := _WHILE.search(line))
        )
        return sum(self._trips(condition, body) is None for condition, body in found)

    def _body(self, name: str, times: float, *, outermost: bool = False) -> Iterator[Exchange]:
        """Exchanges of the entry, or of a loop's body that runs `times` times."""
        chained: set[tuple[str, str]] = set()
        for line in self.computations[name]:
            if loop := _WHILE.search(line):
                condition, body = loop.groups()
                trips = self._trips(condition, body) or (self.steps if outermost else 1)
                yield from self._body(body, times * trips)
            elif called := _FUSION.search(line):
                yield from self._fused(called.group(1), times, chained)
            elif found := _collective(line, name, times):
                yield found

    def _fused(self, name: str, times: float, chained: set[tuple[str, str]]) -> Iterator[Exchange]:
        """Exchanges of a fusion; a chain, known by its channel, counts once, where it begins."""
        for line in self.computations[name]:
            if called := _FUSION.search(line):
                yield from self._fused(called.group(1), times, chained)
            elif found := _collective(line, name, times):
                channel = re.search(r"channel_id=(\d+)", line)
                key = found.kind, channel.group(1) if channel else line
                if key not in chained:
                    chained.add(key)
                    yield found

    def _trips(self, condition: str, body: str) -> int | None:
        """ceil(N / s) of `while i < N: ...; i += s`, where N and s are constants."""
        test, work = self.computations[condition], self.computations[body]
        compared = _COMPARE.search(test[-1])
        results = _TUPLE.search(work[-1])
        if compared is None or results is None:
            return None
        counter = re.search(r"index=(\d+)", _definition(test, compared.group(1)))
        if counter is None:
            return None
        after = _names(results.group(1))[int(counter.group(1))]
        added = _ADD.search(_definition(work, after))
        limit = _constant(test, compared.group(2))
        stride = _constant(work, added.group(1)) if added else None
        return math.ceil(limit / stride) if limit and stride else None


def parse(text: str, steps: int) -> HloModule:
    """The HLO of a program of up to `steps` steps in a dispatch."""
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
    return HloModule(computations, entry, steps)


def _names(operands: str) -> list[str]:
    return re.findall(r"%([\w.-]+)", operands)


def _definition(lines: Sequence[str], name: str) -> str:
    """The right side of an instruction; of a copy, that of its operand."""
    start = re.compile(rf"^ *(?:ROOT )?%{re.escape(name)} = ")
    line = next((line for line in lines if start.match(line)), "")
    copied = re.search(r" copy\(%([\w.-]+)\)", line)
    return _definition(lines, copied.group(1)) if copied else line


def _constant(lines: Sequence[str], name: str) -> int | None:
    found = re.search(r" constant\((\d+)\)", _definition(lines, name))
    return int(found.group(1)) if found else None


def _collective(line: str, computation: str, times: float) -> Exchange | None:
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
    return Exchange(kind, array, group, times, source.group(1) if source else "")


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
