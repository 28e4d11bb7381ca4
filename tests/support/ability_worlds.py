"""Runs of known ability that answer items: the truth that chains of accuracy are held to."""

from __future__ import annotations

import numpy as np
from scipy.special import betaincinv

from analysis.inference.abilities.answers import Answers

SIZES, SEEDS, TARGET = np.geomspace(1e4, 3.5e5, 7), 2, 6e5
ITEMS, MANY, CHOICES = 200, 20_000, 4
SEED_NOISE = 0.1  # of a run, in nats of margin
CAP, PASSES, SPREAD = 64, 3, 1.5


def level(params: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """The mean margin of a run, in nats over a guess."""
    return 0.2 + 0.35 * np.log(params / 1e4) + SEED_NOISE * noise


def drawn_items(count: int, rng: np.random.Generator) -> np.ndarray:
    """Difficulties of items, in nats of margin."""
    return rng.normal(0, 0.8, count)


def answered(
    levels: np.ndarray, items: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """ln p of the right choice, of all wrong ones, and the hits: each [R, I]."""
    shape = len(levels), len(items)
    margin = levels[:, None] - items + rng.normal(0, 0.7, shape)
    right = -np.log1p((CHOICES - 1) * np.exp(-margin))
    wrong = np.log(-np.expm1(right))
    shares = rng.dirichlet(np.full(CHOICES - 1, 20.0), shape)
    return right, wrong, (right > wrong + np.log(shares.max(-1))).astype(float)


def sampled(mu: np.ndarray, items: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Samples and passes of each item, drawn until enough pass or the cap ends it."""
    place = rng.uniform(0.01, 0.99, items)
    p = betaincinv(SPREAD * mu[:, None], SPREAD * (1 - mu[:, None]), place[None])
    passes = rng.uniform(size=(*p.shape, CAP)) < p[..., None]
    total = passes.cumsum(-1)
    drawn = np.minimum((total < PASSES).sum(-1) + 1, CAP)
    passed = np.minimum(total[..., -1], PASSES)
    return drawn.astype(float), passed.astype(float)


def rate(params: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """The rate of passing of a run."""
    return np.exp(-np.exp(1.0 - 0.35 * np.log(params / 1e4) + 0.05 * noise))


def world(seed: int) -> tuple[Answers, np.ndarray, float]:
    """The fitted runs; the accuracy of a new run of `TARGET` on very many items, on as many others
    as were fitted, and on those fitted; and its rate of passing."""
    rng = np.random.default_rng(seed)
    params = np.repeat(SIZES, SEEDS)
    noise = rng.normal(size=len(params))
    items = drawn_items(ITEMS, rng)
    right, wrong, hits = answered(level(params, noise), items, rng)
    drawn, passed = sampled(rate(params, noise), ITEMS, rng)
    fitted = Answers(
        "synthetic",
        tuple(f"run {k}" for k in range(len(params))),
        params,
        right,
        wrong,
        -right / 5,
        hits,
        1 / CHOICES,
        drawn,
        passed,
        wrong - np.log(2),
    )
    new = rng.normal(size=1)
    target = level(np.array([TARGET]), new)
    _, _, many = answered(target, drawn_items(MANY, rng), rng)
    place = rng.uniform(0.01, 0.99, MANY)
    mu = rate(np.array([TARGET]), new)
    p = betaincinv(SPREAD * mu, SPREAD * (1 - mu), place)
    own = [answered(target, each, rng)[2].mean() for each in (drawn_items(ITEMS, rng), items)]
    return fitted, np.array([many.mean(), *own]), float(p.mean())
