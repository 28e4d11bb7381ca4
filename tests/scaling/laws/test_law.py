"""A law's own mistakes are one line; held and tied parameters are checked and returned."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from scaling import laws
from scaling.common.errors import UserError
from scaling.laws import Law, Parameter, exponent, offset, positive, real

WHOLE = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
POINT = {"params": 1e9, "tokens": 2e10}


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, "1.8", None, [1.8]])
def test_a_given_value_is_a_number_in_the_range_of_its_parameter(value):
    with pytest.raises(UserError, match="E = "):
        laws.chinchilla.given(E=value)
    with pytest.raises(UserError, match=r"alpha = -0.3 is no value .* above 0"):
        laws.chinchilla.given(alpha=-0.3)


@pytest.mark.parametrize(
    ("narrow", "message"),
    [
        (lambda law: law.given(E=1.8).given(E=1.9), "E = 1.8 already"),
        (lambda law: law.tied(beta="alpha").given(beta=0.3), "beta = alpha already"),
        (lambda law: law.tied(beta="beta"), "ties beta to itself"),
        (lambda law: law.tied(alpha="beta", beta="alpha"), "ties beta to itself"),
        (lambda law: law.tied(beta="gamma"), "no parameter 'gamma'"),
    ],
)
def test_relations_that_make_no_sense(narrow, message):
    with pytest.raises(UserError, match=message):
        narrow(laws.chinchilla)


def test_ties_follow_each_other_and_given_values():
    law = laws.kaplan.tied(alpha_D="alpha_N").given(alpha_N=0.08)
    assert law.parameters == ("N_c", "D_c")
    assert dict(law.fixed) == {"alpha_N": 0.08, "alpha_D": 0.08}
    later = laws.kaplan.given(alpha_N=0.08).tied(alpha_D="alpha_N")
    assert later.fixed == law.fixed
    chain = laws.chinchilla.tied(A="B").tied(B="E")
    assert chain.filled({"E": 2.0, "alpha": 0.3, "beta": 0.4})["A"] == 2.0


def test_all_constants_may_be_given_back_to_a_narrowed_law():
    law = laws.chinchilla.given(E=1.8).tied(beta="alpha")
    free = {"A": 480.0, "B": 2100.0, "alpha": 0.35}
    whole = {**WHOLE, "beta": 0.35}
    assert law.predict(whole, **POINT) == law.predict(free, **POINT)
    assert law.predict(free, **POINT) == laws.chinchilla.predict(whole, **POINT)
    assert law.constant == "E"
    with pytest.raises(UserError, match=r"beta = 0\.37 is against its relations"):
        law.predict(WHOLE, **POINT)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: positive("A", low=2.0, high=1.0), "low=2.0, high=1.0"),
        (lambda: positive("A", 5.0, high=1.0), "start 5.0 is outside"),
        (lambda: positive("A", low=0.0), "0 < low < high"),
        (lambda: exponent("a", "steep"), "must be numbers"),  # type: ignore[arg-type]
        (lambda: offset("E", high=-1.0), "low < high"),
    ],
)
def test_mistakes_of_a_parameter(make, message):
    with pytest.raises(UserError, match=message):
        make()


def test_starts_are_given_one_by_one_or_not_at_all():
    assert exponent("a", 0.3).starts == exponent("a", (0.3,)).starts == (0.3,)
    for each in (positive("A"), positive("A", low=5.0), real("b", low=1.0), exponent("a")):
        assert each.starts and all(each.low <= at <= each.high for at in each.starts)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variables": "params"}, "tuple of names"),
        ({"variables": ("x", "x")}, "two of its variables"),
        ({"space": ()}, "tuple of parameters"),
        ({"space": ("E", "A")}, "tuple of parameters"),
        ({"space": (exponent("a"), exponent("a"))}, "two of its parameters"),
        ({"formula": "E + A"}, "must be a function"),
        ({"space": (positive("a", within=("y", 1, 1)),)}, "within needs a variable or the loss"),
        (
            {"space": (positive("a", within=("loss", 0, 1)),), "variables": ("x", "loss")},
            "none of both names",
        ),
    ],
)
def test_mistakes_of_a_law(change, message):
    whole = {
        "variables": ("x",),
        "space": (exponent("a"),),
        "formula": lambda xp, p, x: x["x"] ** -p["a"],
    }
    with pytest.raises(UserError, match=f"law 'mine': .*{message}"):
        Law("mine", form="", **{**whole, **change})


def test_arguments_of_predict_that_do_not_go_together():
    with pytest.raises(UserError, match="params, tokens"):
        laws.chinchilla.predict(WHOLE, params=[1e9, 2e9], tokens=np.ones(3))
    with pytest.raises(UserError, match="could not convert"):
        laws.chinchilla.predict(WHOLE, params="1B", tokens=1e9)
    with pytest.raises(UserError, match="int too large"):
        laws.chinchilla.predict(WHOLE, params=10**400, tokens=1e9)
    with pytest.raises(UserError, match=r"^flops: could not convert"):
        laws.chinchilla.optimal(WHOLE, "1e22 FLOPs")


def test_series_go_together_by_their_labels():
    params, tokens = pd.Series([1e9, 2e9]), pd.Series([1e10, 2e10])
    by_position = laws.chinchilla.predict(WHOLE, params=params, tokens=tokens.to_numpy()[::-1])
    assert by_position.shape == (2,)
    for unlike in (tokens[::-1], tokens.set_axis(["a", "b"]), tokens[:1]):
        with pytest.raises(UserError, match="params, tokens: the labels of their indexes differ"):
            laws.chinchilla.predict(WHOLE, params=params, tokens=unlike)


def test_every_law_counts_as_its_source_says():
    """The column of a variable is that of the published convention, where it names one."""
    seen = 0
    for law in laws.LAWS.values():
        for entry in law.published:
            if "params" in law.variables and "(params_" in entry.convention.params:
                assert f"({law.columns['params']})" in entry.convention.params, law.name
                seen += 1
    assert seen > 5
    assert all(isinstance(each, Parameter) for law in laws.LAWS.values() for each in law.space)
