"""Families of runs from the released tables: rows of one law, one architecture and one corpus.

A new table is one row of `TABLES`. A family is named "study/part". Tables that read the same runs
share a study, and so do all parts of one table: a study is the unit that is set aside, and the
cluster of standard errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np
import pandas as pd

from analysis.datasets import load
from analysis.datasets.routed_scaling import PAPER
from analysis.datasets.vocab_scaling import LEAST_FLOPS
from analysis.fitting.prediction.reach import size_of
from analysis.fitting.prediction.roll import rungs
from scaling import laws
from scaling.laws import Law

Prepare = Callable[[pd.DataFrame], pd.DataFrame]
TOTAL = {"params": "params_total", "tokens": "tokens"}
NONEMBEDDING = {"params": "params_nonembedding", "tokens": "tokens"}


@dataclass(frozen=True, eq=False)
class Family:
    """Rows with the columns `run`, `loss`, and the variables of the law, by these names."""

    name: str
    law: Law
    rows: pd.DataFrame = field(repr=False)

    @property
    def study(self) -> str:
        return self.name.partition("/")[0]

    @property
    def columns(self) -> dict[str, str]:
        return {name: name for name in self.law.variables}

    @property
    def compute(self) -> np.ndarray:
        """6 params tokens, or the one variable of the law, which is a compute."""
        return size_of({name: self.rows[name].to_numpy() for name in self.law.variables})

    @property
    def group(self) -> np.ndarray:
        """The rung of each row."""
        return rungs(self.compute)

    @property
    def is_set_aside(self) -> bool:
        return set_aside(self.study)


def set_aside(study: str) -> bool:
    """True for the third of the studies that only the last look sees: a function of the name."""
    return int(sha256(study.encode()).hexdigest(), 16) % 3 == 1


@dataclass(frozen=True)
class Table:
    """Families of one table: as `read`, the rows where `where` holds, apart by the columns `by`,
    each prepared."""

    dataset: str
    columns: Mapping[str, str] = field(default_factory=lambda: TOTAL)
    law: Law = laws.chinchilla
    loss: str = "loss"
    run: str = "run_id"
    where: str | None = None
    by: tuple[str, ...] = ()
    read: Prepare = lambda table: table
    prepare: Prepare = lambda table: table
    study: str | None = None
    part: str = ""

    def families(self) -> Iterator[Family]:
        table = self.read(load(self.dataset))
        if self.where is not None:
            table = table.query(self.where)
        groups = table.groupby(list(self.by)) if self.by else [((), table)]
        for key, group in groups:
            rows = self.prepare(group)
            part = " ".join([*([self.part] if self.part else []), *map(str, key)]) or "all"
            numbers = {"loss": self.loss, **self.columns}
            taken = {name: rows[column].astype(float) for name, column in numbers.items()}
            named = pd.DataFrame({"run": rows[self.run].astype(str), **taken})
            yield Family(f"{self.study or self.dataset}/{part}", self.law, named)


def _without_highest(table: pd.DataFrame) -> pd.DataFrame:
    """Less the 5 highest losses, as the published fit."""
    return table.drop(table["loss"].nlargest(5).index)


def _best(size: str) -> Prepare:
    """The best run of each (N, D), where hyperparameters were swept."""
    return lambda table: table.loc[table.groupby([size, "tokens"])["loss"].idxmin()]


def _front(error: str) -> Prepare:
    """Models with the least error up to their compute, as the paper takes them."""

    def front(table: pd.DataFrame) -> pd.DataFrame:
        table = table.sort_values("gmacs")
        return table[table[error] <= table[error].cummin()]

    return front


def _lambada(table: pd.DataFrame) -> pd.DataFrame:
    """Log perplexity, the mean of repeated evaluations."""
    keys = ["model", "params_nonembedding", "tokens"]
    mean = np.log(table["value"]).groupby([table[key] for key in keys]).mean()
    return mean.rename("loss").reset_index()


def _inverse_size(table: pd.DataFrame) -> pd.DataFrame:
    """1 / params_optimal falls with compute as losses do."""
    return table.assign(inverse_size=1 / table["params_optimal"])


def _routed(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(flops=6 * table["params_dense"] * table["tokens"])


def _mixtures(table: pd.DataFrame) -> pd.DataFrame:
    """params of the size in the run's name, `mixture` its number there; steps have one batch."""
    size = table["model"].str.extract(r"(\d+)([MB])")
    params = size[0].astype(float) * size[1].map({"M": 1e6, "B": 1e9})
    return table.assign(params=params, mixture=table["run_id"].str.extract(r"_(\d+)-")[0])


def _error(task: str) -> Prepare:
    return lambda table: table.assign(error=1 - table[task]).dropna(subset=["error", "flops_6nd"])


_MARIN = "not outlier and experiment.str.startswith('marin')"
_REREAD = "not outlier and experiment.str.contains('chinchilla')"
_LLAMA_3 = "not outlier and experiment == 'llama_3__raw_loss'"
_LAMBADA = "task == 'lambada_openai' and metric == 'ppl' and shots == 'zero'"
_SIZES = "experiment in ('mlp', 'mlp_const', 'chess', 'chess_const', 'c5m')"
_VOCABULARIES = f"flops_6nd >= {LEAST_FLOPS} and vocabulary in (4096, 16384, 64512)"
_PURE = laws.power_law_no_offset

TABLES = (
    Table("chinchilla_epoch", prepare=_without_highest),
    Table("isoflop_collection", where=_REREAD, by=("experiment",), study="chinchilla_epoch"),
    Table("isoflop_collection", where=_LLAMA_3, by=("experiment",), study="llama_3"),
    Table("isoflop_collection", where=_MARIN, by=("experiment",), study="marin"),
    Table("gadre_overtraining", by=("dataset",)),
    Table("misfitting", where="is_final", prepare=_best("params_total")),
    Table("datablations", where="epochs <= 1 and not diverged"),
    Table("xlstm_isoflop", where="not diverged", by=("architecture", "context")),
    Table("olmo_ladder", NONEMBEDDING, part="c4"),
    Table("olmo_ladder", NONEMBEDDING, loss="loss_dolma_books", part="books"),
    Table("vocab_scaling", where=_VOCABULARIES, by=("vocabulary",)),
    Table("steplaw", NONEMBEDDING, where="not diverged", prepare=_best("params_nonembedding")),
    Table(
        "routed_scaling", {"x": "flops"}, laws.power_law, by=("router", "experts"),
        where=f"{PAPER} and experts in (1, 8, 128)", prepare=_routed,
    ),
    Table(
        "openclip_scaling", {"x": "gmacs"}, _PURE, "error_top1", by=("corpus",),
        where="evaluation == 'imagenet1k'", prepare=_front("error_top1"), part="imagenet",
    ),
    Table(
        "openclip_scaling", {"x": "gmacs"}, _PURE, "error_image_r5", by=("corpus",),
        where="evaluation == 'mscoco_captions'", prepare=_front("error_image_r5"), part="coco",
    ),
    Table(
        "pythia_evals", NONEMBEDDING, run="model", by=("corpus",), prepare=_lambada,
        where=f"{_LAMBADA} and on_schedule and step >= 3000", part="lambada",
    ),
    Table(
        "supercollapse", {"x": "petaflops"}, laws.power_law, where=_SIZES,
        by=("experiment",),
    ),
    Table(
        "evo_isoflop", {"x": "flops_budget"}, _PURE, "inverse_size",
        by=("architecture",), prepare=_inverse_size,
    ),
)  # fmt: skip

# Runs that neither part has read, declared before they were: a third part, looked at once.
# The mixtures are those with a run of 1B, the makers those of four models with known tokens and
# no run of the league.
_OTHERS = f"{PAPER} and experts in (2, 4, 16, 32, 64, 256, 512)"
_MAKERS = (
    "family in ('BLOOM', 'Cerebras-GPT', 'CodeLlama', 'Falcon', 'GPT-Neo/J', 'H2O-Danube', "
    "'Llama', 'OPT', 'Qwen1.5', 'StableLM', 'StarCoder', 'XGLM')"
)
_MORE = f"flops_6nd >= {LEAST_FLOPS} and vocabulary not in (4096, 16384, 64512)"
FRESH = (
    Table(
        "data_mixing_laws", {"params": "params", "tokens": "steps"}, read=_mixtures,
        where="mixture in ('17', '21', '23', '24')", by=("mixture",),
    ),
    Table(
        "observational_scaling", {"x": "flops_6nd"}, _PURE, "error", read=_error("hellaswag"),
        where=_MAKERS, by=("family",), part="hellaswag",
    ),
    Table(
        "observational_scaling", {"x": "flops_6nd"}, _PURE, "error", read=_error("arc_c"),
        where=_MAKERS, by=("family",), part="arc_c",
    ),
    Table(
        "routed_scaling", {"x": "flops"}, laws.power_law, by=("router", "experts"), where=_OTHERS,
        prepare=_routed,
    ),
    Table("vocab_scaling", where=_MORE, by=("vocabulary",)),
)  # fmt: skip


def families(tables: tuple[Table, ...] = TABLES) -> tuple[Family, ...]:
    """All families, in the order of the tables."""
    return tuple(family for table in tables for family in table.families())
