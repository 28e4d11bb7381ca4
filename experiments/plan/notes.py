"""Facts about a study that its user should know, a line for each.

    a field that is set and that no run reads
    a width below its base, and a side of a weight that does not grow with the width
    an override that moves the design: values that it replaces, budgets that no longer fit

`same_science` says in which fields two runs of one identity differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

from experiments.config.data import PLACES
from experiments.config.overrides import paths, value_of
from experiments.config.run import RunConfig, Science
from experiments.config.unread import READ_IF, is_read, why
from experiments.plan.run import Run
from experiments.plan.study import Study
from scaling.parametrization.tables import TABLES

MOVED = 1.01  # a factor on parameters, tokens or FLOPs of a run that is worth a word
GROWS = 1.1  # between bases that a growing side implies: sizes are rounded to whole heads


SIZES: Mapping[str, tuple[str, Callable[[Science], int]]] = {
    "base_ffn": ("model.ffn", lambda s: s.model.ffn),
    "base_attention": ("model.heads * head_dim", lambda s: s.model.heads * s.model.head_dim),
}


def notes(study: Study) -> list[str]:
    """The lines of a study with its overrides applied."""
    configs = [run.config for run in study.runs]
    found = (unread(configs, study.settings), bases(configs), moved(study))
    return list(chain.from_iterable(found))


def unread(configs: Sequence[RunConfig], settings: Iterable[str] = ()) -> Iterator[str]:
    """Fields that no run reads, set by name or to another value than their default."""
    default, named = Science(), set(settings)
    for path in READ_IF:
        get = attrgetter(path)
        sciences = [
            config.science
            for config in configs
            if path in named or get(config.science) != get(default)
        ]
        if sciences and not any(is_read(science, path) for science in sciences):
            values = ", ".join(map(str, dict.fromkeys(map(get, sciences))))
            if READ_IF[path].by:
                yield f"{path}={values}, {why(sciences[0], path)}"


def bases(configs: Sequence[RunConfig]) -> Iterator[str]:
    """Widths below their base, and the base that a side growing with the width implies.

    Rates below the base are its own times a power above 1. This is right for a table that
    transfers, and wrong if the base was meant as the smallest model.
    """
    transfers = [
        config.science
        for config in configs
        if "base_width" in TABLES[config.science.parametrization.name].bases
    ]
    pairs = {(s.model.width, s.parametrization.base_width) for s in transfers}
    for width, base in sorted(pairs):
        if width < base:
            yield (
                f"model.width={width} is below parametrization.base_width={base}: factors are "
                f"those of {width}/{base}"
            )
    for name, (what, size) in SIZES.items():
        open_ = [s for s in transfers if not getattr(s.parametrization, name)]
        implied = [size(s) * s.parametrization.base_width / s.model.width for s in open_]
        if not any(s.model.width != s.parametrization.base_width for s in open_):
            continue
        least, most = min(implied), max(implied)
        if most > GROWS * least:
            yield (
                f"{what} does not grow with model.width: rates by the width suppose a base of "
                f"{least:g} to {most:g}; set parametrization.{name}, and rates go by its own ratio"
            )
        elif len({s.model.width for s in open_}) == 1:  # nothing to compare it with
            yield (
                f"{what} is taken as {most:g} at parametrization.base_width="
                f"{open_[0].parametrization.base_width}, growing with the width; else set "
                f"parametrization.{name}"
            )


def moved(study: Study) -> Iterator[str]:
    """Overrides that replace the values of a design, or change a run that has its own budget."""
    if not study.designed:
        return
    pairs = list(zip(study.designed, study.runs, strict=True))
    for path in paths():
        if path not in study.settings:
            continue
        before, now = ({value_of(pair[i].config, path) for pair in pairs} for i in (0, 1))
        if len(before) > len(now) == 1:
            value = _text(*now)
            yield f"{path}={value} in all runs, where the design has {len(before)} values"
    changes = {
        name: [after.ledger[name] / before.ledger[name] for before, after in pairs]
        for name in ("params_active", "tokens", "flops_6nd")
    }
    told = ", ".join(f"{name} {_factors(found)}" for name, found in changes.items())
    if any(max(f, 1 / f) > MOVED for found in changes.values() for f in found):
        yield (
            f"the budgets are those of the design, the runs are not: {told} of what they were; "
            "change the sizes in the study file, where budgets follow them"
        )


def _factors(found: Sequence[float]) -> str:
    least, most = (f"{each:.3g}" for each in (min(found), max(found)))
    return f"{least} times" if least == most else f"{least} to {most} times"


def same_science(runs: Sequence[Run]) -> str | None:
    """The first two runs of one identity and the fields in which they differ; None: all differ."""
    seen: dict[str, tuple[int, Run]] = {}
    for number, run in enumerate(runs, 1):
        before, other = seen.setdefault(run.run_id, (number, run))
        if other is not run:
            pair = f"runs {before} and {number} of the study are the same science"
            return f"{pair}: {_differ(other, run)}"
    return None


def _differ(one: Run, other: Run) -> str:
    """The fields in which two runs of one identity differ, and why none of them counts."""
    said = []
    for path in paths():
        a, b = value_of(one.config, path), value_of(other.config, path)
        if a != b:
            said.append(f"{path}={_text(a)} and {_text(b)}, {_why(one.config.science, path)}")
    if one.label != other.label:
        said.append(f"labels '{one.label}' and '{other.label}', which change no run")
    if not said:
        return "they agree in every field; vary a field, or drop one"
    return f"they differ in {'; '.join(said)}; vary a field that is read, or drop one"


def _why(science: Science, path: str) -> str:
    if path.startswith("execution."):
        return "which changes no result"
    return "whose text is the same" if path in PLACES else why(science, path)


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
