"""The laws of the algebra of sweeps, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
from hypothesis import assume, given
from hypothesis import strategies as st

from experiments.config.run import RunConfig
from experiments.plan.grids import Grid, chain, configs, grid, product, seeds, where, zipped
from models.config import TransformerConfig
from scaling.common.errors import UserError

FIELDS = ("seed", "model.width", "model.ffn", "optimizer.learning_rate", "batch.sequences")


def values(field: str) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True)


@st.composite
def grids(draw: st.DrawFn, fields: tuple[str, ...] = FIELDS) -> dict[str, list[int]]:
    chosen = draw(st.lists(st.sampled_from(fields), min_size=1, max_size=3, unique=True))
    return {field: draw(values(field)) for field in chosen}


@st.composite
def apart(draw: st.DrawFn, count: int) -> list[Grid]:
    """Sweeps over fields of their own; some have been thinned, so that they are no grids."""
    order = draw(st.permutations(FIELDS))
    sweeps = [grid({field: draw(values(field))}) for field in order[: count - 1]]
    sweeps.append(grid({field: draw(values(field)) for field in order[count - 1 : count + 1]}))
    kept = draw(st.integers(1, len(sweeps[-1])))
    return [*sweeps[:-1], sweeps[-1][:kept]]


def items(sweep: Grid) -> list[frozenset[tuple[str, object]]]:
    return [frozenset(assignment.items()) for assignment in sweep]


@given(grids())
def test_grid_is_the_product_of_its_fields(fields):
    assert grid(fields) == product(*(grid({field: row}) for field, row in fields.items()))


@given(grids())
def test_grid_has_every_combination_once_and_the_last_field_changes_fastest(fields):
    sweep = grid(fields)
    assert len(sweep) == np.prod([len(row) for row in fields.values()])
    ranks = [tuple(fields[field].index(a[field]) for field in fields) for a in sweep]
    assert ranks == sorted(set(ranks))


@given(apart(3))
def test_product_is_associative(sweeps):
    a, b, c = sweeps
    assert product(product(a, b), c) == product(a, product(b, c)) == product(a, b, c)


@given(apart(2))
def test_product_commutes_but_for_the_order(sweeps):
    a, b = sweeps
    assert set(items(product(a, b))) == set(items(product(b, a)))


@given(apart(2))
def test_units_and_zero(sweeps):
    a, _ = sweeps
    assert product() == grid({}) == ({},)
    assert product(a, product()) == product(product(), a) == a == chain(a, ()) == chain((), a)
    assert product(a, ()) == chain() == ()


@given(apart(3))
def test_chain_concatenates_and_product_spreads_over_it(sweeps):
    a, b, c = sweeps
    assert chain(a, b) == a + b
    assert chain(chain(a, b), c) == chain(a, chain(b, c))
    assert product(chain(a, b), c) == chain(product(a, c), product(b, c))


@given(apart(2), st.integers(0, 5))
def test_where_filters_in_order_and_passes_through_product(sweeps, odd):
    a, b = sweeps
    [field, *_] = a[0]

    def keep(assignment):
        return (assignment[field] + odd) % 2 == 0

    assert where(a, keep) == tuple(x for x in a if keep(x))
    assert where(where(a, keep), keep) == where(a, keep)
    assert where(product(a, b), keep) == product(where(a, keep), b)


@given(apart(2))
def test_zipped_joins_one_to_one(sweeps):
    a, b = sweeps
    assume(len(a) >= len(b))
    a = a[: len(b)]
    assert zipped(a, b) == tuple({**x, **y} for x, y in zip(a, b, strict=True))
    assert set(items(zipped(a, b))) <= set(items(product(a, b)))


@given(grids(), grids())
def test_nothing_is_twice(one, other):
    a, b = grid(one), grid(other)
    assert len(set(items(a))) == len(a)
    if set(items(a)) & set(items(b)):
        with pytest.raises(UserError, match="twice in one grid"):
            chain(a, b)
    else:
        assert chain(a, b) == a + b


def test_seeds_count_from_the_first():
    assert seeds(3) == ({"seed": 0}, {"seed": 1}, {"seed": 2})
    assert seeds(2, first=1000) == grid({"seed": (1000, 1001)})


def test_values_take_the_types_of_their_fields():
    sweep = grid({"optimizer.learning_rate": [1, *np.logspace(-3, -2, 2)], "seed": np.arange(2)})
    assert {type(a["optimizer.learning_rate"]) for a in sweep} == {float}
    assert {type(a["seed"]) for a in sweep} == {int}
    with pytest.raises(UserError, match=r"optimizer\.learning_rate=1\.0: twice"):
        grid({"optimizer.learning_rate": [1, 1.0]})


def test_a_section_stands_for_its_fields():
    small, large = TransformerConfig(width=16), TransformerConfig(width=32, ffn=128)
    sweep = grid({"model": (small, large)})
    assert [a["model.width"] for a in sweep] == [16, 32]
    base = tiny.config()
    assert [config.science.model for config in configs(base, sweep)] == [small, large]
    with pytest.raises(UserError, match=r"^model\.width: set twice, to 16 and to 8$"):
        product(sweep, grid({"model.width": [8]}))
    program = grid({"execution": [base.execution]})[0]
    assert program["execution.program.layers"] == "unrolled"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: grid({"model.widht": [3]}), r"^model\.widht: no such field; .* 'model\.width'\?$"),
        (lambda: grid({"science.seed": [3]}), r"^science\.seed: no such field"),
        (lambda: grid({"seed": ["3"]}), r"^seed='3': expected int$"),
        (lambda: grid({"seed": [1.5]}), r"^seed=1\.5: expected int$"),
        (lambda: grid({"seed": [True]}), r"^seed=True: expected int$"),
        (lambda: grid({"model.mlp": ["gelu", "swigly"]}), r"^model\.mlp=swigly: .*'swiglu'"),
        (lambda: grid({"execution.permanent": [32]}), r"^execution\.permanent=32: .*a tuple"),
        (lambda: grid({"execution.permanent": [(3.5,)]}), r"^execution\.permanent=3\.5: expected"),
        (lambda: grid({"model": [3]}), r"^model=3: expected TransformerConfig"),
        (lambda: grid({"seed": []}), r"^seed: no values; give at least one$"),
        (lambda: grid({"seed": [1, 2, 1]}), r"^seed=1: twice in one grid; drop one$"),
        (lambda: product(seeds(2), seeds(2)), r"^seed: set twice, to 0 and to 0$"),
        (
            lambda: zipped(seeds(2), grid({"model.width": [8, 16, 24]})),
            r"^zipped: grids of \[2, 3\] assignments; make them equally long$",
        ),
        (
            lambda: configs(RunConfig(), chain(seeds(1), grid({"model.width": [64]}))),
            r"^seed=0 and model\.width=64: the same run twice",
        ),
        (lambda: configs(RunConfig(), grid({"model.width": [0]})), r"^model\.width=0: must be"),
    ],
)
def test_mistake_is_one_line_that_names_it(make, message):
    with pytest.raises(UserError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
