"""The settings of a learning-rate schedule; experiments/training/schedule.py has its formulas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from scaling.common.errors import UserError

ScheduleName = Literal[
    "linear",
    "cosine",
    "wsd",
    "constant",
    "trapezoid",
    "multistep",
    "inverse_sqrt",
    "power",
    "infinite",
]


@dataclass(frozen=True)
class ScheduleConfig:
    """Linear warm-up, a plateau, and a decay to `final_fraction` of the peak.

    A schedule reads the fields that its formula has (`READS`); others do not change the run.
    """

    name: ScheduleName = "linear"  # the learning rate over time
    warmup_fraction: float = 0.05  # of linear warm-up [of all steps]
    # of decay at the end, of schedules with a plateau before it [of all steps]
    decay_fraction: float = 0.2
    decay_shape: Literal["linear", "cosine", "mirror_cosine", "1-sqrt", "square", "exponential"] = (
        "linear"  # the curve of the decay of wsd, inverse_sqrt, power and infinite
    )
    final_fraction: float = 0.0  # the rate at the end [of the peak]
    power_amplitude: float = 4.0  # a of power: eta = a n^b for each sequence of the batch
    power_exponent: float = -0.51  # b, with n the tokens seen
    settling_fraction: float = 0.2  # infinite's way from warm-up to its plateau [of all steps]
    plateau_fraction: float = 0.5  # infinite's plateau [of the peak]


# Steps over which a schedule decays: all after warm-up, the last `decay_fraction`, none.
# Under the latter two, the rate is independent of the run's length until the decay.
DECAYS: Mapping[ScheduleName, Literal["rest", "part", "none"]] = {
    "linear": "rest",
    "cosine": "rest",
    "wsd": "part",
    "constant": "none",
    "trapezoid": "part",
    "multistep": "part",
    "inverse_sqrt": "part",
    "power": "part",
    "infinite": "part",
}


# Fields that a schedule reads besides its warm-up and the lengths and ends of its decay
READS: Mapping[ScheduleName, tuple[str, ...]] = {
    "linear": (),
    "cosine": (),
    "wsd": ("decay_shape",),
    "constant": (),
    "trapezoid": (),
    "multistep": (),
    "inverse_sqrt": ("decay_shape",),
    "power": ("decay_shape", "power_amplitude", "power_exponent"),
    "infinite": ("decay_shape", "settling_fraction", "plateau_fraction"),
}


def check_schedule(schedule: ScheduleConfig) -> None:
    """Check that the parts of a schedule fit into the run, and that its decay can end.

    Raises:
        UserError: the parts are longer than the run, or a decay by factors ends at 0.
    """
    s = schedule
    parts = {"warmup_fraction": s.warmup_fraction}
    if s.name == "infinite":
        parts["settling_fraction"] = s.settling_fraction
    if DECAYS[s.name] == "part":
        parts["decay_fraction"] = s.decay_fraction
    if sum(parts.values()) > 1 + 1e-9:
        sums = " + ".join(f"schedule.{name}={value:g}" for name, value in parts.items())
        raise UserError(f"{sums}: longer than the run; their sum must be at most 1")
    shape = s.name if s.name == "multistep" else s.decay_shape
    geometric = shape in ("exponential", "multistep") and DECAYS[s.name] == "part"
    if geometric and s.name != "trapezoid" and s.decay_fraction > 0 and s.final_fraction == 0:
        raise UserError(
            f"schedule.final_fraction=0: a decay by factors ({shape}) never comes to 0; set it "
            "above 0, to 0.1"
        )
