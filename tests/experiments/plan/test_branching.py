from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from experiments.config.overrides import override
from experiments.config.run import BudgetConfig, Science
from experiments.config.schedule import DECAYS, ScheduleConfig
from experiments.plan.branching import branch, check_continued, stable_steps, trunk
from experiments.plan.designs import wsd
from experiments.plan.grids import grid, product, seeds
from experiments.plan.run import Continued, Run
from experiments.record import StudyPart
from experiments.training.hypers import hypers
from experiments.training.populations.grouping import signature
from experiments.training.schedule import fraction
from scaling.common.errors import UserError
from scaling.counting.formulas import params_total

BASE = tiny.config(
    "schedule.name=wsd",
    "schedule.warmup_fraction=0.1",
    "schedule.decay_fraction=0.0",
    "data.fingerprint=0123456789abcdef",
)
BATCH = BASE.science.batch.batch_tokens
ENDS = [40 * BATCH, 60 * BATCH]
STEM = trunk(BASE, ENDS, 0.2)
SHORT, LONG = (branch(STEM, end, 0.2) for end in ENDS)

RATES = jax.jit(lambda leaves: fraction("wsd", "linear", jnp.arange(3000), leaves))  # step by step


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_fraction_of_all_steps_gives_back_the_steps_that_it_was_made_of(part, steps):
    assume(2 * part <= steps)
    share = part / steps
    science = Science(
        schedule=ScheduleConfig("wsd", warmup_fraction=share, decay_fraction=share),
        budget=BudgetConfig(steps * Science().batch.batch_tokens),
    )
    assert (science.steps, science.warmup_steps, science.decay_steps) == (steps, part, part)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(30, 3000), min_size=1, max_size=4, unique=True),
    st.sampled_from([1, 4, 7]),
    st.floats(0, 0.3),
    st.floats(0.15, 0.6),
)
def test_branches_have_the_rates_of_their_trunk_until_they_leave_it(lengths, S, warm, cool):
    steps = (f"execution.steps_per_dispatch={S}", f"schedule.warmup_fraction={warm}")
    tokens = [length * BATCH for length in lengths]
    stem = trunk(override(BASE, steps), tokens, cool)
    assert stem.science.warmup_steps == round(warm * min(lengths))
    shared = [stable_steps(leaf.science) for leaf in (branch(stem, end, cool) for end in tokens)]
    assert stem.science.steps == max(shared)
    assert stem.execution.permanent == tuple(sorted(set(shared)))
    for end, length, start in zip(tokens, lengths, shared, strict=True):
        leaf = branch(stem, end, cool)
        check_continued(leaf, Continued(Run(stem, 0), start))
        assert leaf.science.steps == length
        assert abs(leaf.science.decay_steps - cool * length) <= S / 2 + 1e-6
        ours, theirs = (np.asarray(RATES(hypers(c.science))) for c in (leaf, stem))
        np.testing.assert_array_equal(ours[: start + 1], theirs[: start + 1])
        assert (ours[start + 1 :] < theirs[start]).all()


def test_trunk_and_branches_are_one_program():
    assert signature(STEM) == signature(SHORT) == signature(LONG)
    assert (STEM.science.steps, STEM.execution.permanent) == (48, (32, 48))
    assert SHORT.execution.permanent == ()


@pytest.mark.parametrize(
    ("change", "step", "reason"),
    [
        ([], 40, r"their rates agree for 32 steps$"),
        ([], 0, r"their rates agree for 32 steps$"),
        (["seed=1"], 32, r"seed is 1, and there it is 0$"),
        (["batch.sequences=8"], 32, r"batch\.sequences is 8, and there it is 4$"),
        (["schedule.name=cosine"], 32, r"schedule\.name is cosine, and there it is wsd$"),
        (["schedule.warmup_fraction=0.5"], 32, r"its warm-up has 20 steps, and there 4; change"),
        (["schedule.decay_fraction=0.5"], 32, r"their rates agree for 20 steps$"),
        (["evaluation.times=2"], 32, r"evaluation\.times is 2, and there it is 1"),
        ([], 24, r"no checkpoint of it is kept; add it to execution\.permanent of run"),
    ],
)
def test_origin_that_would_give_another_result_is_refused(change, step, reason):
    with pytest.raises(UserError, match=reason) as caught:
        check_continued(override(SHORT, change), Continued(Run(STEM, 0), step))
    assert "\n" not in str(caught.value)
    check_continued(SHORT, Continued(Run(STEM, 0), 32))


def test_validation_on_the_way_cannot_be_taken_over():
    twice = [override(config, ["evaluation.times=2"]) for config in (SHORT, STEM)]
    with pytest.raises(UserError, match=r"set evaluation\.times=1$"):
        check_continued(twice[0], Continued(Run(twice[1], 0), 32))


def test_permanent_checkpoints_of_a_run_that_begins_within_a_dispatch_are_refused():
    parts = ("schedule.name=constant", "schedule.warmup_fraction=0.0")
    short = override(BASE, [*parts, f"budget.tokens={20 * BATCH}"])
    long = override(BASE, parts)
    check_continued(long, Continued(Run(short, 0), 20))
    with pytest.raises(UserError, match=r"a multiple of execution\.steps_per_dispatch=8$"):
        check_continued(override(long, ["execution.permanent=48"]), Continued(Run(short, 0), 20))


@pytest.mark.parametrize("name", [name for name, decay in DECAYS.items() if decay == "part"])
@pytest.mark.parametrize("shape", ["1-sqrt", "exponential"])
def test_every_schedule_with_a_plateau_of_its_own_has_trunks(name, shape):
    """Two lengths, two shapes of decay from one trunk, and the rates are the trunk's until then."""
    parts = (f"schedule.name={name}", "schedule.final_fraction=0.01")
    base = override(BASE, [*parts, "schedule.power_amplitude=0.01"])
    stem = trunk(base, ENDS, 0.2)
    rates = jax.jit(lambda leaves: fraction(name, shape, jnp.arange(60), leaves))
    theirs = np.asarray(rates(hypers(stem.science)))
    for end, length, start in zip(ENDS, (40, 60), (32, 48), strict=True):
        leaf = override(branch(stem, end, 0.2), [f"schedule.decay_shape={shape}"])
        check_continued(leaf, Continued(Run(stem, 0), start))
        ours = np.asarray(rates(hypers(leaf.science)))[:length]
        np.testing.assert_array_equal(ours[: start + 1], theirs[: start + 1])
        assert (ours[start + 1 :] < theirs[start]).all()
    if name in ("inverse_sqrt", "power", "infinite"):
        assert theirs[47] < theirs[4]  # it is no constant


@pytest.mark.parametrize("name", [name for name, decay in DECAYS.items() if decay != "part"])
def test_schedule_that_knows_its_length_has_no_trunk(name):
    with pytest.raises(UserError, match=rf"^schedule\.name={name}: .* choose one of wsd, trap"):
        trunk(override(BASE, [f"schedule.name={name}"]), ENDS, 0.2)


def test_way_to_the_plateau_is_as_long_in_branch_and_trunk():
    base = override(BASE, ["schedule.name=infinite"])
    stem = trunk(base, ENDS, 0.2)
    leaf = branch(stem, ENDS[0], 0.2)
    longer = override(leaf, ["schedule.settling_fraction=0.5"])
    with pytest.raises(
        UserError, match=r"its way to the plateau has 20 steps, and there 8; change"
    ):
        check_continued(longer, Continued(Run(stem, 0), 32))
    with pytest.raises(UserError, match=r"its warm-up has 4 steps and 24 to its plateau, and a"):
        trunk(override(base, ["schedule.settling_fraction=0.6"]), ENDS, 0.4)


@pytest.mark.parametrize("cool", [0.0, 1.0, float("nan")])
def test_branch_needs_a_cooldown_and_a_trunk(cool):
    with pytest.raises(UserError, match=r"^decay_fraction=.* must lie between 0 and 1"):
        trunk(BASE, ENDS, cool)


@pytest.mark.parametrize(
    ("warm", "cool", "steps", "begins"),
    [
        (0.0, 0.7, 10, 0),  # no step to share
        (0.9, 0.1, 20, 16),  # within the warm-up of 18
        (0.0, 0.1, 8, 8),  # no step of cooldown
        (0.0, 0.05, 31, 32),  # beyond its end, where the shorter one is well
    ],
)
def test_run_that_is_too_short_for_a_branch_is_one_line(warm, cool, steps, begins):
    base = override(BASE, [f"schedule.warmup_fraction={warm}"])
    tokens = [steps * BATCH, 25 * BATCH] if steps > 25 else [steps * BATCH]
    with pytest.raises(UserError, match=rf"^a run of {steps} steps .* begin in step {begins}, "):
        trunk(base, tokens, cool)


def test_design_is_one_trunk_per_size_and_a_branch_per_ratio():
    widths = grid({"model.width": [16, 32]})
    N = [
        params_total(override(BASE, [f"model.width={w}"]).science.model.dims(16)) for w in (16, 32)
    ]
    ratios = [(1, 2), (0.5,)]
    made = wsd(BASE, product(widths, seeds(2)), [r for r in ratios for _ in range(2)], 0.25, 1)
    assert [(run.rung, str(run.part)) for run in made] == [
        *[(0, "trunk"), (0, "fit"), (0, "fit")] * 2,
        *[(1, "trunk"), (1, "held_out")] * 2,
    ]
    stem = made[0]
    for run in made:
        science = run.config.science
        if run.part is StudyPart.TRUNK:
            stem = run
            continue
        assert run.origin is not None
        assert run.origin.parent.run_id == stem.run_id
        assert science.seed == stem.config.science.seed
        assert science.model == stem.config.science.model
        assert run.first_step == stable_steps(science) <= stem.config.science.steps
        check_continued(run.config, run.origin)
    assert [run.config.science.budget.tokens for run in made[1:3]] == [N[0], 2 * N[0]]
    assert made[7].config.science.budget.tokens == round(0.5 * N[1])
    assert made[2].flops == pytest.approx(0.25 * made[2].ledger["flops_model"], rel=0.05)
    assert made[0].flops == made[0].ledger["flops_model"]
