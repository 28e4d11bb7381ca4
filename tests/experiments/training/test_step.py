from __future__ import annotations

from dataclasses import replace
from functools import cache, partial

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from experiments.config.overrides import override
from experiments.config.run import RunConfig
from experiments.devices.resolve import check
from experiments.training.hypers import hypers
from experiments.training.populations.programs import programs
from experiments.training.step import Recipe, evaluate, gradients, init_state, recipe, seen, step
from models.transformer import apply
from scaling.common.errors import UserError

RECIPE = recipe(tiny.config())
PLAIN = ("execution.program.backward=plain", "execution.program.attention=xla")


def batches(steps: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (steps, 4, 17), dtype=np.int32)


def leaves(*assignments: str):
    return hypers(tiny.config(*assignments).science)


@cache
def jitted_step(which: Recipe):
    return jax.jit(partial(step, which))


def assert_close(a, b, **tolerance):
    jax.tree.map(partial(np.testing.assert_allclose, **tolerance), a, b)


def test_step_moves_every_parameter_and_counts():
    state = programs(RECIPE).init(leaves())
    after, metrics = jitted_step(RECIPE)(state, leaves(), batches()[0])
    assert int(after.step) == 1
    for old, new in zip(jax.tree.leaves(state.params), jax.tree.leaves(after.params), strict=True):
        assert not np.array_equal(old, new)
    assert 5 < float(metrics["loss"]) < 6.5  # log 256 is 5.5
    assert float(metrics["learning_rate"]) == pytest.approx(3e-3 / 2)  # warm-up of two steps


@pytest.mark.parametrize("microbatch", [1, 2])
def test_microbatches_are_the_same_gradient(microbatch):
    params = programs(RECIPE).init(leaves()).params
    whole = jax.jit(partial(gradients, RECIPE))(params, batches()[0])
    split = jax.jit(partial(gradients, replace(RECIPE, microbatch=microbatch)))
    assert RECIPE.microbatch == 4
    assert_close(split(params, batches()[0]), whole, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("microbatch", [1, 4])
def test_z_loss_adds_its_gradient_and_not_to_the_loss(microbatch):
    params = programs(RECIPE).init(leaves()).params
    made, batch = replace(RECIPE, microbatch=microbatch), batches()[0]

    def plain(params):
        log_z = jax.nn.logsumexp(apply(made.spec, params, batch[:, :-1]), axis=-1)
        return (log_z**2).mean()

    square, slope = jax.jit(jax.value_and_grad(plain))(params)
    without, with_it = (
        jax.jit(partial(gradients, made))(params, batch, {"z_loss": jnp.float32(z)})
        for z in (0.0, 0.5)
    )
    assert_close(without[0], with_it[0], rtol=1e-6)
    assert with_it[0].found["z_loss"] == pytest.approx(float(square), rel=1e-5)
    expected = jax.tree.map(lambda a, b: a + 0.5 * b, without[1], slope)
    assert_close(with_it[1], expected, rtol=2e-4, atol=1e-6)
    assert optax.tree.norm(slope) > 0.1  # so that it is seen


def test_z_loss_of_the_config_reaches_the_step():
    state = programs(RECIPE).init(leaves())
    both = [
        jitted_step(RECIPE)(state, leaves(f"penalties.z_loss={z}"), batches()[0])
        for z in (0.0, 0.1)
    ]
    (_, without), (_, with_it) = both
    assert with_it["loss"] == without["loss"]
    assert with_it["z_loss"] == without["z_loss"] > 25  # about (ln 256)^2
    assert with_it["grad_norm"] > without["grad_norm"] * 1.01


def test_chunk_is_the_steps_one_by_one():
    state = programs(RECIPE).init(leaves())
    rows = []
    for batch in batches():
        state, metrics = jitted_step(RECIPE)(state, leaves(), batch)
        rows.append(metrics)
    chunked, metrics = programs(RECIPE).chunk(programs(RECIPE).init(leaves()), leaves(), batches())
    assert_close(metrics, jax.tree.map(lambda *x: jnp.stack(x), *rows), rtol=1e-5)
    assert_close(chunked.params, state.params, rtol=1e-3, atol=1e-6)
    assert int(chunked.step) == 3


def test_chunk_takes_no_step_beyond_the_last():
    short = leaves("budget.tokens=128")
    state, metrics = programs(RECIPE).chunk(programs(RECIPE).init(short), short, batches())
    two, _ = programs(RECIPE).chunk(programs(RECIPE).init(short), short, batches())
    assert int(state.step) == 2
    assert np.flatnonzero(metrics["loss"]).tolist() == [0, 1]
    again, metrics = programs(RECIPE).chunk(two, short, batches(seed=1))
    assert int(again.step) == 2
    jax.tree.map(np.testing.assert_array_equal, again.params, state.params)
    assert not metrics["loss"].any()


def test_mapped_over_hypers_each_member_is_its_solo_run():
    members = [leaves(), leaves("optimizer.learning_rate=0.1", "seed=1", "optimizer.beta2=0.5")]
    states = [programs(RECIPE).init(h) for h in members]
    population = jax.jit(jax.vmap(partial(step, RECIPE), in_axes=(0, 0, None)))
    h, state = (jax.tree.map(lambda *x: jnp.stack(x), *several) for several in (members, states))
    together = population(state, h, batches()[0])
    for i in range(2):
        alone = jitted_step(RECIPE)(states[i], members[i], batches()[0])
        member = jax.tree.map(lambda x, i=i: x[i], together)
        assert_close(member[1], alone[1], rtol=1e-5)
        assert_close(member[0].params, alone[0].params, rtol=1e-3, atol=1e-5)


def test_evaluation_is_the_mean_over_all_windows_whatever_their_grouping():
    state = programs(RECIPE).init(leaves())
    windows = batches(2).reshape(8, 17)
    found = [
        float(jax.jit(partial(evaluate, RECIPE))(state, windows.reshape(-1, part, 17)))
        for part in (2, 8)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_runs_that_differ_in_hypers_only_share_their_programs():
    same = tiny.config("optimizer.learning_rate=0.5", "seed=9", "budget.tokens=999")
    assert programs(recipe(same)) is programs(RECIPE)
    assert programs(recipe(tiny.config("model.ffn=64"))) is not programs(RECIPE)


# 256, 171 and 86 tokens of a sequence in three recursions
RECURSED = ["batch.seq_len=256", "model.layers=3"]
RECURSED += ["model.sharing=cycle", "model.recursion=token_choice"]


def attention(config: RunConfig, platform: str) -> str:
    return recipe(config, platform).spec.program.attention


@pytest.mark.parametrize(
    ("name", "others", "platforms", "needs"),
    [
        ("cudnn", ["precision=bfloat16"], ["cpu"], "a GPU"),
        ("cudnn", [], ["gpu", "tpu"], "precision=bfloat16"),
        ("cudnn", ["precision=bfloat16", "model.head_dim=12"], ["gpu"], "a model.head_dim of at"),
        ("splash", ["batch.seq_len=128"], ["gpu"], "a TPU"),
        ("splash", ["batch.seq_len=64"], ["tpu"], "a batch.seq_len that 128 divides"),
        ("splash", RECURSED, ["tpu"], "model.recursion=none, or slots that 128 divides"),
    ],
)
def test_an_attention_that_is_not_to_be_had_is_refused(name, others, platforms, needs):
    config = tiny.config(f"execution.program.attention={name}", *others)
    with pytest.raises(UserError, match=f"^execution.program.attention={name}: needs {needs}"):
        check(config, *platforms)
    check(tiny.config(*others), *platforms)


def test_a_kind_of_device_is_asked_for_what_any_of_it_has():
    check(tiny.config("execution.program.attention=splash", "batch.seq_len=128"), "gpu", "tpu")


def test_logits_are_cut_where_they_would_be_large():
    config = tiny.config("batch.sequences=48", "batch.seq_len=128", "model.vocab_size=1048576")
    small = tiny.config("batch.sequences=48", "batch.seq_len=128")

    def chunks(config: RunConfig, *where) -> int:
        return recipe(config, *where).spec.program.logits_chunks

    # 24 GiB of logits; the least divisors of 128 that leave 1 GiB, or a quarter of that
    assert [chunks(config, platform) for platform in ("cpu", "gpu", "tpu")] == [1, 32, 128]
    assert [chunks(small, platform) for platform in ("cpu", "gpu", "tpu")] == [1, 1, 1]
    assert chunks(override(config, ["execution.layout.name=fsdp"]), "gpu", 8) == 4


def test_automatic_choices_follow_the_device():
    config: RunConfig = tiny.config("batch.sequences=48", "batch.seq_len=128")
    assert (recipe(config, "cpu").microbatch, recipe(config, "gpu").microbatch) == (2, 48)
    assert recipe(config, "cpu").spec.program.backward == "barrier"
    assert recipe(config, "tpu").spec.program.backward == "plain"
    assert attention(config, "cpu") == "barrier"
    assert (attention(config, "gpu"), attention(config, "tpu")) == ("xla", "splash")
    half = tiny.config("precision=bfloat16", "batch.seq_len=100")
    assert (attention(half, "gpu"), attention(half, "tpu")) == ("cudnn", "xla")
    chosen = tiny.config("execution.program.backward=plain", "execution.microbatch=1")
    assert recipe(chosen, "cpu").spec.program.backward == "plain"
    assert recipe(chosen, "gpu").microbatch == 1


def test_microbatch_left_open_is_one_whose_activations_an_accelerator_can_spare():
    large = ("model.layers=24", "model.width=2048", "model.ffn=8192", "batch.seq_len=1024")
    config = tiny.config(*large, "batch.sequences=512", "budget.tokens=1e6")
    assert recipe(config, "gpu").microbatch < 512
    with_remat = override(config, ["execution.program.remat=block"])
    assert recipe(with_remat, "gpu").microbatch > recipe(config, "gpu").microbatch
    assert recipe(config, "tpu").microbatch < recipe(config, "gpu").microbatch


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_float32_products_ask_for_float32_on_accelerators(platform):
    """Left to itself a device multiplies in TF32, or in bfloat16; Muon has products of its own."""
    config = tiny.config("optimizer.name=muon", *PLAIN)
    made, batch = recipe(config), jax.ShapeDtypeStruct((4, 17), jnp.int32)
    numbers = hypers(config.science)
    state = jax.eval_shape(lambda: init_state(made, numbers))
    both = jax.jit(lambda state, batch: step(made, state, numbers, batch))
    lowered = jax.export.export(both, platforms=[platform])(state, batch)
    products = [row for row in lowered.mlir_module().splitlines() if "stablehlo.dot_general" in row]
    assert len(products) > 10
    assert all("precision = [HIGHEST, HIGHEST]" in row for row in products)


def test_rounded_matrices_are_what_the_model_sees_and_the_values_behind_them_are_trained():
    """Whole at once, or mixed in; evaluations are rounded in full. Scanned layers alike."""
    size = ("model.layers=2", "execution.program.layers=scan")
    plain, phased = tiny.config(*size), tiny.config(*size, "optimizer.rounded=ternary")
    whole, made = recipe(plain), recipe(phased)
    state = programs(whole).init(hypers(plain.science))
    found = seen(made, state.params)
    matrix = np.asarray(found["blocks"]["mlp"]["in"])
    assert [len(np.unique(each)) for each in matrix] == [3, 3]  # a scale for each layer
    assert_close(found["embedding"], state.params["embedding"])
    integers = seen(replace(made, rounded="int4"), state.params)["blocks"]["mlp"]["in"]
    theirs = np.asarray(state.params["blocks"]["mlp"]["in"])
    scale = np.abs(theirs).max(1, keepdims=True) / 7
    assert_close(integers, scale * np.round(theirs / scale), rtol=1e-5, atol=1e-7)
    windows = batches(1)
    losses = [float(evaluate(of, state, windows)) for of in (whole, made)]
    again = float(evaluate(whole, state.replace(params=found), windows))
    assert losses[1] == pytest.approx(again, rel=1e-6) and losses[0] != losses[1]
    late = replace(phased.science.optimizer, rounding_fraction=0.5)
    for optimizer, expected in ((phased.science.optimizer, losses[1]), (late, losses[0])):
        given = hypers(replace(phased.science, optimizer=optimizer))
        after, metrics = jitted_step(made)(state, given, windows[0])
        assert float(metrics["loss"]) == pytest.approx(expected, rel=1e-5)
        changed = np.asarray(after.params["blocks"]["mlp"]["in"])
        assert len(np.unique(changed)) > 100 and not np.array_equal(changed, theirs)
