"""Settings that a hyperparameter law gives, run by run, from the run's size and tokens.

    --set optimizer.learning_rate='law(path/to/law.json)'      a law that analysis saved
    --set batch.sequences='law(steplaw2025)'                   a published one, by its name

and in a study file, over its runs:

    following(runs, {"optimizer.learning_rate": "path/to/law.json"})

Laws are evaluated after all other fields are set: the batch first, then the learning rate at that
batch, then the weight decay. The law becomes a number before any training, and the number enters
the run's identity. The record names the law and its variables. Of a mixture of experts, N is
params_total where the authors of the law count so, and params_active elsewhere.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.config.overrides import assign, split
from experiments.config.run import RunConfig, Science
from experiments.record import LawSetting
from scaling.common.errors import UserError, nearest
from scaling.counting.formulas import ledger
from scaling.hyperparameters.law import RATES, Advice, Experts, HyperparameterLaw, Range, farthest
from scaling.hyperparameters.law_file import parse, to_law
from scaling.hyperparameters.published import HYPERPARAMETER_LAWS, by_name
from scaling.hyperparameters.recommendation import own_batch, side_by_side

SUFFIX = ".json"
FIELDS = ("batch.sequences", "optimizer.learning_rate", "optimizer.weight_decay")  # in this order
SAME_BATCH = 1.5  # a batch is a whole number of sequences, never quite the law's
_CALL = re.compile(r"law\((.*)\)")


@dataclass(frozen=True)
class LawSource:
    """A law and its file; a published one has no digest."""

    law: HyperparameterLaw
    path: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Given:
    """A field set by a law: `value` of `quantity` at `asked`, set as the field `path`."""

    path: str
    source: LawSource
    advice: Advice
    off_batch: float = 1.0  # run's batch / the batch that the learning-rate law assumes

    @property
    def warnings(self) -> tuple[str, ...]:
        off = f"its lr goes with its own batch; the run's is {self.off_batch:.3g} times that"
        apart = (off,) if _apart(self.off_batch) > SAME_BATCH else ()
        return (*self.advice.warnings, *self.advice.filled, *apart)

    def record(self) -> LawSetting:
        """Make its entry in config.json."""
        return LawSetting(
            law=self.source.law.name,
            file=self.source.path,
            sha256=self.source.sha256,
            form=self.source.law.form,
            source=self.source.law.source,
            quantity=self.advice.quantity,
            asked={name: float(value) for name, value in self.advice.variables.items()},
            value=float(self.advice.value),
            warnings=self.warnings,
        )


def separate(assignments: Iterable[str]) -> tuple[list[str], dict[str, LawSource]]:
    """The assignments of values, and the laws by the field that each sets.

    Raises:
        UserError: a field that no law gives, an unknown law, or a file without a law.
    """
    plain, laws = [], {}
    for text in assignments:
        path, value = split(text)
        if (call := _CALL.fullmatch(value)) is None:
            plain.append(text)
        else:
            laws[path] = find(path, call[1].strip())
    return plain, laws


def find(path: str, name: str) -> LawSource:
    """The law for this field: a published name, or a .json file."""
    if path not in FIELDS:
        raise UserError(f"{path}=law({name}): no law gives it; one of {', '.join(FIELDS)}")
    if not name.endswith(SUFFIX):
        if name not in HYPERPARAMETER_LAWS:
            hint = nearest(name, HYPERPARAMETER_LAWS)
            raise UserError(
                f"{path}=law({name}): no {SUFFIX} file of a fitted law, and no published one: "
                f"{hint}"
            )
        return LawSource(by_name(name))
    try:
        text = Path(name).read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}=law({name}): cannot read ({error.strerror}); "
            "give a file that windtunnel report wrote"
        ) from error
    law = to_law(parse(text, f"{path}=law({name})"))
    return LawSource(law, name, hashlib.sha256(text).hexdigest())


def follow(config: RunConfig, laws: Mapping[str, LawSource]) -> tuple[RunConfig, tuple[Given, ...]]:
    """The config with each field set by its law, and the fields set."""
    found = []
    for path in FIELDS:
        if path in laws:
            given = _ask(config.science, path, laws[path])
            config = assign(config, {path: _setting(config.science, path, given.advice.value)})
            found.append(given)
    return config, tuple(found)


def summary(givens: Iterable[Given]) -> list[str]:
    """A line for each field set by a law: the number of runs, and the distance beyond its range."""
    by_field: dict[tuple[str, str], list[Given]] = {}
    for given in givens:
        by_field.setdefault((given.path, given.source.law.name), []).append(given)
    return [_line(path, name, given) for (path, name), given in by_field.items()]


def _line(path: str, name: str, given: Sequence[Given]) -> str:
    said = f"{path} by {name} in {len(given)} runs"
    outside = [each.advice for each in given if each.advice.range is Range.OUTSIDE]
    if outside:
        factor = max(map(farthest, outside))
        said += f", {len(outside)} of them outside the range it was fitted on"
        said += f" by a factor of up to {factor:.3g}" if factor > 1 else ""
    if (off := max(_apart(each.off_batch) for each in given)) > SAME_BATCH:
        said += f", at batches up to a factor of {off:.3g} from its own"
    return f"{said}; config.json says what it was asked"


def _ask(science: Science, path: str, source: LawSource) -> Given:
    quantity = _quantity(science, path)
    where = f"{path}=law({source.path or source.law.name})"
    if quantity not in source.law.rules:
        scheme = f", which it is under parametrization.name={science.parametrization.name}"
        under = scheme if quantity in RATES.values() else ""
        raise UserError(
            f"{where}: {source.law.name} gives no {quantity}{under}; "
            f"it gives {', '.join(source.law.rules)}"
        )
    own = source.law.experts
    count = own if own is Experts.TOTAL else Experts.ACTIVE
    every = side_by_side([source.law], _run(science, path), (count,))
    (advice,) = (each for each in every if each.quantity == quantity)
    if advice.missing:
        raise UserError(f"{where}: {source.law.name} {advice.missing}")
    batch = own_batch(advice, every)
    return Given(path, source, advice, science.batch.batch_tokens / batch if batch else 1.0)


def _apart(factor: float) -> float:
    return max(factor, 1 / factor)


def _quantity(science: Science, path: str) -> str:
    if path == "batch.sequences":
        return "batch_tokens"
    if path == "optimizer.weight_decay":
        return "weight_decay"
    name = science.parametrization.name
    if name not in RATES:
        raise UserError(
            f"{path}=law(...): no law gives a rate under parametrization.name={name}; "
            f"one of {', '.join(RATES)}"
        )
    return RATES[name]


def _run(science: Science, path: str) -> dict[str, float]:
    """Variables of the run that a law may use; the batch only once it is set."""
    counts = ledger(science.model.dims(science.batch.seq_len), science.budget.tokens)
    run = {
        "params_total": counts["params_total"],
        "params_nonembedding": counts["params_nonembedding"],
        "params_active": counts["params_active"],
        "tokens": float(science.budget.tokens),
        "layers": float(science.model.layers),
        "width": float(science.model.width),
        "seq_len": float(science.batch.seq_len),
    }
    if path != "batch.sequences":
        run["batch_tokens"] = float(science.batch.batch_tokens)
    if path == "optimizer.weight_decay":
        run["lr"] = science.optimizer.learning_rate
    return run


def _setting(science: Science, path: str, value: float) -> float | int:
    """The value of the field: a batch is the nearest whole number of sequences, by its factor."""
    if path != "batch.sequences":
        return value
    sequences = value / science.batch.seq_len
    low = max(1, math.floor(sequences))
    return low if sequences / low <= (low + 1) / sequences else low + 1
