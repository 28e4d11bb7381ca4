"""Branches and trunks: runs that share their first steps, which are trained once.

A run's rate and batches are functions of the step. So two runs that differ in budget and schedule
alone are identical while their rates agree: with equal warm-up steps, up to the first step of the
earlier decay. There a branch leaves its trunk. Of S steps, W are warm-up and the last Z decay, from
step b = S - Z:

    trunk    S >= b,  warmup_fraction = W / S,  decay_fraction = 0
    branch   S,       warmup_fraction = W / S,  decay_fraction = Z / S

Both have one schedule with a plateau independent of S: WSD, or any other that decays over a part of
its steps (`DECAYS`), in any shape. The infinite schedule's settling steps carry over like the
warm-up. A branch is an ordinary run: its science and identity do not depend on the trunk.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

from experiments.config.identity import identity
from experiments.config.overrides import assign, paths
from experiments.config.run import RunConfig, Science
from experiments.config.schedule import DECAYS
from experiments.plan.run import Continued
from scaling.common.errors import UserError

# Fields that may differ while the rates agree
FREE = (
    "budget.tokens",
    "schedule.warmup_fraction",
    "schedule.settling_fraction",
    "schedule.decay_fraction",
    "schedule.decay_shape",
    "schedule.final_fraction",
)


def stable_steps(science: Science) -> int:
    """Steps before the decay starts. Up to here a run is identical to any longer one."""
    return science.steps - science.decay_steps


def trunk(config: RunConfig, tokens: Sequence[int], decay_fraction: float) -> RunConfig:
    """The stable run shared by runs of these tokens, up to the last of their cooldowns.

    Its warm-up is the shortest run's by `config.schedule`. The checkpoints from which cooldowns
    begin are permanent.

    Raises:
        UserError: a schedule that depends on its length, or a cooldown that would begin before the
            plateau, or have no steps.
    """
    schedule = config.science.schedule
    if DECAYS[schedule.name] != "part":
        able = ", ".join(name for name, decay in DECAYS.items() if decay == "part")
        raise UserError(
            f"schedule.name={schedule.name}: runs of different lengths share no trunk under it; "
            f"choose one of {able}"
        )
    if not 0 < decay_fraction < 1:
        raise UserError(
            f"decay_fraction={decay_fraction}: must lie between 0 and 1, and be neither"
        )
    batch, dispatch = config.science.batch.batch_tokens, config.execution.steps_per_dispatch
    lengths = sorted(_steps(config, count) for count in tokens)
    warmup = round(schedule.warmup_fraction * lengths[0])
    settling = round(schedule.settling_fraction * lengths[0]) if schedule.name == "infinite" else 0
    starts = [_start(length, decay_fraction, dispatch) for length in lengths]
    for length, start in zip(lengths, starts, strict=True):
        if not max(1, warmup + settling) <= start < length:
            more = f" and {settling} to its plateau" if settling else ""
            raise UserError(
                f"a run of {length} steps is too short for a branch: its cooldown would begin in "
                f"step {start}, its warm-up has {warmup} steps{more}, and a dispatch {dispatch}; "
                "train it on more tokens, or lower execution.steps_per_dispatch"
            )
    return assign(
        config,
        {
            "budget.tokens": starts[-1] * batch,
            "schedule.warmup_fraction": warmup / starts[-1],
            **_settling(config, settling, starts[-1]),
            "schedule.decay_fraction": 0.0,
            "execution.permanent": tuple(dict.fromkeys(starts)),
        },
    )


def branch(trunk: RunConfig, tokens: int, decay_fraction: float) -> RunConfig:
    """The run of `tokens` tokens that leaves the trunk for its cooldown.

    The cooldown is `decay_fraction` of its steps, to the nearest step at which a dispatch ends.
    """
    steps = _steps(trunk, tokens)
    start = _start(steps, decay_fraction, trunk.execution.steps_per_dispatch)
    return assign(
        trunk,
        {
            "budget.tokens": tokens,
            "schedule.warmup_fraction": trunk.science.warmup_steps / steps,
            **_settling(trunk, trunk.science.settling_steps, steps),
            "schedule.decay_fraction": (steps - start) / steps,
            "execution.permanent": (),
        },
    )


def check_continued(config: RunConfig, origin: Continued) -> None:
    """Check that the run, continued from the origin, is the run trained from its start.

    Raises:
        UserError: it is not, or the origin keeps no checkpoint of that step.
    """
    if (reason := _obstacle(config, origin)) is not None:
        raise UserError(
            f"run {identity(config.science)} cannot continue from step {origin.step} of run "
            f"{origin.parent.run_id}: {reason}"
        )


def _obstacle(config: RunConfig, origin: Continued) -> str | None:
    ours, theirs, step = config.science, origin.parent.config.science, origin.step
    for path in (path for path in paths(Science) if path not in FREE):
        a, b = attrgetter(path)(ours), attrgetter(path)(theirs)
        if a != b:
            return f"{path} is {a}, and there it is {b}"
    if ours.evaluation.times != 1:
        return (
            f"evaluation.times={ours.evaluation.times}, and validation on the way cannot be taken "
            "over; set evaluation.times=1"
        )
    if ours.warmup_steps != theirs.warmup_steps:
        return (
            f"its warm-up has {ours.warmup_steps} steps, and there {theirs.warmup_steps}; change "
            "batch, budget and schedule in the study file, where the branches are made"
        )
    if ours.schedule.name == "infinite" and ours.settling_steps != theirs.settling_steps:
        return (
            f"its way to the plateau has {ours.settling_steps} steps, and there "
            f"{theirs.settling_steps}; change schedule.settling_fraction in the study file"
        )
    shared = min(stable_steps(ours), stable_steps(theirs))
    if not 0 < step <= shared:
        return f"their rates agree for {shared} steps"
    if step != theirs.steps and step not in origin.parent.config.execution.permanent:
        return (
            "no checkpoint of it is kept; add it to execution.permanent of run "
            f"{origin.parent.run_id}"
        )
    if config.execution.permanent and step % config.execution.steps_per_dispatch:
        return (
            "its permanent checkpoints lie at ends of dispatches from step 0 on; let it continue "
            f"from a multiple of execution.steps_per_dispatch={config.execution.steps_per_dispatch}"
        )
    return None


def _settling(config: RunConfig, settling: int, steps: int) -> dict[str, float]:
    """The fraction of `settling` steps, of a schedule that has them."""
    infinite = config.science.schedule.name == "infinite"
    return {"schedule.settling_fraction": settling / steps} if infinite else {}


def _steps(config: RunConfig, tokens: int) -> int:
    """The steps of a run of these tokens, as `Science.steps`."""
    return max(1, round(tokens / config.science.batch.batch_tokens))


def _start(steps: int, decay_fraction: float, dispatch: int) -> int:
    """The step in which a cooldown begins: an end of a dispatch."""
    return dispatch * round((1 - decay_fraction) * steps / dispatch)
