"""Answers of runs to the items of one task, as arrays of runs and items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scaling.common.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
LEAST = -700.0  # nats of a text that a model holds for impossible


@dataclass(frozen=True)
class Answers:
    """The answers of R runs to I items, at each run's last step.

    Attributes:
        params: N of each run.
        right: ln p of the right choice, in nats.
        wrong: ln of the sum of p over the wrong choices.
        loss: nats per byte of the right choice.
        hits: 1 where the right choice is the likeliest, else 0.
        chance: accuracy of a guess.
        drawn, passed: samples of each item, and how many of them passed; 0 without samples.
        rival: ln p of the likeliest wrong choice, in nats.
    """

    task: str
    runs: tuple[str, ...]
    params: Array  # [R]
    right: Array  # [R, I]
    wrong: Array  # [R, I]
    loss: Array  # [R, I]
    hits: Array  # [R, I]
    chance: float
    drawn: Array  # [R, I]
    passed: Array  # [R, I]
    rival: Array  # [R, I]

    @property
    def has_samples(self) -> bool:
        return bool(self.drawn.size and (self.drawn.sum(1) > 0).all())

    def of(self, mask: NDArray[np.bool_]) -> Answers:
        """The answers of some runs."""
        arrays = {name: getattr(self, name)[mask] for name in
                  ("params", "right", "wrong", "loss", "hits", "drawn", "passed",
                   "rival")}  # fmt: skip
        names = tuple(name for name, kept in zip(self.runs, mask, strict=True) if kept)
        return Answers(self.task, names, chance=self.chance, **arrays)


def answers_of(rows: pd.DataFrame, params: dict[str, float], task: str) -> Answers:
    """The answers to one task, from rows of `experiments.record.load_items`.

    Items that not all runs answered are left out.

    Args:
        params: by run.

    Raises:
        UserError: no run answered items of several choices.
    """
    own = rows[(rows["task"] == task) & rows["run_id"].isin(list(params))]
    own = own[own["step"] == own.groupby("run_id", observed=True)["step"].transform("max")]
    choices = own[own["kind"] == "choice"]
    names = [run for run in params if (choices["run_id"] == run).any()]
    count = choices.groupby("item", observed=True)["run_id"].nunique()
    items = sorted(str(item) for item in count.index[count == len(names)])
    sizes = choices.groupby("item", observed=True)["choice"].max() + 1
    items = [item for item in items if sizes[item] > 1]
    if not names or not items:
        raise UserError(f"task {task}: no items of several choices; windtunnel evaluate asks them")
    r, i = (
        _codes(choices[column], known) for column, known in (("run_id", names), ("item", items))
    )
    kept = (r >= 0) & (i >= 0)
    r, i, choices = r[kept], i[kept], choices[kept]
    logs = np.nan_to_num(choices["log_probability"].to_numpy(float), nan=LEAST, neginf=LEAST)
    is_right = choices["is_answer"].to_numpy(bool)
    shape = len(names), len(items)
    right, wrong, best = (np.full(shape, -np.inf) for _ in range(3))
    loss = np.zeros(shape)
    right[r[is_right], i[is_right]] = logs[is_right]
    per_byte = logs / choices["bytes"].to_numpy(float)
    loss[r[is_right], i[is_right]] = -per_byte[is_right]
    np.logaddexp.at(wrong, (r[~is_right], i[~is_right]), logs[~is_right])
    np.maximum.at(best, (r[~is_right], i[~is_right]), logs[~is_right])
    drawn, passed = np.zeros(shape), np.zeros(shape)
    samples = own[own["kind"] == "sample"]
    a, b = (
        _codes(samples[column], known) for column, known in (("run_id", names), ("item", items))
    )
    inside = (a >= 0) & (b >= 0)
    np.add.at(drawn, (a[inside], b[inside]), 1)
    verdicts = samples["passed"].fillna(False).to_numpy(bool)[inside]  # a failed verifier: no pass
    np.add.at(passed, (a[inside], b[inside]), verdicts.astype(float))
    return Answers(
        task=task,
        runs=tuple(names),
        params=np.array([params[name] for name in names], float),
        right=right,
        wrong=wrong,
        loss=loss,
        hits=(right > best).astype(float),
        chance=float(np.mean([1 / sizes[item] for item in items])),
        drawn=drawn,
        passed=passed,
        rival=best,
    )


def _codes(column: pd.Series, known: list[str]) -> NDArray[np.int64]:
    """The place of each value among the known ones; -1 elsewhere."""
    place = {name: k for k, name in enumerate(known)}
    found: NDArray[np.int64] = np.array(column.astype(str).map(place).fillna(-1), np.int64)
    return found
