"""Live progress of a sweep: a table that redraws itself on a terminal, plain lines elsewhere.

A notebook keeps every line, so that it gets one for each run, when that ends.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from rich.columns import Columns
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from experiments.plan.run import Run
from experiments.plan.varying import varying
from experiments.record import ENDED, Status
from experiments.runs.job import Event

PLAIN_SECONDS = 5.0  # between the lines of one run, where there is no terminal
PLAN = ("run", "params", "tokens")
NOW = ("phase", "done", "loss", "tokens/s")


def clock(seconds: float) -> str:
    """Hours, minutes and seconds, or a dash while unknown."""
    if not math.isfinite(seconds):
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class Progress:
    """Watches the events of a sweep; a context that draws while it is open.

    Time left is the FLOPs left over the FLOP/s since the first dispatch: the first compilation does
    not count, later ones do.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        finished: Sequence[str],
        console: Console | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runs = {run.run_id: run for run in runs}
        varied = varying(runs, ("budget.tokens",))
        self._varied = {
            run.run_id: {name: _text(values[number]) for name, values in varied.items()}
            for number, run in enumerate(runs)
        }
        self._flops = {run.run_id: run.ledger["flops_model"] for run in runs}
        self._done = {run.run_id: run.ledger["flops_model"] - run.flops for run in runs}
        self._done |= {run_id: self._flops[run_id] for run_id in finished}
        self._before = dict(self._done)  # steps of each run before the clock ran
        self._ended = set(finished)
        self._active: dict[str, Event] = {}
        self._printed: dict[str, float] = {}
        self._now = now
        self._start = math.nan
        self._console = console or Console(stderr=True)
        self._says_all = not (self._console.is_terminal or self._console.is_jupyter)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> Progress:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Take one event."""
        self._count(event)
        if event.note:
            self._console.print(event.note, highlight=False, soft_wrap=True)
        ended = event.phase in ENDED
        if ended:
            self._ended.add(event.run_id)
        if isinstance(event.phase, Status):
            self._active.pop(event.run_id, None)
        else:
            self._active[event.run_id] = event
        if ended or (self._says_all and self._is_due(event)):
            # one line per event, however narrow the console
            self._console.print(self._line(event), highlight=False, soft_wrap=True)
        if self._console.is_terminal:
            self._live.update(self._table(), refresh=True)

    def seconds_left(self) -> float:
        done, passed = self._worked(), self._now() - self._start
        left = sum(self._flops.values()) - sum(self._done.values())
        return left * passed / done if done > 0 else math.nan

    def _count(self, event: Event) -> None:
        steps = max(1, self._runs[event.run_id].config.science.steps)
        share = 1.0 if event.phase in ENDED else event.step / steps
        self._done[event.run_id] = self._flops[event.run_id] * share
        if event.phase == "compiling":  # with the steps of earlier calls
            self._before[event.run_id] = self._done[event.run_id]
        if event.phase == "training" and math.isnan(self._start):
            self._start, self._before = self._now(), dict(self._done)

    def _worked(self) -> float:
        return sum(self._done.values()) - sum(self._before.values())

    def _is_due(self, event: Event) -> bool:
        if self._now() - self._printed.get(event.run_id, -math.inf) < PLAIN_SECONDS:
            return False
        self._printed[event.run_id] = self._now()
        return True

    def _cells(self, event: Event) -> tuple[str, ...]:
        run = self._runs[event.run_id]
        rate = event.tokens_per_second
        return (
            event.run_id,
            f"{run.ledger['params_total']:,.0f}",
            f"{run.ledger['tokens'] / 1e6:,.2f}M",
            *self._varied[event.run_id].values(),
            event.phase,
            f"{event.step / max(1, run.config.science.steps):.0%}",
            "" if math.isnan(event.loss) else f"{event.loss:.3f}",
            "" if math.isnan(rate) else f"{rate:,.0f}",
        )

    def _line(self, event: Event) -> str:
        run_id, params, tokens, *_, phase, done, loss, rate = self._cells(event)
        varied = "  ".join(f"{name} {value}" for name, value in self._varied[run_id].items())
        parts = (
            f"{run_id}  {params:>11} params {tokens:>10} tokens",
            varied,
            f"{phase:10} {done:>4}",
            f"loss {loss:6}" if loss else "",
            f"{rate:>9} tokens/s" if rate else "",
        )
        return "  ".join(part for part in parts if part) + f"  [{self._total()}]"

    def _total(self) -> str:
        return f"{len(self._ended)}/{len(self._runs)} runs, {clock(self.seconds_left())} left"

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False)
        varied = next(iter(self._varied.values()), {})
        for name in (*PLAN, *varied, *NOW):
            table.add_column(name, justify="left" if name in ("run", "phase") else "right")
        for event in self._active.values():
            table.add_row(*self._cells(event))
        everything, left = sum(self._flops.values()), self._total()
        bar = ProgressBar(everything, sum(self._done.values()), width=40)
        return Group(table, Columns([bar, left]))
