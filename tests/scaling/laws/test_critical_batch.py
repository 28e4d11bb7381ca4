from __future__ import annotations

import numpy as np
import pytest

from scaling.laws.critical_batch import (
    critical_batch,
    critical_batch_of_size,
    overhead_batch,
    steps_at,
    steps_min,
    steps_to_loss,
    tokens_at,
    tokens_min,
)

BATCHES = np.array([1e3, 1e5, 6e5, 1e8])


def test_every_point_is_on_the_hyperbola():
    """(S / S_min - 1)(E / E_min - 1) = 1 with E = B S, at any batch."""
    steps = steps_at(BATCHES, 5000.0, 6e5)
    tokens = tokens_at(BATCHES, 5000.0 * 6e5, 6e5)
    assert tokens == pytest.approx(BATCHES * steps)
    assert (steps / 5000 - 1) * (tokens / (5000 * 6e5) - 1) == pytest.approx(np.ones(4))


def test_solved_forms_invert_it():
    assert steps_min(steps_at(BATCHES, 5000.0, 6e5), BATCHES, 6e5) == pytest.approx([5000.0] * 4)
    assert tokens_min(tokens_at(BATCHES, 3e9, 6e5), BATCHES, 6e5) == pytest.approx([3e9] * 4)


def test_at_the_critical_batch_all_doubles():
    assert steps_at(6e5, 5000.0, 6e5) == 10000.0
    assert tokens_at(6e5, 3e9, 6e5) == 6e9


def test_the_law_is_the_hyperbola():
    values = {"S_min": 5000.0, "E_min": 5000.0 * 6e5}
    assert steps_to_loss.predict(values, batch=BATCHES) == pytest.approx(
        steps_at(BATCHES, 5000.0, 6e5)
    )


def test_overhead_batch_is_its_definition():
    """S(B) = 1.2 S(base) base / B, and Zhang et al.'s 85M: a 1293.83, b 2834258.1 -> 745.32."""
    found = overhead_batch(2190.6, 256)
    ideal = steps_at(256, 1.0, 2190.6) * 256 / found
    assert steps_at(found, 1.0, 2190.6) == pytest.approx(1.2 * ideal)
    assert overhead_batch(2834258.0888740215 / 1293.8268694659337, 256) == pytest.approx(
        745.3201466381583, rel=1e-12
    )


@pytest.mark.parametrize(
    ("name", "loss", "tokens"),
    [
        ("kaplan2020", 3.0, 2e8 * 3.0 ** (-1 / 0.21)),
        ("shehper_nanogpt", 4.0, 2.2e7 * 4.0**-4.26),
        ("minicpm2024", 2.8, 1.21e9 / 2.8**6.24),
    ],
)
def test_published_critical_batches(name: str, loss: float, tokens: float):
    found = critical_batch.predict(critical_batch.constants(name).values, loss=loss)
    assert found == pytest.approx(tokens, rel=1e-12)


@pytest.mark.parametrize(("millions", "printed"), [(85, 746.2871281420781), (1200, 2578.18821297)])
def test_zhang_in_plain_counts(millions: float, printed: float):
    """Their notebook prints these forecasts from N in millions."""
    values = critical_batch_of_size.constants("zhang2024").values
    found = critical_batch_of_size.predict(values, params=millions * 1e6)
    assert found == pytest.approx(printed, rel=1e-7)  # the constants are printed to 8 digits
