"""A table as the objective of a search: bills by hand, and cells that it does not have."""

from __future__ import annotations

import pytest

from benchmarks.search_tables import Table, hyperbands, random_search
from scaling.common.errors import UserError

CELLS = [(float(lr), 1.0) for lr in range(1, 13)]
LOSS = {cell: 2.0 + 0.1 * abs(cell[0] - 5) for cell in CELLS}


def made(first: dict | None = None) -> Table:
    return Table([1.0, 2.0, 4.0], {1.0: first or LOSS, 2.0: LOSS, 4.0: LOSS})


def test_random_search_pays_every_run_in_full():
    objective = made()
    random_search(objective, CELLS)
    assert objective.reached == 5 * 4.0


def test_hyperband_reaches_the_best_for_less_where_fidelities_agree():
    """Ten cells in brackets of 4, 3 and 3: the second holds the best, found after it."""
    objective = made()
    hyperbands(objective, CELLS)
    assert objective.reached == (4 * 1 + 2 * 2 + 1 * 4) + (3 * 2 + 1 * 4)


def test_hyperband_is_misled_by_a_fidelity_of_the_opposite_order():
    upside_down = {cell: 4.0 - loss for cell, loss in LOSS.items()}
    objective = made(upside_down)
    hyperbands(objective, list(reversed(CELLS)))
    assert objective.reached is not None and objective.reached > 10


def test_a_cell_outside_the_table_is_refused():
    with pytest.raises(UserError, match="no cell of this table"):
        made().ask((99.0, 1.0), 0)
