"""Arguments that choose rows, columns, law and fit: shared by the commands that read a table."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from scaling.common import quantities
from scaling.common.answers import AnswerPart, Estimate, Line, Note
from scaling.common.errors import UserError, nearest
from scaling.common.quantities import whole

if TYPE_CHECKING:
    import pandas as pd

    from analysis.fitting.result import FitResult
    from scaling.laws import Law

T = TypeVar("T")
DEFAULT_LAW = "chinchilla"
PATH = (
    "study, run folder, folder of studies, file of rows (- is standard input), URL, published table"
)
LAW = "a law of `windtunnel laws` (default: that of the study, or chinchilla)"
WHERE = (
    "take these rows alone: 'loss<4 and status==finished'; COLUMN==* takes all values as one, and "
    "'tokens==last of run_id' the last row of each run"
)


@dataclass(frozen=True)
class TableSource:
    """The rows at a path, and the law and the columns that its study names for them."""

    path: str
    table: pd.DataFrame
    law: str = DEFAULT_LAW
    loss: str = "loss"
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def params(self) -> str:
        return self.columns.get("params", "params_total")

    @property
    def tokens(self) -> str:
        return self.columns.get("tokens", "tokens")


def add_source(parser: Any, law: str | None = LAW, optional: str = "") -> None:
    """The arguments for the rows and for the law to fit, with the help of that.

    `optional` says when rows are left out. Without `law` there is none.
    """
    if optional:
        parser.add_argument("path", nargs="?", help=f"{PATH}; {optional}")
    else:
        parser.add_argument("path", help=PATH)
    if law is not None:
        parser.add_argument("--law", help=law)


def add_columns(parser: Any) -> None:
    """The arguments that choose rows and the commonest columns."""
    parser.add_argument("--where", metavar="ROWS", help=WHERE)
    parser.add_argument("--loss", help="column of the loss (default: loss)")
    parser.add_argument(
        "--params",
        help="column of the parameters (default: as the law counts)",
    )
    parser.add_argument("--tokens", help="column of the training tokens (default: tokens)")


def add_table(parser: Any) -> None:
    """The arguments that choose rows, columns and the way of the fit."""
    add_columns(parser)
    parser.add_argument("--x", help="column of a one-variable law's x (default: flops_6nd)")
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="VARIABLE=COLUMN",
        help="column of any other variable of the law",
    )
    parser.add_argument(
        "--fix",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="hold a parameter at a value, or tie it to another: --fix E=1.69 --fix beta=alpha",
    )
    parser.add_argument(
        "--objective", default="log_huber", help="log_ or raw_ with huber, squared or absolute"
    )
    parser.add_argument("--delta", type=_delta, help="Huber width, or mad (default: 1e-3)")
    parser.add_argument("--bootstrap", type=whole, default=0, metavar="R", help="resamples")
    parser.add_argument(
        "--resampling",
        choices=("pairs", "dirichlet"),
        help="weights of a resample: counts of drawn rows (the default), or dirichlet for few",
    )
    parser.add_argument(
        "--cluster",
        metavar="COLUMN",
        help="resample rows of one value together (default: of one run id); none: each by itself",
    )
    parser.add_argument("--weights", metavar="COLUMN", help="column of weights")
    parser.add_argument("--drop-highest", type=whole, default=0, metavar="K", help="drop K losses")
    parser.add_argument(
        "--holdout", metavar="ROWS", help="rows to predict and not to fit: 'flops_6nd>1e15'"
    )
    parser.add_argument("--seed", type=whole, help="seed of the bootstrap (default: 0)")


def refuse_idle(options: argparse.Namespace, why: str, read: Collection[str] = ()) -> None:
    """Refuse arguments of `add_table` where nothing is fitted, but for those that are `read`."""
    default = {"objective": "log_huber", "bootstrap": 0, "drop_highest": 0, "column": [], "fix": []}
    names = ("where", "loss", "params", "tokens", "x", "delta", "resampling", "cluster", "weights")
    for name in (*names, "holdout", "seed", *default):
        if name not in read and getattr(options, name) != default.get(name):
            raise UserError(f"{why} --{name.replace('_', '-')}")


def read(path: str, options: argparse.Namespace) -> TableSource:
    """The rows at `path` that the options choose, with the columns that they name.

    An option that is wrong whatever the rows are is refused before they are fetched.
    """
    fixed, laws = pairs("--fix", getattr(options, "fix", [])), getattr(options, "law", None)
    for law in [laws] if isinstance(laws, str) else laws or []:
        law_named(law, fixed)
    options.progress(f"reading {path}")
    return choose(open_source(path, text_columns(options)), options)


def text_columns(options: argparse.Namespace) -> tuple[str, ...]:
    """The columns whose values are names alone."""
    named = (getattr(options, name, None) for name in ("cluster", "run_column"))
    return tuple(name for name in named if name)


def choose(source: TableSource, options: argparse.Namespace) -> TableSource:
    """The rows that the options choose, with the columns that they name."""
    from analysis.tables.derived import completed, plain
    from analysis.tables.query import where

    named = {name: getattr(options, name) for name in ("params", "tokens")}
    asked = {name: column for name, column in named.items() if column}
    table = completed(source.table, asked.get("params"), asked.get("tokens"))
    return replace(
        source,
        table=where(table, options.where),
        loss=options.loss or source.loss,
        columns={**source.columns, **{name: plain(table, each) for name, each in asked.items()}},
    )


def summary(result: FitResult) -> Iterator[AnswerPart]:
    """A line on a fit, and its warnings."""
    said = {"law": result.law.name, "rows": len(result.points), "status": str(result.status)}
    rms = Estimate(100 * result.rms, digits=2)
    yield Line(
        "{law} fitted on {rows} rows, {status}, rms about it {rms_percent} %",
        **said,
        rms_percent=rms,
    )
    yield from map(Note, result.warnings)


def fit_path(path: str, law: str | None, options: argparse.Namespace) -> FitResult:
    """Fit the rows at `path`: a study, a folder of runs, a file of rows or a published table."""
    return fit_source(read(path, options), law, options)


def fit_source(source: TableSource, law: str | None, options: argparse.Namespace) -> FitResult:
    """Fit a law to rows by the arguments of `add_table`."""
    from analysis.fitting.fit import fit

    chosen_law = law_named(law or source.law, pairs("--fix", options.fix))
    options.progress(f"fitting {chosen_law.name} with {options.bootstrap} resamples")
    return fit(
        chosen_law,
        source.table,
        loss=source.loss,
        **_short(source, chosen_law, options),
        columns=pairs("--column", options.column),
        objective=options.objective,
        delta=options.delta,
        bootstrap=options.bootstrap,
        resampling=options.resampling,
        cluster=options.cluster,
        seed=options.seed,
        weights=options.weights,
        drop_highest=options.drop_highest,
        holdout=options.holdout,
    )


def _short(source: TableSource, law: Law, options: argparse.Namespace) -> dict[str, str | None]:
    """Columns by the short arguments: those asked for, and for the law of the study its own."""
    asked = {name: getattr(options, name) for name in ("params", "tokens", "x")}
    own = source.columns if law.name == source.law else {}
    return {
        name: column or (own.get(name) if name in law.variables else None)
        for name, column in asked.items()
    }


def law_named(text: str, fixed: Mapping[str, str]) -> Law:
    """A law by name, some of its parameters held or tied: `chinchilla,beta=alpha`."""
    from scaling.laws import by_name

    name, *more = text.split(",")
    law = by_name(name)
    for parameter, value in {**fixed, **pairs("--law", more)}.items():
        if quantities.is_number(value):
            number = named("--fix", parameter, value, quantities.number)
            law = law.given(**{parameter: number})
        else:
            law = law.tied(**{parameter: value})
    return law


def named(option: str, name: str, text: str, kind: Callable[[str], T]) -> T:
    """The number of name=text; an error names all three."""
    try:
        return kind(text)
    except UserError as error:
        raise UserError(f"{option} {name}={error}") from error


def pairs(option: str, texts: list[str]) -> dict[str, str]:
    """name=value, several times."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UserError(f"{option} {text}: write name=value")
        if found.setdefault(name, value) != value:
            raise UserError(f"{option} {text}: {name} is {found[name]} already")
    return found


def open_source(path: str, text: Sequence[str] = ()) -> TableSource:
    """All rows at a path. A pipe and standard input can be read once."""
    from analysis import datasets
    from analysis.tables.files import STDIN, read_table
    from analysis.tables.runs import load_runs
    from analysis.tables.study import load_study
    from experiments.record import STUDY, reading_folder

    here = reading_folder(path)
    if (here / STUDY).exists():
        study = load_study(here)
        law = study.law.name if study.law else DEFAULT_LAW
        columns = {"params": study.params, "tokens": study.tokens}
        return TableSource(path, study.runs, law, study.loss, columns)
    if here.is_dir():
        return TableSource(path, load_runs(here))
    if path == STDIN or here.exists():
        return TableSource(path, read_table(path, text))
    if path in datasets.names():
        return TableSource(path, datasets.load(path))
    raise UserError(
        f"{path}: no such file or folder, nor a published table; {nearest(path, datasets.names())}"
    )


def _delta(text: str) -> float | str:
    """A positive number, or the name of a rule."""
    return quantities.positive(text) if quantities.is_number(text) else text
