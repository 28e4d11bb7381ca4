from __future__ import annotations

import pytest
import tiny

from experiments.config.overrides import override, paths
from experiments.config.run import RunConfig
from scaling.common.errors import UserError


@pytest.mark.parametrize(
    ("assignment", "read", "value"),
    [
        ("optimizer.learning_rate=1e-3", lambda c: c.science.optimizer.learning_rate, 0.001),
        ("lr=1e-3", lambda c: c.science.optimizer.learning_rate, 0.001),
        ("budget.tokens=1e6", lambda c: c.science.budget.tokens, 1_000_000),
        ("budget.tokens=1_000_000", lambda c: c.science.budget.tokens, 1_000_000),
        (f"budget.tokens={2**53 - 1}", lambda c: c.science.budget.tokens, 2**53 - 1),
        ("model.mlp=swiglu", lambda c: c.science.model.mlp, "swiglu"),
        ("seed=7", lambda c: c.science.seed, 7),
        ("data.path=a=b", lambda c: c.science.data.path, "a=b"),
        (" seed = 7 ", lambda c: c.science.seed, 7),
        ("execution.steps_per_dispatch=3", lambda c: c.execution.steps_per_dispatch, 3),
        ("execution.program.layers=scan", lambda c: c.execution.program.layers, "scan"),
        ("execution.permanent=320,1e3,1_024", lambda c: c.execution.permanent, (320, 1000, 1024)),
        ("execution.permanent=", lambda c: c.execution.permanent, ()),
    ],
)
def test_value_takes_the_type_of_its_field(assignment, read, value):
    found = read(override(RunConfig(), ["execution.steps_per_dispatch=1", assignment]))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("learning_rate=1", r"no such field; did you mean 'optimizer\.learning_rate'\?$"),
        ("zzzz=1", r"no such field; windtunnel fields lists them$"),
        ("optimizer.learning_rate=0.1,0.2", r"expected float; it has one value, a study's own"),
        ("model.widht=3", r"--set model\.widht: no such field; did you mean 'model\.width'\?"),
        ("microbatch=2", r"no such field; did you mean 'execution\.microbatch'\?"),
        ("execution.model.width=3", r"no such field; did you mean '.*width'"),
        ("science.seed=1", r"no such field"),
        ("model=3", r"no such field"),
        ("budget.tokens=many", r"--set budget\.tokens=many: expected int"),
        ("budget.tokens=1.5", r"--set budget\.tokens=1\.5: expected int"),
        ("budget.tokens=inf", r"expected int"),
        ("optimizer.learning_rate=fast", r"expected float"),
        ("model.mlp=swigly", r"--set model\.mlp=swigly: did you mean 'swiglu'\?"),
        ("execution.permanent=32,x", r"--set execution\.permanent=x: expected int"),
        ("execution.permanent=32,", r"--set execution\.permanent=: expected int"),
        ("execution.permanent=1.5", r"--set execution\.permanent=1\.5: expected int"),
        ("schedule.name=x", r"known: constant, cosine, infinite, .*, wsd$"),
        ("seed", r"--set seed: write it as name=value"),
        ("=3", r"write it as name=value"),
    ],
)
def test_mistake_is_one_line_that_names_it(assignment, message):
    with pytest.raises(UserError, match=message) as caught:
        override(RunConfig(), [assignment])
    assert "\n" not in str(caught.value)


def test_checks_see_all_assignments_together():
    both = ["batch.sequences=6", "execution.microbatch=3"]
    base = tiny.config("execution.microbatch=4")
    for order in (both, both[::-1]):
        changed = override(base, order)
        assert (changed.science.batch.sequences, changed.execution.microbatch) == (6, 3)
    with pytest.raises(UserError, match=r"batch\.sequences=6 is not a multiple"):
        override(base, both[:1])


def test_nothing_else_changes():
    assert override(tiny.config(), []) == tiny.config()
    changed = override(tiny.config(), ["seed=3"])
    assert override(changed, ["seed=0"]) == tiny.config()


def test_paths_cover_science_and_execution():
    assert {"seed", "model.width", "data.path", "execution.program.remat"} <= set(paths())
    assert len(set(paths())) == len(paths())
    assert not [path for path in paths() if path.startswith("science")]


TWO = ["data.corpora=web=files:a,code=stdlib", "data.weights=0.5,0.5"]


@pytest.mark.parametrize(
    ("assignments", "weights", "unique", "repeats"),
    [
        (['data.mixture={"code": 0.3, "web": 0.7}'], (0.7, 0.3), (), ()),
        (['data.mixture={"code": 1}'], (0.0, 1.0), (), ()),
        (["data.weights.web=0.2", "data.weights.code=0.8"], (0.2, 0.8), (), ()),
        (
            ["data.unique_tokens.code=2e6", "data.repeats.code=4"],
            (0.5, 0.5),
            (0, 2_000_000),
            (1, 4),
        ),
    ],
)
def test_numbers_of_a_source_are_set_by_its_name(assignments, weights, unique, repeats):
    data = override(RunConfig(), [*TWO, *assignments]).science.data
    assert (data.weights, data.unique_tokens, data.repeats) == (weights, unique, repeats)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("data.weights.wb=0.2", r"no source 'wb' in data\.corpora; did you mean 'web'"),
        ('data.mixture={"prose": 1}', r"no source 'prose' in data\.corpora"),
        ("data.mixture=0.5", r'write it as \{"web": 0\.7, "code": 0\.3\}'),
        ("data.repeats.web=many", r"data\.repeats\.web=many: expected int"),
    ],
)
def test_wrong_names_and_numbers_of_sources_are_refused(assignment, message):
    with pytest.raises(UserError, match=message):
        override(RunConfig(), [*TWO, assignment])
    with pytest.raises(UserError, match=r"name them there|write it as"):
        override(RunConfig(), [assignment])  # without data.corpora
