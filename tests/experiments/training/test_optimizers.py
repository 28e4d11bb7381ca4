"""Each optimizer against its paper's formulas in NumPy and float64, ten steps; then in runs."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from plugged import plugged

from experiments.config.optimizer import FOLDER, OptimizerConfig, optimizer
from experiments.config.run import RunConfig
from experiments.runs.checkpoint import Checkpoints
from experiments.training.hypers import hypers
from experiments.training.objective import loss
from experiments.training.step import TrainState, evaluate, init_state, recipe, step, train_chunk
from experiments.training.update import UpdateInputs, evaluated, rules, update
from models.config import TransformerConfig
from scaling.common import plugins
from scaling.common.errors import UserError
from scaling.parametrization.parametrization import Parametrization
from scaling.parametrization.weight import Weight

NAMES = plugins.names(FOLDER)
ETA, LAM, MU, B1, B2, EPS, ADAMW = 0.05, 0.1, 0.9, 0.8, 0.95, 1e-3, 0.5
WEIGHTS = {
    "tall": Weight("tall", "hidden", "hk->d", (2, 4, 3)),
    "wide": Weight("wide", "hidden", "d->hk", (3, 2, 4)),
    "embedding": Weight("embedding", "embedding", "v->d", (6, 3)),
    "gain": Weight("gain", "gain", "->d", (3,)),
}
SP, SHAPE = Parametrization("sp"), TransformerConfig(width=4)
FRACTIONS = np.minimum(1, (1 + np.arange(10)) / 4)  # of a warm-up, at which averages look


def settings(name: str) -> RunConfig:
    values = {
        "optimizer.name": name,
        "schedule.name": "constant",
        "optimizer.learning_rate": ETA,
        "optimizer.weight_decay": LAM,
        "optimizer.momentum": MU,
        "optimizer.beta1": B1,
        "optimizer.beta2": B2,
        "optimizer.epsilon": EPS,
        "optimizer.adamw_rate": ADAMW,
        "optimizer.clip_norm": 1e9,
    }
    return tiny.config(*(f"{path}={value}" for path, value in values.items()))


def draws(weights: dict[str, Weight], count: int = 10) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {
            name: rng.normal(size=((w.stacked,) if w.stacked else ()) + w.shape)
            for name, w in weights.items()
        }
        for _ in range(count)
    ]


def train(name: str, weights: dict[str, Weight], weights_evaluated: str = "last"):
    """The parameters after each step, all ones at first, and the last that would be evaluated."""
    leaves = hypers(settings(name).science)
    table = rules(weights, lambda weight: SP.rule(weight, SHAPE))

    def at(s: Any) -> optax.GradientTransformation:
        return update(name, weights_evaluated, UpdateInputs(leaves, weights, table, "coupled", s))

    @jax.jit
    def advance(params: Any, state: Any, grads: Any, s: Any) -> Any:
        updates, state = at(s).update(grads, state, params)
        return optax.apply_updates(params, updates), state

    grads = jax.tree.map(jnp.float32, draws(weights))
    params = jax.tree.map(jnp.ones_like, grads[0])
    state, found = at(jnp.float32(0)).init(params), []
    for g, s in zip(grads, FRACTIONS, strict=True):
        params, state = advance(params, state, g, jnp.float32(s))
        found.append(params)
    return found, evaluated(state, params)


# --- directions by hand: (gradient of step t = 1, 2, ..., own memory) -> direction ---


def sgd(w, g, t, m):
    m["b"] = MU * m.get("b", 0) + g
    return m["b"]


def sgd_nesterov(w, g, t, m):
    return g + MU * sgd(w, g, t, m)


def adam(w, g, t, m, b1=B1):
    m["m"] = b1 * m.get("m", 0) + (1 - b1) * g
    m["v"] = B2 * m.get("v", 0) + (1 - B2) * g**2
    return (m["m"] / (1 - b1**t)) / (np.sqrt(m["v"] / (1 - B2**t)) + EPS)


def lion(w, g, t, m):
    before = m.get("m", 0)
    m["m"] = B2 * before + (1 - B2) * g
    return np.sign(B1 * before + (1 - B1) * g)


def adafactor(w, g, t, m):
    b = 1 - t**-0.8
    squares = g.reshape(w.fan_in, w.fan_out) ** 2 + 1e-30
    m["R"] = b * m.get("R", 0) + (1 - b) * squares.mean(axis=1)
    m["C"] = b * m.get("C", 0) + (1 - b) * squares.mean(axis=0)
    u = g / np.sqrt(np.outer(m["R"], m["C"]) / m["R"].mean()).reshape(g.shape)
    return u / max(1, np.sqrt((u**2).mean()))


def muon(w, g, t, m):
    """With the corrections for a start at zero that Dozat 2016 gives Nesterov's form."""
    if w.role != "hidden":
        return adam(w, g, t, m)
    m["m"] = MU * m.get("m", 0) + (1 - MU) * g
    ahead = MU * m["m"] / (1 - MU ** (t + 1)) + (1 - MU) * g / (1 - MU**t)
    x = ahead.reshape(w.fan_in, w.fan_out)
    x = x / np.linalg.norm(x)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return 0.2 * max(x.shape) ** 0.5 * x.reshape(g.shape)


DIRECTIONS = {
    "adamw": adam,
    "sgd": sgd,
    "sgd_nesterov": sgd_nesterov,
    "lion": lion,
    "adafactor": adafactor,
    "muon": muon,
}


def by_hand(name: str) -> list[dict[str, Any]]:
    theta = {key: np.ones(w.shape) for key, w in WEIGHTS.items()}
    memory: dict[str, dict] = {key: {} for key in WEIGHTS}
    found = []
    for t, (grads, s) in enumerate(zip(draws(WEIGHTS), FRACTIONS, strict=True), 1):
        for key, w in WEIGHTS.items():
            u = DIRECTIONS[name](w, grads[key], t, memory[key])
            lam = LAM * (w.role != "gain")
            rate = ETA * (ADAMW if name == "muon" and w.role != "hidden" else 1)
            theta[key] = theta[key] - s * rate * (u + lam * theta[key])
        found.append(dict(theta))
    return found


def assert_near(ours, theirs, rtol=2e-5):
    """Float32 over ten steps; entries are of order one."""
    jax.tree.map(partial(np.testing.assert_allclose, rtol=rtol, atol=rtol), ours, theirs)


def test_every_optimizer_has_its_row_and_its_formula():
    free = {"schedule_free_sgd", "schedule_free_adamw"}
    assert {name for name in NAMES if optimizer(name).averages} == free
    assert set(DIRECTIONS) | free == set(NAMES)


@pytest.mark.parametrize("name", DIRECTIONS)
def test_ten_steps_follow_the_formula(name):
    found, last = train(name, WEIGHTS)
    for ours, theirs in zip(found, by_hand(name), strict=True):
        assert_near(ours, theirs)
    assert last is found[-1]


@pytest.mark.parametrize("name", ["schedule_free_sgd", "schedule_free_adamw"])
def test_ten_steps_of_schedule_free_follow_the_formula(name):
    """x is kept here, and not, as there, worked out from y and z."""
    found, last = train(name, WEIGHTS)
    for key, w in WEIGHTS.items():
        z = x = y = np.ones(w.shape)
        memory: dict[str, Any] = {}
        total, top = 0.0, 0.0
        for t, (grads, s) in enumerate(zip(draws(WEIGHTS), FRACTIONS, strict=True), 1):
            g = grads[key]
            u = g if name == "schedule_free_sgd" else adam(w, g, t, memory, b1=0)
            z = z - s * ETA * (u + LAM * (w.role != "gain") * y)
            top = max(top, s * ETA)
            total += top**2
            x = x + top**2 / total * (z - x)
            y = (1 - B1) * z + B1 * x
            assert_near(found[t - 1][key], y)
        assert_near(last[key], x)
        assert np.abs(x - y).max() > 1e-3


TOGETHER = {
    "layers": lambda w: replace(w, stacked=3),
    "experts": lambda w: replace(w, letters=f"e,{w.letters}", shape=(3, *w.shape)),
}


@pytest.mark.parametrize("how", TOGETHER)
@pytest.mark.parametrize("name", NAMES)
def test_layers_of_a_stack_and_experts_move_as_by_themselves(name, how):
    one = {key: w for key, w in WEIGHTS.items() if key != "embedding"}
    layers = {f"{key}{i}": w for key, w in one.items() for i in range(3)}
    stacked = {key: TOGETHER[how](w) for key, w in one.items()}
    apart, together = train_on(name, layers, layers), train_on(name, stacked, layers)
    for key in one:
        for i in range(3):
            assert_near(together[key][i], apart[f"{key}{i}"], rtol=1e-6)


def train_on(name: str, weights, layers):
    """The last parameters on the gradients of the layers, put together where they are stacked."""
    drawn = draws(layers, 3)
    if weights is not layers:
        drawn = [
            {key: np.stack([g[f"{key}{i}"] for i in range(3)]) for key in weights} for g in drawn
        ]
    table = rules(weights, lambda weight: SP.rule(weight, SHAPE))
    parts = UpdateInputs(hypers(settings(name).science), weights, table, "coupled", jnp.float32(1))
    made = update(name, "last", parts)
    params = jax.tree.map(lambda g: jnp.ones(g.shape), drawn[0])
    state = made.init(params)
    advance = jax.jit(made.update)
    for grads in jax.tree.map(jnp.float32, drawn):
        updates, state = advance(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params


def test_average_is_the_weighted_mean_of_all_parameters_so_far():
    """d = 0.999: after ten steps nearly their plain mean."""
    found, last = train("sgd", WEIGHTS, "ema")
    weights = 0.999 ** np.arange(9, -1, -1)
    mean = jax.tree.map(
        lambda *values: np.average(np.stack(values), axis=0, weights=weights), *found
    )
    assert_near(last, mean, rtol=1e-4)  # 1 - d^t is a difference of numbers near 1
    plain, _ = train("sgd", WEIGHTS)
    jax.tree.map(np.testing.assert_array_equal, found, plain)


# --- as runs ---

WALKS = (np.random.default_rng(0).integers(-1, 3, (8, 4, 17)).cumsum(-1) % 256).astype(np.int32)


def run(name: str, *assignments: str) -> RunConfig:
    return tiny.config(f"optimizer.name={name}", "schedule.name=constant", *assignments)


@cache
def chunk(name: str, weights: str) -> Any:
    made = recipe(run(name, f"evaluation.weights={weights}"))
    return jax.jit(partial(init_state, made)), jax.jit(partial(train_chunk, made))


@pytest.mark.parametrize(("name", "weights"), [("muon", "ema"), ("schedule_free_adamw", "last")])
def test_member_of_a_population_is_its_solo_run(name, weights):
    made = recipe(run(name, f"evaluation.weights={weights}"))
    init, alone = chunk(name, weights)
    members = [
        hypers(run(name, *changes).science)
        for changes in (
            ("optimizer.learning_rate=0.01", "optimizer.momentum=0.5"),
            ("seed=1", "optimizer.beta1=0.5", "evaluation.ema_decay=0.5", "budget.tokens=320"),
        )
    ]
    states = [init(h) for h in members]
    stack = partial(jax.tree.map, lambda *x: jnp.stack(x))
    population = jax.jit(jax.vmap(partial(train_chunk, made), in_axes=(0, 0, None)))
    together, rows = population(stack(*states), stack(*members), WALKS)
    for k, (leaves, state) in enumerate(zip(members, states, strict=True)):
        solo, solo_rows = alone(state, leaves, WALKS)
        np.testing.assert_allclose(rows["loss"][k], solo_rows["loss"], rtol=1e-5)
        mine = jax.tree.map(lambda x, k=k: x[k], together)
        judged = [evaluated(s.optimizer, s.params) for s in (mine, solo)]
        assert_near(*judged, rtol=1e-4)
    assert rows["loss"][0][7] < rows["loss"][0][0] - 0.05
    assert rows["loss"][1][5] == 0  # its five steps are done


@pytest.mark.parametrize("name", NAMES)
def test_state_of_every_optimizer_comes_back_from_a_checkpoint(name, tmp_path):
    weights = "last" if optimizer(name).averages else "ema"
    config = run(name, f"evaluation.weights={weights}")
    shapes = jax.eval_shape(partial(init_state, recipe(config)), hypers(config.science))
    blank, state = (
        jax.tree.map(lambda s, n=n: jnp.full(s.shape, n, s.dtype), shapes) for n in (0, 3)
    )
    with Checkpoints(tmp_path / "c") as kept:
        kept.save(1, state)
    with Checkpoints(tmp_path / "c") as kept:
        back = kept.restore(blank)
    assert isinstance(back, TrainState)
    jax.tree.map(np.testing.assert_array_equal, back, state)
    count = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    size = sum(leaf.size for leaf in jax.tree.leaves(state.optimizer))
    assert size <= config.science.state_copies * count + 0.1 * count  # rows, columns and counters


def test_evaluation_is_of_the_weights_that_the_config_names():
    config = run("sgd", "evaluation.weights=ema", "evaluation.ema_decay=0.5")
    made, leaves = recipe(config), hypers(config.science)
    advance = jax.jit(partial(step, made))
    after, _ = advance(jax.jit(partial(init_state, made))(leaves), leaves, WALKS[0])
    again, _ = advance(after, leaves, WALKS[1])
    mean = jax.tree.map(lambda a, b: (a + 2 * b) / 3, after.params, again.params)
    windows = WALKS[2]
    judged = jax.jit(partial(loss, made.spec))
    found = float(jax.jit(partial(evaluate, made))(again, windows[None]))
    assert found == pytest.approx(float(judged(mean, windows)), rel=1e-6)
    assert found != pytest.approx(float(judged(again.params, windows)), rel=1e-5)


# --- refusals ---


@pytest.mark.parametrize("name", NAMES)
def test_optimizer_without_a_rule_is_refused_in_one_line(name):
    families = {*optimizer(name).families} - {"normalised"}
    run(name, "parametrization.name=mup")
    if not families:
        run(name, "parametrization.name=umup")
        return
    message = rf"^parametrization\.name=umup: no rule for an optimizer of {families.pop()} updates"
    with pytest.raises(UserError, match=message) as caught:
        run(name, "parametrization.name=umup")
    assert "\n" not in str(caught.value)


def test_muon_has_the_rules_of_both_of_its_families():
    wide = ("model.width=64", "model.head_dim=32", "parametrization.base_width=16")
    made = recipe(run("muon", "parametrization.name=mup", *wide))
    table = made.rules["blocks_0"]
    assert table["attention"]["out"].learning_rate == pytest.approx(1 / 2)  # m^-1/2, Adam's m^-1
    assert table["attention"]["query"].learning_rate == pytest.approx(1 / 2)
    assert table["attention_norm"]["gain"].learning_rate == 1
    assert made.rules["embedding"].epsilon == pytest.approx(1 / 4)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("schedule.name=cosine", r"^schedule\.name=cosine: .* set schedule\.name=constant$"),
        ("evaluation.weights=ema", r"^evaluation\.weights=ema: .* set evaluation\.weights=last$"),
        ("optimizer.beta1=0.0", r"^optimizer\.beta1=0: .* set it above 0"),
    ],
)
def test_schedule_free_is_refused_what_it_cannot_have(assignment, message):
    with pytest.raises(UserError, match=message):
        run("schedule_free_sgd", assignment)


def test_unknown_optimizer_is_told_the_nearest():
    with pytest.raises(UserError, match=r"^optimizer\.name=moun: did you mean 'muon'\?$"):
        run("moun")
    with pytest.raises(UserError, match=r"optimizer\.name=moun: did you mean 'muon'\?$"):
        replace(run("sgd").science, optimizer=OptimizerConfig(name="moun"))


SIGNUM = """
from experiments.config.optimizer import Optimizer

def chain(s):
    import jax, jax.numpy as jnp, optax
    from experiments.training.update import descend
    sign = optax.stateless(lambda b, params: jax.tree.map(jnp.sign, b))
    return optax.trace(s.hypers.momentum), sign, descend(s)

OPTIMIZER = Optimizer(chain, family="normalised", copies=1)
"""


def test_an_optimizer_is_added_as_one_file(tmp_path) -> None:
    """Signed momentum (Bernstein et al. 2018) moves every parameter by the rate, and descends."""
    with plugged(tmp_path, {"experiments.training.optimizers.signum": SIGNUM}):
        config = tiny.config("optimizer.name=signum", "optimizer.weight_decay=0.0")
        made, leaves = recipe(config), hypers(config.science)
        state, losses = jax.jit(partial(init_state, made))(leaves), []
        batch = jax.random.randint(jax.random.key(0), (4, 17), 0, 256)
        advance = jax.jit(partial(step, made))
        for _ in range(10):
            before, (state, metrics) = state, advance(state, leaves, batch)
            losses.append(float(metrics["loss"]))
    assert losses[-1] < losses[0] - 0.1
    for a, b in zip(*map(jax.tree.leaves, (before.params, state.params)), strict=True):
        moves = np.abs(b - a) / metrics["learning_rate"]
        assert {*np.unique(np.round(moves, 2))} <= {0.0, 1.0}
    with pytest.raises(UserError, match=r"optimizer\.name=sgdd: did you mean 'sgd'"):
        tiny.config("optimizer.name=sgdd")
