"""Draw every learning-rate schedule and every shape of decay.

example:
  windtunnel schedules --out schedules.png
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from scaling.common.answers import Answer, Line
from scaling.common.command_line import Parser
from scaling.common.errors import UserError
from scaling.common.files import output_file

if TYPE_CHECKING:
    import numpy as np

    from experiments.config.schedule import ScheduleConfig

PICTURES = (".png", ".svg", ".pdf")
STEPS = 1000
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
INK, GRID = "#1f4e6b", "#e3dfd6"
SHADES = ("#103a55", "#b03a1c", "#457a95", "#000000", "#6b665d", "#6f9ab0")


def add(parser: Parser) -> None:
    parser.add_argument(
        "--out",
        type=output_file,
        default=Path("schedules.png"),
        help="the picture: .png, .svg or .pdf",
    )


def run(options: argparse.Namespace) -> Answer:
    out: Path = options.out
    if out.suffix not in PICTURES:
        raise UserError(f"--out {out}: no picture; end it with one of {', '.join(PICTURES)}")
    figure().savefig(out, dpi=150)
    yield Line("{figure}", figure=str(out))
    return 0


def curve(schedule: ScheduleConfig) -> np.ndarray:
    """The fraction of the peak at each of 1000 steps, [STEPS]."""
    import jax.numpy as jnp
    import numpy as np

    from experiments.config.optimizer import OptimizerConfig
    from experiments.config.run import BudgetConfig, Science
    from experiments.training.hypers import hypers
    from experiments.training.schedule import fraction

    tokens = Science().batch.batch_tokens
    science = Science(
        optimizer=OptimizerConfig(learning_rate=0.05),  # so that power has its knee in step 160
        schedule=schedule,
        budget=BudgetConfig(STEPS * tokens),
    )
    return np.asarray(
        fraction(schedule.name, schedule.decay_shape, jnp.arange(STEPS), hypers(science))
    )


def figure() -> Any:
    """A panel for each schedule, and one for the shapes of decay."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from experiments.config.schedule import ScheduleConfig
    from experiments.training.schedule import SCHEDULES

    settings = ScheduleConfig(warmup_fraction=0.05, final_fraction=0.1)
    shapes = get_args(get_type_hints(ScheduleConfig)["decay_shape"])
    style = {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True}
    with mpl.rc_context({**style, "grid.color": GRID, "font.size": 9, "axes.titlesize": 10}):
        drawn = Figure(figsize=(11, 4.6), layout="constrained")
        panels = drawn.subplots(2, 5, sharex=True, sharey=True).flat
        for name, panel in zip(SCHEDULES, panels, strict=False):
            panel.plot(curve(replace(settings, name=name)), color=INK)
            panel.set_title(name)
        last = drawn.axes[-1]
        late = replace(settings, name="wsd", warmup_fraction=0.0, decay_fraction=0.6)
        for shape, line, shade in zip(shapes, LINES, SHADES, strict=True):
            schedule = replace(late, decay_shape=shape)
            last.plot(curve(schedule), label=shape, linestyle=line, color=shade)
        last.set_title("decay shapes")
        last.legend(fontsize=7, frameon=False, loc="lower left")
        last.set_ylim(0, 1.05)
        drawn.supxlabel(f"step, of {STEPS}")
        drawn.supylabel("fraction of the peak learning rate")
    return drawn
