"""Schema of the files of one run: config.json, metrics.jsonl, evaluations and summary.json."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from experiments.record.schema import CONFIG, ENDED, SUMMARY, Entry, File, Status, StudyPart


class Parent(Entry, frozen=True, kw_only=True):
    """A run that this one begins from, and the step of its checkpoint."""

    run_id: str
    step: int


class Derivation(Entry, frozen=True, kw_only=True):
    """The operation that made the initial parameters from the parents', with its settings.

    `flops_parents` is `flops_model` of all runs behind them, each counted once. `flops_teachers` is
    that of the forward passes of `teachers`, parents that give logits and no parameters.
    """

    operation: str
    settings: Mapping[str, Any] = msgspec.field(default_factory=dict)
    flops_parents: float
    teachers: tuple[str, ...] = ()
    flops_teachers: float = 0.0
    density: float = 1.0  # of the layers' matrices, as its operation left them
    bits: float = 32.0  # of their values, as the model sees them at the end
    params_trained: int | None = None  # numbers that its training changes
    rank: int | None = None  # of the trained deltas; None: they have no factors


class LawSetting(Entry, frozen=True, kw_only=True):
    """A setting that a hyperparameter law gave: `value` of `quantity` at the variables `asked`."""

    law: str
    file: str = ""  # empty for a published law
    sha256: str = ""
    form: str
    source: str
    quantity: str
    asked: Mapping[str, float]
    value: float
    warnings: tuple[str, ...] = ()


class StoredConfig(File, frozen=True, kw_only=True):
    """A config as nested fields: experiments/config/from_record.py reads them into its types."""

    science: Mapping[str, Any]
    execution: Mapping[str, Any]


class RunRecord(StoredConfig, frozen=True, kw_only=True):
    """config.json: a run before its first step.

    `accounting` has N, D and C under every named definition; the mappings by part sum to them.
    The keys of `laws` are the fields that they set.
    """

    NAME = CONFIG
    run_id: str
    study: str
    part: StudyPart
    rung: int
    label: str = ""  # the arm of a comparison
    laws: Mapping[str, LawSetting] = msgspec.field(default_factory=dict)
    parents: tuple[Parent, ...] = ()
    derivation: Derivation | None = None  # of a derived run
    accounting: Mapping[str, float]
    params_by_part: Mapping[str, float] = msgspec.field(default_factory=dict)
    flops_by_part: Mapping[str, float] = msgspec.field(default_factory=dict)


class Measured(Entry, frozen=True, kw_only=True, omit_defaults=True):
    """Numbers measured in training; absent where it ended before, or did not measure them.

    `evaluations` are by task; evaluations/<task>.jsonl has the items.
    """

    loss: float | None = None  # validation, at the end
    loss_per_byte: float | None = None
    bits_per_byte: float | None = None
    train_loss: float | None = None  # of the last row
    steps: int | None = None
    steps_trained: int | None = None
    tokens_trained: int | None = None
    epochs: float | None = None  # over all sources
    batch_tokens: int | None = None
    wall_seconds: float | None = None
    first_dispatch_seconds: float | None = None  # compilation included
    tokens_per_second: float | None = None
    energy_joules: float | None = None  # by counters, its share of a population's
    # by the name of a source, or the fingerprint of its corpus where it has none
    tokens_by_source: Mapping[str, int] = msgspec.field(default_factory=dict)
    epochs_by_source: Mapping[str, float] = msgspec.field(default_factory=dict)  # mean repeats
    repeats_by_source: Mapping[str, int] = msgspec.field(default_factory=dict)  # at most
    unique_by_source: Mapping[str, int] = msgspec.field(default_factory=dict)  # tokens to draw from
    weights_by_source: Mapping[str, float] = msgspec.field(default_factory=dict)  # as asked
    losses_by_source: Mapping[str, float] = msgspec.field(default_factory=dict)  # validation
    bytes_per_token_by_source: Mapping[str, float] = msgspec.field(default_factory=dict)  # likewise
    # nats per byte that a generator's rules leave open: no model has a lower loss_per_byte
    entropy_by_source: Mapping[str, float] = msgspec.field(default_factory=dict)
    evaluations: Mapping[str, float] = msgspec.field(default_factory=dict)

    def numbers(self) -> dict[str, float]:
        """Measured numbers by name; ``tokens_by_source.web`` of a mapping."""
        found: dict[str, float] = {}
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, Mapping):
                found |= {f"{name}.{key}": each for key, each in value.items()}
            elif value is not None:
                found[name] = value
        return found


class Environment(Entry, frozen=True, kw_only=True):
    """Software and device of a run; a failure has no device."""

    cpus: int | None
    python: str
    jax: str
    code: str
    device: str | None = None
    devices: int | None = None
    processes: int | None = None
    members: int | None = None  # runs that its program trained at once


class FileSum(Entry, frozen=True, kw_only=True):
    """Size and checksum of a file."""

    bytes: int
    crc32: int


class RunSummary(RunRecord, frozen=True, kw_only=True):
    """summary.json: a run that has ended."""

    NAME = SUMMARY
    status: Status  # one of `ENDED`
    message: str = ""
    diverged_step: int | None = None
    metrics: Measured = Measured()
    environment: Environment
    prediction_sha256: str | None = None  # of the prediction registered before a held-out run
    files: Mapping[str, FileSum] = msgspec.field(default_factory=dict)  # the others of the run

    def __post_init__(self) -> None:
        if self.status not in ENDED:
            raise ValueError(f"status '{self.status}': the run has not ended")

    def numbers(self) -> dict[str, float]:
        """Every number of the run by name: accounting and measurements, mappings dotted."""
        return {**self.accounting, **self.metrics.numbers()}


class MetricsRow(Entry, frozen=True, kw_only=True, omit_defaults=True):
    """A line of metrics.jsonl: means over one dispatch, or a validation loss.

    A mean that is not finite is null. Rows of training alone have `seconds`.
    """

    step: int  # steps done
    tokens: int
    seconds: float | None = None  # wall time since the first step, over all interruptions
    metrics: Mapping[str, float | None]  # "loss", "learning_rate", ..., or "valid_loss"
    tokens_by_source: Mapping[str, int] = msgspec.field(default_factory=dict)

    @property
    def loss(self) -> float:
        """The training loss; NaN in a row of validation, or where it was not finite."""
        found = self.metrics.get("loss")
        return math.nan if found is None else found


class ItemResult(Entry, frozen=True, kw_only=True, omit_defaults=True):
    """A model's answer to one item of a task."""

    item: str  # its name within the task
    log_probabilities: tuple[float | None, ...] = ()  # nats, of each choice; null: not finite
    unconditional: tuple[float | None, ...] = ()  # ln p of each choice after no prompt
    bytes: tuple[int, ...] = ()  # of each choice
    tokens: tuple[int, ...] = ()  # likewise
    answer: int | None = None  # the right choice
    samples: tuple[str, ...] = ()
    passed: tuple[bool | None, ...] = ()  # of each sample; null: its verifier failed
    is_right: bool | None = None  # of a choice; of samples see `passed`


class ItemRow(ItemResult, frozen=True, kw_only=True, omit_defaults=True):
    """A line of evaluations/<task>.jsonl: the result of an item at one step of the run."""

    step: int
