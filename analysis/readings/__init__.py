"""What can be read off a study's runs beside a law of the loss, by the name that study.json has."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from analysis.readings._finding import Finding
from analysis.readings.critical_batch import read_critical_batch
from analysis.readings.hyperparameter_grid import read_grids
from analysis.readings.transfer import read_settings
from analysis.tables.study import Study
from experiments.record import Reading

READINGS: Mapping[Reading, Callable[[Study], Finding | None]] = {
    Reading.SETTINGS: read_settings,
    Reading.HYPERPARAMETER_LAW: read_grids,
    Reading.CRITICAL_BATCH: read_critical_batch,
}
"""Each gives None where too few runs have finished."""
