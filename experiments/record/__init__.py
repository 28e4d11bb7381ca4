"""The record: the only contract between training and analysis. Importable without JAX.

A study folder holds::

    study.json                 StudyPlan: question, law, reading, and every planned run
    prediction.json            PredictionRecord: written before a held-out run is trained
    search.json                SearchRecord: of a search, its space, budgets, candidates and scores
    workers.log                output of libraries in the workers
    mirror.log                 output of libraries in the mirrors beside a sweep
    tensorboard/ wandb/ mlflow/    files of trackers: experiments/trackers/
    slurm/                     submissions and their logs: experiments/launchers/slurm.py
    <run_id>/config.json       RunRecord: science, execution, accounting, parents
    <run_id>/metrics.jsonl     MetricsRow per line, append-only: the trajectory
    <run_id>/tokenizer.json              of a run on trained tokens
    <run_id>/evaluations/<task>.jsonl    ItemRow per line: one item of a task, scored
    <run_id>/evaluations/<task>/<step>.parquet    the same of a kept checkpoint, and samples
    <run_id>/summary.json      RunSummary: atomic, last; status and every measured number
    <run_id>/checkpoints/      orbax
    <run_id>/claim.N           owner of the run: experiments/runs/claim.py
    <run_id>/quarantine.N/     damaged files, moved aside before the run continued

A run with a parent has taken over one of its checkpoints. Its metrics.jsonl begins with the
parent's rows of training. `steps_trained`, `tokens_trained` and `wall_seconds` of its summary count
its own training alone, so that sums over runs count nothing twice.

JSON files and rows end with a checksum (`checksums`), and a summary has the checksums of the other
files of its run. Text without them, of earlier versions, is read as well.

Losses are in nats per token unless the name says otherwise. An unmeasured number is null or absent.
"""

from __future__ import annotations

from experiments.record.items import (
    TaskHeader,
    headers,
    item_file,
    load_items,
    read_header,
    write_items,
)
from experiments.record.run import (
    Derivation,
    Environment,
    FileSum,
    ItemResult,
    ItemRow,
    LawSetting,
    Measured,
    MetricsRow,
    Parent,
    RunRecord,
    RunSummary,
    StoredConfig,
)
from experiments.record.schema import (
    AGAIN,
    CHECKPOINTS,
    CONFIG,
    ELSEWHERE,
    ENDED,
    EVALUATIONS,
    FINISHED,
    METRICS,
    PREDICTION,
    SCHEMA,
    SEARCH,
    STUDY,
    SUMMARY,
    TOKENIZER,
    File,
    Status,
    StudyPart,
    finite,
    scalar,
)
from experiments.record.search import SearchCandidate, SearchCost, SearchMethod, SearchRecord
from experiments.record.store import (
    append_rows,
    changed,
    may_hold,
    newest_rows,
    read,
    read_file,
    read_items,
    read_rows,
    reading_folder,
    records_at,
    rewrite_rows,
    run_status,
    study_folder,
    sums,
    write,
)
from experiments.record.study import Forecast, PlannedRun, PredictionRecord, StudyPlan
from scaling.common.files import SCRATCH, DamagedError, UnreadableError
