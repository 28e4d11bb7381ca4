"""Which rows, which law and which columns a command is about: shared by `fit` and `plan`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.cli._progress import Progress
from scaling.common.errors import UserError, nearest

if TYPE_CHECKING:
    from analysis.fitting.result import FitResult

DEFAULT_LAW = "chinchilla"


def add_table(parser: Any) -> None:
    """The arguments that choose rows, columns and the way of the fit."""
    parser.add_argument("--loss", help="column of the loss (default: loss)")
    parser.add_argument("--params", help="column of the parameters (default: params_total)")
    parser.add_argument("--tokens", help="column of the training tokens (default: tokens)")
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
    parser.add_argument("--delta", default="1e-3", help="Huber width, or mad (default: 1e-3)")
    parser.add_argument("--bootstrap", type=int, default=0, metavar="R", help="resamples")
    parser.add_argument("--cluster", metavar="COLUMN", help="resample rows of one value together")
    parser.add_argument("--weights", metavar="COLUMN", help="column of weights")
    parser.add_argument("--drop-highest", type=int, default=0, metavar="K", help="drop K losses")
    parser.add_argument(
        "--holdout", metavar="ROWS", help="rows to predict and not to fit: 'flops_6nd>1e15'"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")


def fit_path(path: str, law_name: str | None, options: argparse.Namespace) -> FitResult:
    """Fit the rows at `path`: a study, a folder of runs, a CSV file or a published table."""
    from analysis.fitting.fit import fit
    from analysis.tables.study import load_study
    from experiments.record import STUDY
    from scaling.laws import by_name

    named: dict[str, str | None] = dict.fromkeys(("law", "params", "tokens"))
    loss = "loss"
    if (Path(path) / STUDY).exists():
        study = load_study(path)
        table, loss = study.runs, study.loss
        law_of_study = study.law.name if study.law else None
        named = {"law": law_of_study, "params": study.params, "tokens": study.tokens}
    else:
        table = _rows(path)
    law = by_name(law_name or named["law"] or DEFAULT_LAW)
    for name, value in _pairs("--fix", options.fix).items():
        law = (
            law.tied(**{name: value})
            if _number(value) is None
            else law.given(**{name: float(value)})
        )
    Progress()(f"fitting {law.name} with {options.bootstrap} resamples")
    delta = _number(options.delta)
    return fit(
        law,
        table,
        loss=options.loss or loss,
        params=options.params or named["params"],
        tokens=options.tokens or named["tokens"],
        x=options.x,
        columns=_pairs("--column", options.column),
        objective=options.objective,
        delta=options.delta if delta is None else delta,
        bootstrap=options.bootstrap,
        cluster=options.cluster,
        seed=options.seed,
        weights=options.weights,
        drop_highest=options.drop_highest,
        holdout=options.holdout,
    )


def _rows(path: str) -> Any:
    from analysis import datasets
    from analysis.tables.runs import load_runs, load_table

    if Path(path).is_file():
        return load_table(path)
    if not Path(path).exists():
        if path in datasets.names():
            return datasets.load(path)
        raise UserError(
            f"{path}: no such file or folder, nor a published table; "
            f"{nearest(path, datasets.names())}"
        )
    return load_runs(path)


def _pairs(option: str, texts: list[str]) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UserError(f"{option} {text}: write name=value")
        pairs[name] = value
    return pairs


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
