"""The start of a derived run: an operation on its parents' parameters, and the optimizer's state.

A parent gives the parameters that it is evaluated by: its last, or their average.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp

from experiments import operations, record
from experiments.config.run import Science
from experiments.operations import Arrays, Blueprint, Model
from experiments.plan.run import TEACHING, Derived, Run
from experiments.record import Status
from experiments.runs.job import Job
from experiments.runs.layer_stacking import is_params
from experiments.training.exports.single_file import from_arrays, kept_state, name, to_arrays
from experiments.training.hypers import hypers
from experiments.training.objective import Teaching
from experiments.training.step import Recipe, TrainState, evaluated, fresh_state, recipe
from experiments.training.update import evaluated as averaged
from models.config import TransformerConfig
from models.module import Spec
from models.transformer import weights
from scaling.common.errors import UserError
from scaling.machines.layout import Layout
from scaling.parametrization.parametrization import Parametrization
from scaling.parametrization.weight import Weight

MAPPED = ("adamw", "lion", "sgd", "sgd_nesterov")  # whose moments are shaped like the parameters


def derived_state(job: Job, derived: Derived, like: TrainState) -> TrainState:
    """The state before the first step, placed as `like` is.

    Raises:
        UserError: a parent is not completed, or the operation cannot make the child.
    """
    science = job.run.config.science
    for parent in derived.parents:
        check_parent(job, parent)
    places = [(job.folder.parent / parent.run_id, step) for parent, step in derived.sources]
    found = [kept_state(*place) for place in places]
    made = recipe(job.run.config)
    plan = blueprint(job.run, lambda: to_arrays(made, like.params))

    def apply(arrays: Sequence[Arrays]) -> Any:
        result = operations.apply(derived.operation, arrays, plan, derived.settings)
        return from_arrays(made, result, f"operation '{derived.operation}'")

    states = [(of, averaged(state.optimizer, state.params)) for _, _, of, state in found]
    params = apply([to_arrays(of, params) for of, params in states])
    state = jax.jit(lambda h, p: fresh_state(made, h, p))(hypers(science), params)
    if operations.state(derived.operation, derived.settings) == "mapped":
        kept = [(of, state.optimizer) for _, _, of, state in found]
        state = state.replace(optimizer=_mapped(state.optimizer, kept, apply))

    def placed(leaf: Any, at: Any) -> Any:
        return jax.device_put(leaf, at.sharding)

    moved: TrainState = jax.tree.map(placed, state, like)
    return moved


def taught(job: Job, made: Recipe) -> Recipe:
    """The recipe of a run with the models of its teachers."""
    return replace(made, teachers=tuple(_alone(run).spec for run, _ in job.run.teachers))


def _alone(run: Run) -> Recipe:
    """The recipe of a run on one device."""
    execution = replace(run.config.execution, layout=Layout())
    return recipe(replace(run.config, execution=execution))


def teaching(job: Job) -> Teaching | None:
    """The teachers' parameters, those that each is evaluated by; None of a run without teachers.

    Raises:
        UserError: a teacher is not completed.
    """
    begun = job.run.beginning
    if not isinstance(begun, Derived) or not begun.teachers:
        return None
    found = []
    for teacher, step in begun.teachers:
        check_parent(job, teacher)
        _, _, of, state = kept_state(job.folder.parent / teacher.run_id, step)
        arrays = to_arrays(of, evaluated(of, state))
        found.append(from_arrays(_alone(teacher), arrays, f"teacher {teacher.run_id}"))
    given = operations.settings(begun.operation, begun.settings)
    return Teaching(
        share=jnp.float32(given["share"]),
        temperature=jnp.float32(given["temperature"]),
        teachers=jax.tree.map(jnp.asarray, tuple(found)),
    )


def check_parent(job: Job, parent: Run) -> None:
    """Check that a parent has completed.

    Raises:
        UserError: it has not.
    """
    status = record.run_status(job.folder.parent / parent.run_id)
    if status is not Status.COMPLETED:
        raise UserError(f"cannot begin, for its parent {parent.run_id} is {status}; train it first")


def blueprint(run: Run, fresh: Callable[[], Arrays]) -> Blueprint:
    """The descriptions that the operation of a derived run needs; opens no device.

    Args:
        fresh: the run's own initial parameters, called by operations that draw.
    """
    parents = tuple(describe(parent) for parent in run.beginning.parents)
    return Blueprint(parents, describe(run), run.config.science.seed, fresh)


def check(run: Run) -> None:
    """Check the derivation of a planned run, before any training.

    Raises:
        UserError: no such operation or setting, a refusal of the operation, a checkpoint that no
            parent keeps, or a state of the optimizer that cannot be mapped.
    """
    begun = run.beginning
    if not isinstance(begun, Derived):
        if run.config.science.steps == 0:
            raise UserError("budget.tokens=0: a run that begins fresh needs training; give more")
        return
    operations.check(begun.operation, blueprint(run, dict), begun.settings)
    for parent, step in begun.sources:
        permanent = parent.config.execution.permanent
        if step not in (parent.config.science.steps, *permanent):
            raise UserError(
                f"operation '{begun.operation}': step {step} of run {parent.run_id} is not kept; "
                f"add it to its execution.permanent={permanent}"
            )
    if operations.state(begun.operation, begun.settings) == "mapped":
        _check_mapped(run.config.science, begun)
    if begun.teachers:
        _check_taught(run)


def _check_taught(run: Run) -> None:
    science, layout = run.config.science, run.config.execution.layout.name
    where = f"operation '{TEACHING}'"
    if layout != "single":
        raise UserError(
            f"{where}: execution.layout.name={layout}: no layout shares out teachers; set single"
        )
    for teacher, _ in run.teachers:
        theirs = teacher.config.science
        lengths = theirs.batch.seq_len, science.batch.seq_len
        if theirs.model.positions == "learned" and lengths[0] != lengths[1]:
            raise UserError(
                f"{where}: batch.seq_len={lengths[1]}, and {lengths[0]} learned positions of the "
                f"teacher {teacher.run_id}; choose one length"
            )


def _check_mapped(science: Science, begun: Derived) -> None:
    where = f"operation '{begun.operation}': {operations.STATE}=mapped"
    for each in (science, *(parent.config.science for parent in begun.parents)):
        if each.tuning.method != "all":
            raise UserError(
                f"{where}: no map where tuning.method={each.tuning.method}; set "
                f"{operations.STATE}=fresh"
            )
        if each.optimizer.name not in MAPPED or each.evaluation.weights != "last":
            raise UserError(
                f"{where}: the state of {each.optimizer.name} with evaluation.weights="
                f"{each.evaluation.weights} has no map; set {operations.STATE}=fresh"
            )
        if each.optimizer.name != science.optimizer.name:
            raise UserError(
                f"{where}: a parent's state is of {each.optimizer.name}, the child's of "
                f"{science.optimizer.name}; set {operations.STATE}=fresh"
            )


def _mapped(
    fresh: Any, parents: Sequence[tuple[Recipe, Any]], apply: Callable[[Sequence[Arrays]], Any]
) -> Any:
    """The optimizer's state with the operation applied to each part shaped like the parameters."""

    def part(ours: Any, *theirs: Any) -> Any:
        if not is_params(ours):
            return theirs[0]
        pairs = zip(parents, theirs, strict=True)
        return apply([to_arrays(of, tree) for (of, _), tree in pairs])

    states = (state for _, state in parents)
    return jax.tree.map(part, fresh, *states, is_leaf=is_params)


def describe(run: Run) -> Model:
    """The model of a run as an operation sees it."""
    science = run.config.science
    data = science.data
    words = {
        "bytes": "bytes",
        "bpe": f"{data.vocab_size} byte pairs of the corpus {data.fingerprint}",
        "file": f"of {data.tokenizer_file}",
    }
    found = _model(science.model, science.parametrization, science.batch.seq_len)
    return replace(
        found,
        vocabulary=words[data.tokenizer],
        run_id=run.run_id,
        ancestors=run.ancestors,
    )


@lru_cache(maxsize=256)
def _model(config: TransformerConfig, rules: Parametrization, seq_len: int) -> Model:
    tree = weights(Spec(config, rules), seq_len)
    table: list[Weight] = jax.tree.leaves(tree, is_leaf=lambda x: isinstance(x, Weight))
    found: Mapping[str, Weight] = {
        name(weight, layer): replace(weight, layer=layer, stacked=0)
        for weight in table
        for layer in (weight.layers(config.layers) if weight.stacked else [weight.layer])
    }
    return Model(
        config=config,
        weights=found,
        multipliers={key: rules.rule(each, config).multiplier for key, each in found.items()},
        residual=rules.residual_factor(config),
        tied=rules.tied_readout_factor(config) if config.embeddings == "tied" else 1.0,
        vocabulary="",
    )
