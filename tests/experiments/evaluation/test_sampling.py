"""Samples are those of the uncached pass, for every mixer, and do not depend on their batch."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from quick import cases

from experiments.evaluation import sampling
from experiments.evaluation.model import Sampler
from experiments.evaluation.sampling import choose, draw, key_at, sample, seed_of
from models.config import TransformerConfig
from models.module import Spec
from models.transformer import apply, init
from scaling.common import plugins
from scaling.common.errors import UserError
from scaling.machines.program import PLAIN

BASE = TransformerConfig(layers=1, width=16, heads=2, kv_heads=1, head_dim=8, ffn=32, vocab_size=11)
MIXERS = plugins.names("models.mixers")  # each from its state: tests/models/test_part.py
QUICK = ("attention", "gated_delta", "lstm")
PROMPTS = [np.array([0, 3, 1, 4]), np.array([0, 5, 9, 2, 6, 5]), np.array([0])]
SAMPLER = Sampler(temperature=0.7, top_k=8, top_p=0.95)
NEW = 5


def _spec(mixer: str) -> Spec:
    kv = {"kv_heads": 2} if mixer != "attention" else {}
    return Spec(replace(BASE, pattern=(mixer,), **kv), program=replace(PLAIN, layers="scan"))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    def program(spec: Spec, sampler: Sampler, first: int, new: int) -> object:
        return jax.jit(partial(draw, spec, sampler, first, new))

    monkeypatch.setattr(sampling, "_program", program)


@pytest.mark.parametrize("mixer", cases(MIXERS, QUICK))
def test_samples_are_those_of_the_uncached_pass(mixer: str) -> None:
    spec, seeds = _spec(mixer), [seed_of("a", k) for k in range(3)]
    params = jax.jit(partial(init, spec, 16))(jax.random.key(0))
    found = sample(spec, params, PROMPTS, seeds, NEW, SAMPLER)
    whole, chosen = jax.jit(partial(apply, spec)), jax.jit(partial(choose, SAMPLER))
    for prompt, seed, tokens in zip(PROMPTS, seeds, found, strict=True):
        text = np.concatenate([prompt, tokens])
        padded = np.zeros((1, 16), np.int32)
        padded[0, : len(text)] = text
        logits = whole(params, padded)[0]
        again = [
            int(chosen(logits[t - 1], key_at(jnp.uint32(seed), t)))
            for t in range(len(prompt), len(text))
        ]
        assert again == tokens.tolist()


def test_a_sample_does_not_depend_on_its_batch() -> None:
    spec, seeds = _spec("attention"), [seed_of("a", k) for k in range(3)]
    params = jax.jit(partial(init, spec, 16))(jax.random.key(0))
    (alone,) = sample(spec, params, PROMPTS[1:2], seeds[1:2], NEW, SAMPLER)
    found = sample(spec, params, PROMPTS, seeds, NEW, SAMPLER)
    assert alone.tolist() == found[1].tolist()
    assert (
        len({tuple(each) for each in sample(spec, params, PROMPTS[:1] * 3, seeds, 9, SAMPLER)}) > 1
    )


def test_the_sampler_keeps_the_likeliest_tokens() -> None:
    logits = jnp.log(jnp.array([0.5, 0.3, 0.15, 0.05]))
    keys = jax.random.split(jax.random.key(0), 4000)

    def shares(sampler: Sampler) -> np.ndarray:
        drawn = jax.jit(jax.vmap(partial(choose, sampler, logits)))(keys)
        return np.bincount(drawn, minlength=4) / len(keys)

    np.testing.assert_allclose(shares(Sampler()), [0.5, 0.3, 0.15, 0.05], atol=0.03)
    np.testing.assert_allclose(shares(Sampler(top_k=2)), [0.625, 0.375, 0, 0], atol=0.03)
    np.testing.assert_allclose(shares(Sampler(top_p=0.6)), [0.625, 0.375, 0, 0], atol=0.03)
    np.testing.assert_allclose(shares(Sampler(top_p=0.45)), [1, 0, 0, 0])
    squared = np.array([0.25, 0.09, 0.0225, 0.0025]) / 0.365
    np.testing.assert_allclose(shares(Sampler(temperature=0.5)), squared, atol=0.03)
    assert shares(Sampler(temperature=0))[0] == 1


@pytest.mark.parametrize("bad", [{"temperature": -1}, {"top_k": -1}, {"top_p": 0}])
def test_an_impossible_sampler_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(bad))):
        Sampler(**bad)  # type: ignore[arg-type]


def test_the_prompt_stays_as_it_is() -> None:
    spec = _spec("attention")
    params = jax.jit(partial(init, spec, 16))(jax.random.key(0))
    padded, lengths = np.array([[0, 3, 1, 4]]), np.array([2])
    found = draw(spec, SAMPLER, 1, 2, params, padded, lengths, np.array([7], np.uint32))
    assert found[0, :2].tolist() == [0, 3]
