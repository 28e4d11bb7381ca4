"""A search as a value: its space, its samplers, its plan, and every mistake in one line."""

from __future__ import annotations

import itertools
import math
import sys
from fractions import Fraction
from itertools import islice

import pytest
import tiny

from experiments import studies
from experiments.config.schedule import ScheduleConfig
from experiments.plan.run import Run
from experiments.search.cost import Cost, planned, rungs
from experiments.search.halving import hyperband
from experiments.search.plan import Search, raises
from experiments.search.samplers import Tried, sampler
from experiments.search.space import Choice, LogUniform, Uniform, assignment, draw, point
from models.config import TransformerConfig
from scaling.common.errors import UserError

RATE = "optimizer.learning_rate"
SPACE = {
    RATE: LogUniform(1e-4, 1e-1),
    "optimizer.beta2": Uniform(0.9, 0.99),
    "parametrization.name": Choice(("sp", "mup")),
    "schedule.warmup_fraction": Uniform(0.0, 0.5),
}


def search(*assignments: str, **fields) -> Search:
    base = tiny.config("schedule.name=constant", "budget.tokens=640", *assignments)
    return Search(**{"name": "t", "question": "?", "base": base, "space": SPACE, "R": 9, **fields})


def tried(space, name: str, n: int, seed: int = 0, scored=()) -> list[Tried]:
    """The first n candidates, each scored as soon as it is sampled where `scored` says how."""
    known: dict[int, Tried] = {}
    candidates = sampler(name)(space, seed, known.values())
    for number in range(n):
        known[number] = Tried(next(candidates))
        if scored:
            known[number].scores.update(scored(known[number].fields))
    return list(known.values())


def test_draws_depend_on_seed_and_number_alone_and_stay_in_their_ranges():
    drawn = [draw(SPACE, 3, number) for number in range(300)]
    assert drawn[7] == draw(SPACE, 3, 7) != draw(SPACE, 4, 7)
    rates = [fields[RATE] for fields in drawn]
    assert 1e-4 <= min(rates) < 2e-4 < 5e-2 < max(rates) <= 1e-1
    assert 0.4 < sum(rate < math.sqrt(1e-5) for rate in rates) / 300 < 0.6  # the middle, in logs
    assert all(rate == float(f"{rate:.4g}") for rate in rates)
    assert {fields["parametrization.name"] for fields in drawn} == {"sp", "mup"}
    fewer = {name: SPACE[name] for name in (RATE, "parametrization.name")}
    assert [draw(fewer, 3, number)[RATE] for number in range(300)] == rates


def test_choice_of_a_section_sets_its_fields_and_points_are_found_again():
    models = [TransformerConfig(width=w, heads=2, kv_heads=2, head_dim=8) for w in (16, 32)]
    space = {**SPACE, "model": Choice(models)}
    for number in range(20):
        fields = draw(space, 0, number)
        assert fields["model.width"] in (16, 32)
        assert assignment(space, point(space, fields)) == fields


@pytest.mark.parametrize("name", ["random", "optuna"])
def test_sampler_gives_all_of_a_finite_space_and_none_twice(name):
    space = {RATE: Choice((1e-3, 2e-3, 3e-3)), "optimizer.beta2": Choice((0.9, 0.95))}
    candidates = [
        one.fields for one in tried(space, name, 6, scored=lambda fields: {100: fields[RATE]})
    ]
    assert {tuple(one.values()) for one in candidates} == set(
        itertools.product((1e-3, 2e-3, 3e-3), (0.9, 0.95))
    )


def test_random_candidates_are_distinct_by_themselves():
    drawn = islice(sampler("random")({RATE: Choice((1e-3, 2e-3, 3e-3))}, 0, ()), 3)
    assert {fields[RATE] for fields in drawn} == {1e-3, 2e-3, 3e-3}


@pytest.mark.parametrize("name", ["random", "optuna"])
def test_seed_decides_the_candidates(name):
    one, again, other = (tried(SPACE, name, 8, seed) for seed in (0, 0, 1))
    assert one == again
    assert not any(a.fields == b.fields for a, b in zip(one, other, strict=True))


def test_optuna_goes_where_the_scores_are_good_and_random_does_not():
    def distance(best):
        return lambda fields: {100: abs(math.log10(fields[RATE] / best))}

    def near(name, best):
        score = distance(best)
        return sum(score(one.fields)[100] < 0.5 for one in tried(SPACE, name, 40, 0, score))

    for best in (3e-4, 3e-2):
        assert near("optuna", best) > 1.5 * near("random", best)


def test_optuna_takes_what_diverged_for_the_worst():
    def score(fields):
        return {200: math.nan} if fields[RATE] > 1e-2 else {100: 1.0}

    late = [one.fields[RATE] for one in tried(SPACE, "optuna", 40, 0, score)[20:]]
    assert sum(rate > 1e-2 for rate in late) < 4  # a third of the space


def test_missing_extra_is_one_line_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "experiments.search.samplers.optuna", raising=False)
    with pytest.raises(UserError, match=r"^--sampler 'optuna': .*pip install -e '\.\[optuna\]'$"):
        sampler("optuna")


def scored(candidates, budget):
    return [float(candidate) for candidate in candidates]


def resumed(bracket):
    """The cost where a promoted candidate goes on from its checkpoint."""
    return sum(
        {c: budget for budget in sorted(bracket.scores) for c in bracket.scores[budget]}.values()
    )


@pytest.mark.parametrize(("R", "eta"), [(1, 2), (9, 3), (27, 3), (16, 2), (10, 3)])
def test_plan_is_what_a_hyperband_evaluates(R, eta):
    plan = search(R=R, eta=eta)
    done = hyperband(R, eta, itertools.count(), scored)
    by_hand = [
        (s, budget, len(done.brackets[len(done.brackets) - 1 - s].scores[budget]))
        for s in range(len(done.brackets) - 1, -1, -1)
        for budget in sorted(done.brackets[len(done.brackets) - 1 - s].scores)
    ]
    assert [(rung.bracket, rung.budget, rung.candidates) for rung in rungs(plan)] == by_hand
    totals = planned(plan)
    assert totals.restarted.units == done.cost
    assert totals.resumed.units == sum(map(resumed, done.brackets))
    assert totals.everything.units == R * plan.candidates


def test_successive_halving_is_the_first_bracket_alone():
    plan = search(method="successive_halving", R=9)
    assert plan.candidates == 9
    assert [(rung.budget, rung.candidates) for rung in rungs(plan)] == [(1, 9), (3, 3), (9, 1)]


def test_cost_is_in_whole_steps_and_under_the_named_definition():
    plan = search("budget.tokens=650", R=2, eta=2)  # 10.16 steps of 64 tokens, then 20.3
    ledger = Run(plan.base, 0).ledger
    short, long = rungs(plan)[:2]
    assert short.from_start == Cost(Fraction(1), 640.0, ledger["flops_model"])
    assert long.from_start.tokens == 1280
    assert long.from_below.flops_model == pytest.approx(ledger["flops_model"])


def test_packaged_search_is_a_sound_plan():
    found = studies.files(studies.SEARCH)
    assert found
    for name in found:
        plan = studies.load_search(name, ["R=9", "seed=4", "model.ffn=64"])
        assert (plan.name, plan.R, plan.base.science.seed) == (name, 9, 4)
        assert plan.settings == {"R": "9", "seed": "4", "model.ffn": "64"}


@pytest.mark.parametrize(
    ("R", "before", "after"),
    [
        (9, (), (9,)),
        (9, (9,), (9,)),
        (27, (9,), (9, 27)),
        (81, (9, 27), (9, 27, 81)),
        (81, (9,), (9, 27, 81)),
    ],
)
def test_larger_budget_goes_on_step_by_step(R, before, after):
    assert raises(search(R=R, method="deepening"), before) == after


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda: search("schedule.name=cosine"),
            r"^schedule\.name=cosine: .*set schedule\.name=constant",
        ),
        (lambda: search(R=0), r"^R=0, eta=3: R must be at least 1"),
        (lambda: search(eta=1), r"eta at least 2"),
        (
            lambda: search(method="hyperbrand"),
            r"^search\.method=hyperbrand: did you mean 'hyperband'",
        ),
        (lambda: search(promotion="discarding"), r"^promotion=discarding: .*set method=deepening"),
        (lambda: search("budget.tokens=63"), r"^budget\.tokens=63: .*one step of 64 tokens"),
        (lambda: search(space={}), r"^space: no fields"),
        (
            lambda: search(space={RATE: Choice((1e-3, 2e-3))}),
            r"^space: 2 candidates, .* samples 17; widen",
        ),
        *(
            (lambda method=method: search(R=10**9, method=method), r"^R=1000000000, .*at most")
            for method in ("successive_halving", "hyperband", "deepening")
        ),
        (
            lambda: search(space={"optimizer.rate": Uniform(1, 2)}),
            r"^optimizer\.rate: no such field",
        ),
        (
            lambda: search(space={RATE: LogUniform(0, 1)}),
            r"^optimizer\.learning_rate: LogUniform\(low=0, high=1\) must have 0 < low < high",
        ),
        (lambda: search(space={RATE: Uniform(2, 1)}), r"must have -inf < low < high, both finite"),
        (lambda: search(space={RATE: Uniform(1, math.nan)}), r"must have -inf < low < high"),
        (
            lambda: search(space={RATE: Uniform(-1, 1)}),
            r"^optimizer\.learning_rate=-1\.0: must be positive",
        ),
        (
            lambda: search(space={RATE: (1, 2)}),
            r"^optimizer\.learning_rate: tuple is no distribution",
        ),
        (
            lambda: search(space={RATE: Uniform("a", "b")}),
            r"^optimizer\.learning_rate='a': expected float",
        ),
        (lambda: search(space={RATE: Choice(())}), r"^optimizer\.learning_rate: no values"),
        (lambda: search(space={RATE: Choice((1e-3, 1e-3))}), r"twice in one grid"),
        (
            lambda: search(space={"batch.sequences": Uniform(1, 8)}),
            r"^batch\.sequences: Uniform is for .*use Choice",
        ),
        (lambda: search(space={"optimizer.decay": Choice(("cupled",))}), r"did you mean 'coupled'"),
        (
            lambda: search(
                space={"model": Choice((TransformerConfig(),)), "model.ffn": Choice((8, 16))}
            ),
            r"^model\.ffn: set twice",
        ),
        (
            lambda: search(space={"budget.tokens": Choice((64, 128))}),
            r"^budget\.tokens: cannot be searched over",
        ),
        (
            lambda: search(
                space={"schedule": Choice((ScheduleConfig(), ScheduleConfig("cosine")))}
            ),
            r"^schedule\.name: cannot be searched over; it is constant",
        ),
        (
            lambda: search(space={"data.epochs": Choice((1, 2))}),
            r"^data\.epochs: cannot be searched over",
        ),
        (
            lambda: search("optimizer.name=sgd"),
            r"^optimizer\.beta2: cannot be searched over; .* reads under optimizer\.name=sgd",
        ),
        (
            lambda: search().override([f"{RATE}=1"]),
            r"^--set optimizer\.learning_rate=1: the search varies it",
        ),
        (lambda: search().override(["R=nine"]), r"^--set R=nine: expected int"),
        (
            lambda: search().override(["method=deeping"]),
            r"^--set method=deeping: did you mean 'deepening'",
        ),
        (lambda: raises(search(R=27), (9,)), r"^R=27: .*with R=9; set method=deepening"),
        (lambda: raises(search(R=18, method="deepening"), (9,)), r"^R=18: .*deepens to 27, 81, "),
        (lambda: raises(search(R=9, method="deepening"), (27,)), r"^R=9: .*deepens to 81, 243"),
        (lambda: sampler("randm"), r"^--sampler 'randm': did you mean 'random'\?$"),
        (
            lambda: studies.load_search("lr_serch", []),
            r"^search 'lr_serch': did you mean 'lr_search'",
        ),
        (
            lambda: studies.load_search("lr_search", ["etta=9"]),
            r"^--set etta: no such field; did you mean 'eta'",
        ),
        (lambda: studies.load_search("nowhere.py", []), r"^nowhere\.py: no such search file"),
    ],
)
def test_mistake_is_one_line(change, message):
    with pytest.raises(UserError, match=message) as caught:
        change()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", r"mine\.py: it defines no function 'search'; see experiments/search/plan\.py"),
        ("def search():\n    return 1\n", r"its function 'search' gives a int, no Search"),
        ("def search():\n    return 1 / 0\n", r"mine\.py:2: ZeroDivisionError"),
    ],
)
def test_mistake_in_a_search_file_is_one_line(tmp_path, text, message):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(UserError, match=message):
        studies.load_search(str(path), [])
