"""Another valid value of any field of a config."""

from __future__ import annotations

from typing import Literal, get_args, get_origin

from experiments.config.fields import field_types


def another(value: object, kind: object) -> str:
    """Some other valid value of a field, as the command line writes it."""
    if value == "adamw":
        return "sgd"
    if get_origin(kind) is Literal:
        return next(str(name) for name in get_args(kind) if name != value)
    if isinstance(value, str):
        return value + "x"
    if value == ("attention",):
        return "attention+mlp"
    if value == (1.0, 1.0):
        return "0.5,1"
    if isinstance(value, tuple):
        return "16,32"
    if isinstance(value, int):
        return str(value * 2 or 2)
    assert isinstance(value, float)
    return str(value / 2 or 0.5)


def leaf(config: object, path: str) -> tuple[object, object]:
    *sections, name = path.split(".")
    for section in sections:
        config = getattr(config, section)
    return getattr(config, name), field_types(type(config))[name]
