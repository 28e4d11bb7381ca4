"""Operations by name: what each keeps, typed settings, refusals, and one added as one file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import operated
import pytest
from plugged import plugged

from experiments import operations
from experiments.config.run import RunConfig
from experiments.operations import Arrays, Blueprint, operation
from experiments.plan.deriving import is_field
from scaling.common import plugins
from scaling.common.alphabet import parse
from scaling.common.errors import UserError

SIGN = """
import numpy as np
from experiments.operations import Operation

def sign(parents, plan, *, scale: float = 1.0):
    return {name: np.float32(scale) * np.sign(array) for name, array in parents[0].items()}

OPERATION = Operation(sign, keeps=())
"""
WIDER = ("model.width=32", "model.heads=4", "model.kv_heads=4", "model.ffn=64")


class Case(NamedTuple):
    """The parents, the child's changed fields, and settings by which an operation is tried."""

    parents: int = 1
    child: tuple[str, ...] = ()
    settings: Mapping[str, Any] = {}


CASES = {
    "average": Case(3, settings={"weights": (1.0, 2.0, 1.0)}),
    "task_arithmetic": Case(3, settings={"scale": 0.7}),
    "continue": Case(),
    "slerp": Case(2, settings={"t": 0.3}),
    "ties": Case(3, settings={"keep": 0.3}),
    "dare": Case(3, settings={"drop": 0.5}),
    "stack": Case(child=("model.layers=6",)),
    "interpolate": Case(child=("model.layers=6",)),
    "random": Case(child=("model.layers=3", *WIDER)),
    "zero": Case(child=("model.layers=3", *WIDER)),
    "split": Case(child=WIDER),
    "distill": Case(2, ("model.layers=3",), {"temperature": 2.0}),
    "prune": Case(settings={"density": 0.3}),
    "quantize": Case(settings={"bits": 4}),
}
FOUND = plugins.names(operations.__name__)


def tried(name: str, case: Case, alike: bool = False, extra: tuple[str, ...] = ()):
    """The parents' arrays, the plan, and the child of a case."""
    parent, child = operated.config(*extra), operated.config(*extra, *case.child)
    plan = operated.plan([parent] * case.parents, child)
    parents = [operated.drawn(parent, 0 if alike else i) for i in range(case.parents)]
    return parents, plan, operations.apply(name, parents, plan, case.settings), parent, child


def keeps_function(name: str, case: Case) -> None:
    extra = ("parametrization.name=mup", "parametrization.base_width=8")
    parents, _, made, parent, child = tried(name, case, extra=extra)
    before, after = operated.logits(parent, parents[0]), operated.logits(child, made)
    assert before.std() > 0.01
    np.testing.assert_allclose(after, before, atol=3e-4 * np.abs(before).max())  # norms' epsilon


def keeps_equals(name: str, case: Case) -> None:
    parents, _, made, _, _ = tried(name, case, alike=True)
    for key, array in parents[0].items():
        np.testing.assert_allclose(made[key], array, rtol=1e-6, err_msg=key)


def keeps_norm(name: str, case: Case) -> None:
    parent = operated.config()
    plan = operated.plan([parent] * case.parents, parent)
    drawn = [operated.drawn(parent, i) for i in range(case.parents)]
    unit = [{key: array / np.linalg.norm(array) for key, array in each.items()} for each in drawn]
    for key, array in operations.apply(name, unit, plan, case.settings).items():
        assert np.linalg.norm(array) == pytest.approx(1, rel=1e-5), key


def keeps_count(name: str, case: Case) -> None:
    _, plan, made, _, _ = tried(name, case)
    counted = 0
    for key, weight in plan.child.weights.items():
        kept, counted = (made[key] != 0).sum(), counted + (weight.role == "hidden")
        share = case.settings["density"] if weight.role in ("hidden", "query") else 1
        assert kept == round(share * weight.size), key
    assert counted


def keeps_maximum(name: str, case: Case) -> None:
    parents, plan, made, _, _ = tried(name, case)
    for key, weight in plan.child.weights.items():
        axes = tuple(range(len(parse(weight.letters).inputs)))
        before, after = (np.abs(each[key]).max(axes) for each in (parents[0], made))
        np.testing.assert_allclose(after, before, rtol=1e-6, err_msg=key)


CHECKS: Mapping[operations.Keeps, Callable[[str, Case], None]] = {
    "function": keeps_function,
    "equals": keeps_equals,
    "norm": keeps_norm,
    "count": keeps_count,
    "maximum": keeps_maximum,
}


@pytest.mark.parametrize("name", FOUND)
def test_an_operation_keeps_what_it_says(name: str) -> None:
    found = operation(name)
    for what in found.keeps:
        CHECKS[what](name, CASES[name])
    made = tried(name, CASES[name])[2]
    assert all(array.dtype == np.float32 for array in made.values())
    settings = inspect.signature(found.make).parameters
    assert not [each for each in settings if is_field(each)]  # `derived` tells the two apart


def test_every_operation_and_every_word_is_tried() -> None:
    assert set(FOUND) == CASES.keys()
    assert set(CHECKS) == set(operations.WORDS)
    assert {what for name in FOUND for what in operation(name).keeps} == set(CHECKS)


def test_settings_are_of_the_type_that_the_operation_names() -> None:
    config = operated.config()
    plan = operated.plan([config] * 2, config)
    parents = [{"w": np.full((2, 2), value, np.float32)} for value in (1.0, 3.0)]
    made = operations.apply("average", parents, plan, {"weights": (1, np.float64(3))})
    np.testing.assert_array_equal(made["w"], np.full((2, 2), 2.5))


PAIR, DEEP = [()] * 2, ("model.layers=4",)
REFUSALS: list[tuple[str, list[tuple[str, ...]], tuple[str, ...], dict[str, Any], str]] = [
    ("averag", PAIR, (), {}, r"did you mean 'average'\?$"),
    ("average", PAIR, (), {"weight": (1.0,)}, r"no setting 'weight'; did you mean 'weights'\?$"),
    ("average", PAIR, (), {"weights": 1.0}, r"weights=1\.0: expected a tuple"),
    ("average", PAIR, (), {"weights": (1.0,)}, "1 weights for 2 parents; give one for each"),
    ("average", PAIR, (), {"weights": (1.0, -1.0)}, "their sum must be finite and not 0"),
    ("average", [(), DEEP], (), {}, "is .* in parent 2 and absent in the child; choose runs of"),
    ("average", [(), ("model.ffn=64",)], (), {}, r"\(16, 64\) in parent 2 and \(16, 32\) in the"),
    ("average", [("data.tokenizer=bpe",)], (), {}, "the tokens of parent 1 are 256 byte pairs"),
    ("average", PAIR, (), {"state": "kept"}, "state=kept: it makes none; set state=fresh or mapp"),
    ("ties", PAIR, (), {"state": "mapped"}, "state=mapped: it makes none; set state=fresh"),
    ("task_arithmetic", PAIR, (), {"scale": "x"}, "scale='x': expected float$"),
    ("slerp", [()] * 3, (), {}, "3 parents; give 2"),
    ("slerp", PAIR, (), {"t": 1.5}, "t=1.5: must lie between 0 and 1"),
    ("ties", PAIR, (), {"keep": 0.0}, "keep=0.0: must be positive and at most 1"),
    ("dare", PAIR, (), {"drop": 1.0}, "drop=1.0: must be at least 0 and below 1"),
    ("stack", [()], ("model.layers=3",), {}, "model.layers=3 is no multiple of the parent's 2"),
    ("stack", [()], (*DEEP, "model.ffn=64"), {}, "has 32 of 'f' in the parent and 64 in the child"),
    ("stack", [()], (*DEEP, "model.mlp=swiglu"), {}, "model.mlp=swiglu and the parent's gelu"),
    ("split", [()], ("model.ffn=48",), {}, "has 48 of 'f', no growth of the parent's 32 that fits"),
    ("split", [()], DEEP, {}, "model.layers=4 and the parent's 2: it grows the width alone"),
    ("zero", [()], ("model.kv_heads=1",), {}, "has 1 of 'g', no growth of the parent's 2"),
    ("random", [DEEP], (), {}, "model.layers=2 is below the parent's 4; growth adds layers"),
    ("prune", [()], (), {}, "no 'density', which it needs; set it"),
    ("prune", [()], (), {"density": 0.0}, "density=0.0: must be positive and at most 1"),
    ("prune", [()], (), {"density": 1.1}, "density=1.1: must be positive and at most 1"),
    ("prune", [()], (), {"density": 0.5, "unit": "row"}, "unit=row: known: head, neuron, weight"),
    ("distill", [("data.tokenizer=bpe",)], (), {}, "the tokens of parent 1 are 256 byte pairs"),
    ("distill", [("model.vocab_size=300",)], (), {}, "teacher 1 has 300 logits, and the student 2"),
    ("distill", [()], (), {"share": 1.5}, "share=1.5: must lie between 0 and 1"),
    ("distill", [()], (), {"temperature": 0.0}, "temperature=0.0: must be positive and finite"),
    ("quantize", [()], (), {"bits": 1}, "bits=1: must lie between 2 and 16"),
]


@pytest.mark.parametrize(("name", "parents", "child", "settings", "message"), REFUSALS)
def test_mistake_is_one_line_before_anything_is_trained(
    name, parents, child, settings, message
) -> None:
    plan = operated.plan([operated.config(*each) for each in parents], operated.config(*child))
    with pytest.raises(UserError, match=message) as error:
        operations.check(name, plan, settings)
    assert str(error.value).startswith(f"operation '{name}': ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["task_arithmetic", "ties", "dare"])
def test_differences_are_taken_from_a_common_base(name) -> None:
    config = operated.config()
    strangers = operated.plan([config] * 2, config, based=False)
    with pytest.raises(UserError, match="does not descend from parent 1"):
        operations.check(name, strangers, {})
    operations.check("average", strangers, {})


def test_a_tied_readout_has_no_split_under_sp_and_has_one_under_mup() -> None:
    def check(*extra: str) -> None:
        tied = ("model.embeddings=tied", *extra)
        plan = operated.plan([operated.config(*tied)], operated.config(*tied, *WIDER))
        operations.check("split", plan, {})

    with pytest.raises(UserError, match=r"would scale the logits; set model\.embeddings=untied"):
        check()
    check("parametrization.name=mup")


def test_an_operation_is_added_as_one_file(tmp_path) -> None:
    config = operated.config()
    plan: Blueprint = operated.plan([config], config)
    parents: list[Arrays] = [{"w": np.full((2, 2), 3.0, np.float32)}]
    with plugged(tmp_path, {"experiments.operations.sign": SIGN}):
        operations.check("sign", plan, {"scale": 2})
        made = operations.apply("sign", parents, plan, {"scale": 2})
    np.testing.assert_array_equal(made["w"], np.full((2, 2), 2.0))
    with pytest.raises(UserError, match=r"^operation 'sign': "):
        operations.check("sign", plan, {})
    assert isinstance(config, RunConfig)
