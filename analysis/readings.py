"""What can be read off a study's runs beside a law of the loss, by the name that study.json has."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from analysis.critical_batch import read_critical_batch
from analysis.finding import Finding
from analysis.hyperparameters.study import read_grids
from analysis.study import Study
from analysis.transfer import read_settings
from experiments.record import Reading

READINGS: Mapping[Reading, Callable[[Study], Finding | None]] = {
    Reading.SETTINGS: read_settings,
    Reading.HYPERPARAMETER_LAW: read_grids,
    Reading.CRITICAL_BATCH: read_critical_batch,
}
"""Each gives None where too few runs have finished."""
