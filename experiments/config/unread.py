"""Fields that nothing reads under the other settings of a run.

    optimizer.beta2                  under optimizer.name=sgd
    model.experts_active             under model.experts=0
    data.epochs, data.repeats        a limit: it refuses a run, and changes none

Such a field is no part of a run's identity. The facts stand where the field is read: an optimizer,
a schedule, a part and a table of a parametrization each say which fields they read, and one that
does not say reads all. tests/experiments/config/test_unread.py compares them with the program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import NamedTuple

from experiments.config.fields import field_types
from experiments.config.optimizer import NUMBERS
from experiments.config.run import PenaltiesConfig, Science
from experiments.config.schedule import DECAYS, READS
from models.part import FIELDS, penalties, rules
from scaling.parametrization.parametrization import RolePowers
from scaling.parametrization.tables import TABLES


class Reading(NamedTuple):
    """A test of whether a science reads a field, and the fields that decide on it."""

    test: Callable[[Science], bool]
    by: tuple[str, ...] = ()


def _part(name: str, *more: str) -> Reading:
    return Reading(lambda s: name in s.model.reads, ("model.experts", "model.pattern", *more))


def _penalty(name: str) -> Reading:
    return Reading(
        lambda s: name in penalties(s.model),
        ("model.experts", "model.pattern", "model.router", "model.recursion"),
    )


def _schedule(name: str) -> Reading:
    return Reading(lambda s: name in READS[s.schedule.name], ("schedule.name",))


def _base(name: str, part: str | None = None) -> Reading:
    return Reading(
        lambda s: (
            name in TABLES[s.parametrization.name].bases and (part is None or part in s.model.reads)
        ),
        ("parametrization.name",),
    )


def _width(s: Science) -> bool:
    """True where the rules hold a power of the width's ratio."""
    p = s.parametrization
    powers = (attrgetter(name)(p) for name in POWERS if READ_IF[f"parametrization.{name}"].test(s))
    return "base_width" in TABLES[p.name].bases or any(powers)


# roles that not every model has: where they are
_ROLES: Mapping[str, Reading] = {
    "readout": Reading(lambda s: s.model.embeddings == "untied", ("model.embeddings",)),
    "router": Reading(
        lambda s: "router" in rules(s.model),
        ("model.experts", "model.pattern", "model.router", "model.recursion"),
    ),
    "gain": Reading(
        lambda s: s.model.gains != "none" or "gain" in rules(s.model),
        ("model.gains", "model.pattern"),
    ),
    "bias": Reading(
        lambda s: s.model.biases != "none" or "bias" in rules(s.model),
        ("model.biases", "model.pattern", "model.weights"),
    ),
}
_ALWAYS, _NEVER = Reading(lambda s: True), Reading(lambda s: False)
_ROLE_NAMES = tuple(vars(RolePowers()))
_KINDS = ("learning_rate_powers", "init_powers")
POWERS = tuple(f"{kind}.{role}" for kind in _KINDS for role in _ROLE_NAMES)

READ_IF: Mapping[str, Reading] = {
    "data.epochs": _NEVER,
    "data.repeats": _NEVER,
    **{
        f"optimizer.{name}": Reading(
            lambda s, name=name: name in s.optimizer.kind.reads,  # type: ignore[misc]
            ("optimizer.name",),
        )
        for name in NUMBERS
    },
    "tuning.rank": Reading(lambda s: s.tuning.method == "low_rank", ("tuning.method",)),
    "tuning.values": Reading(lambda s: s.tuning.method == "support", ("tuning.method",)),
    "tuning.among": Reading(lambda s: s.tuning.method != "all", ("tuning.method",)),
    "optimizer.rounding_fraction": Reading(
        lambda s: s.optimizer.rounded != "none", ("optimizer.rounded",)
    ),
    **{
        f"schedule.{name}": _schedule(name)
        for name in sorted({name for names in READS.values() for name in names})
    },
    "schedule.decay_fraction": Reading(
        lambda s: DECAYS[s.schedule.name] == "part", ("schedule.name",)
    ),
    "schedule.final_fraction": Reading(
        lambda s: DECAYS[s.schedule.name] != "none", ("schedule.name",)
    ),
    "evaluation.ema_decay": Reading(
        lambda s: s.evaluation.weights == "ema", ("evaluation.weights",)
    ),
    **{f"model.{name}": _part(name) for name in FIELDS},
    "model.layer_heads": _part("heads"),
    "model.layer_ffn": _part("ffn"),
    "model.weights_rank": Reading(lambda s: s.model.weights != "dense", ("model.weights",)),
    "model.weights_density": Reading(lambda s: s.model.weights != "dense", ("model.weights",)),
    "model.layers_unique": Reading(lambda s: s.model.sharing != "none", ("model.sharing",)),
    **{
        f"penalties.{name}": _penalty(name)
        for name in field_types(PenaltiesConfig)
        if name != "z_loss"  # of the logits
    },
    "parametrization.base_width": Reading(_width, ("parametrization.name",)),
    "parametrization.base_layers": _base("base_layers"),
    "parametrization.base_ffn": _base("base_ffn", "ffn"),
    "parametrization.base_attention": _base("base_attention", "head_dim"),
    "parametrization.base_head_dim": Reading(
        lambda s: (
            (s.parametrization.attention_scale == "table" or "base_head_dim" in rules(s.model))
            and _base("base_head_dim", "head_dim").test(s)
        ),
        ("parametrization.name", "parametrization.attention_scale", "model.pattern"),
    ),
    "parametrization.attention_scale": _part("head_dim"),
    **{
        f"parametrization.{kind}.{role}": _ROLES.get(role, _ALWAYS)
        for kind in _KINDS
        for role in _ROLE_NAMES
    },
    "parametrization.init_powers.gain": _NEVER,  # gains start at 1
    "parametrization.init_powers.bias": _NEVER,  # and biases at 0
    "parametrization.init_powers.readout": Reading(
        lambda s: (
            _ROLES["readout"].test(s) and s.parametrization.zero_init not in ("readout", "both")
        ),
        ("model.embeddings", "parametrization.zero_init"),
    ),
}


def is_read(science: Science, path: str) -> bool:
    """True unless the field cannot change the result of a run of these settings."""
    return path not in READ_IF or READ_IF[path].test(science)


def why(science: Science, path: str) -> str:
    """The settings under which nothing reads a field, in words."""
    by = READ_IF[path].by
    if not by:
        return "which changes no run"
    under = ", ".join(f"{name}={attrgetter(name)(science)}" for name in by)
    return f"which nothing reads under {under}"
