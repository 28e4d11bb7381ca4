"""One alphabet: every shape is written in it, and tests check every shape."""

from __future__ import annotations

import re

import jax.numpy as jnp
import pytest
from jaxtyping import TypeCheckError
from paths import ROOT

from models.mixers._attention import attend
from scaling.common.alphabet import ALPHABET

ANNOTATED = (*ROOT.glob("models/**/*.py"), *ROOT.glob("experiments/training/*.py"))


def test_every_annotated_letter_is_in_the_alphabet() -> None:
    shapes = [
        shape
        for path in ANNOTATED
        for shape in re.findall(r'\[Array[^,]*, "([^"]*)"\]', path.read_text(encoding="utf-8"))
    ]
    assert len(shapes) > 50
    letters = {letter.lstrip("*#") for shape in shapes for letter in shape.split()}
    assert letters - {"axes", "1"} <= ALPHABET.keys()


def test_a_wrong_shape_is_found() -> None:
    q, k = jnp.zeros((2, 4, 4, 8)), jnp.zeros((2, 4, 2, 6))
    with pytest.raises(TypeCheckError):
        attend(q, k, k, 1.0, "xla")
