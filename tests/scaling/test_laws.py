"""Laws as objects: prediction, closed-form allocation, published constants, registry."""

from __future__ import annotations

import numpy as np
import pytest

from scaling import laws
from scaling.common.errors import UserError

KNOWN = {"E": 1.7, "A": 400.0, "B": 2000.0, "alpha": 0.35, "beta": 0.37}


def test_chinchilla_by_hand():
    known = {"E": 1.0, "A": 8.0, "B": 27.0, "alpha": 1 / 3, "beta": 1 / 3}
    assert laws.chinchilla.predict(known, params=64.0, tokens=27.0) == pytest.approx(1 + 2 + 9)


def test_laws_are_the_objects_even_after_importing_their_modules():
    import scaling.laws.chinchilla
    import scaling.laws.power  # noqa: F401

    assert isinstance(laws.chinchilla, laws.Law)
    assert laws.LAWS["chinchilla"] is laws.chinchilla
    assert laws.by_name("power_law") is laws.power_law


def test_parameters_broadcast_against_variables():
    many = {name: np.full((3, 1), value) for name, value in KNOWN.items()}
    loss = laws.chinchilla.predict(many, params=np.array([1e8, 1e9]), tokens=1e10)
    assert loss.shape == (3, 2)
    assert loss.dtype == np.float64


def test_float32_input_is_computed_in_float64():
    loss = laws.chinchilla.predict(KNOWN, params=np.float32(2.0**27), tokens=np.float32(2.0**33))
    assert loss == pytest.approx(
        float(laws.chinchilla.predict(KNOWN, params=2.0**27, tokens=2.0**33)), rel=1e-15
    )


@pytest.mark.parametrize("entry", laws.chinchilla.published, ids=lambda entry: entry.name)
def test_allocation_is_the_minimum_along_the_budget(entry: laws.Published):
    flops = 5.76e23
    params, tokens = laws.chinchilla.optimal(entry.values, flops)
    assert 6 * params * tokens == pytest.approx(flops, rel=1e-12)
    best = laws.chinchilla.predict(entry.values, params=params, tokens=tokens)
    for shift in (0.97, 1.03):
        near = laws.chinchilla.predict(entry.values, params=params * shift, tokens=tokens / shift)
        assert near > best


def test_published_optimum_of_the_refit():
    """About 18 tokens per parameter at Chinchilla's budget, against 59 as first published."""
    ratios = {}
    for name in ("hoffmann2022", "besiroglu2024_huber"):
        params, tokens = laws.chinchilla.optimal(laws.chinchilla.constants(name).values, 5.76e23)
        ratios[name] = tokens / params
    assert ratios["besiroglu2024_huber"] == pytest.approx(17.9, abs=0.1)
    assert ratios["hoffmann2022"] == pytest.approx(59.3, rel=0.02)


def test_published_sets_carry_their_conventions():
    published = [(law, entry) for law in laws.LAWS.values() for entry in law.published]
    assert len(published) > 20
    for law, entry in published:
        assert set(entry.values) == set(law.parameters)
        kept = entry.convention
        assert all((kept.params, kept.tokens, kept.loss, entry.source))


def test_unknown_names_say_the_nearest():
    with pytest.raises(UserError, match="did you mean 'chinchilla'"):
        laws.by_name("chinchila")
    with pytest.raises(UserError, match="did you mean 'tokens'"):
        laws.chinchilla.predict(KNOWN, params=1.0, token=1.0)
    with pytest.raises(UserError, match="'beta' is missing"):
        laws.chinchilla.optimal({k: v for k, v in KNOWN.items() if k != "beta"}, 1e20)
    with pytest.raises(UserError, match=r"no constants 'besiroglu'.*did you mean 'besiroglu2024'"):
        laws.chinchilla.constants("besiroglu")


def test_a_law_without_allocation_says_so():
    with pytest.raises(UserError, match="no allocation"):
        laws.power_law.optimal({"E": 1.0, "A": 1.0, "alpha": 0.1}, 1e20)
