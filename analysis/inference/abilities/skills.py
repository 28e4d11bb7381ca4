"""Latent skills that families of models share: a new family from its smallest model.

    accuracy_ij = g_j + (1 - g_j) sigmoid(sum_k loading_jk theta_ik + offset_j)
    theta_ik    = efficiency of the family_k + sum_v slope_vk x_iv

of Polo et al. 2024 (arXiv 2412.06540): x is ln N, ln D and their product, g the accuracy of chance.
All but the efficiency is common to all families, so one model of a family places the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from analysis.inference.abilities.answers import Array
from analysis.inference.abilities.curves import sigmoid
from scaling.common.errors import UserError

RIDGE, TINY = 0.05, 0.01  # of efficiencies and of loadings; they fix the scale of a skill
MOST = 200  # evaluations of a fit


@dataclass(frozen=True)
class Skills:
    """Constants by benchmark, family and variable; x is taken about its mean, in its deviations."""

    chance: Array  # (benchmarks,)
    loadings: Array  # (benchmarks, skills)
    offsets: Array  # (benchmarks,)
    efficiencies: dict[str, Array]  # (skills,) of each family
    slopes: Array  # (variables, skills)
    middle: Array  # (variables,)
    spread: Array  # (variables,)

    def predict(self, x: Array, families: Sequence[str]) -> Array:
        """Accuracies, (models, benchmarks), of models with x (models, variables).

        Raises:
            UserError: a family without a fitted model.
        """
        if unknown := sorted(set(families) - set(self.efficiencies)):
            raise UserError(f"no model of the family {unknown[0]!r} was fitted; add its smallest")
        own = np.stack([self.efficiencies[name] for name in families])
        theta = own + (x - self.middle) / self.spread @ self.slopes
        return _accuracy(theta @ self.loadings.T + self.offsets, self.chance)


def translog(params: Array, tokens: Array) -> Array:
    """ln N, ln D and their product, (models, 3)."""
    size, data = np.log(params), np.log(tokens)
    return np.stack([size, data, size * data], axis=-1)


def fit(
    x: Array, families: Sequence[str], accuracies: Array, chance: Array, skills: int = 2
) -> Skills:
    """Least squares over all known accuracies (models, benchmarks); nan where not measured.

    Raises:
        UserError: a variable is the same for all models.
    """
    middle, spread = x.mean(0), x.std(0)
    if not (spread > 0).all():
        raise UserError("every variable of the skills needs models that differ in it")
    names, family = np.unique(np.asarray(families, str), return_inverse=True)
    z, known = (x - middle) / spread, np.isfinite(accuracies)
    design = np.hstack([np.eye(len(names))[family], z])  # theta = design @ [efficiencies; slopes]
    benchmarks, rows = accuracies.shape[1], design.shape[1]
    cut = benchmarks * skills

    def parts(v: Array) -> tuple[Array, Array, Array]:
        return (
            v[:cut].reshape(benchmarks, skills),
            v[cut : cut + benchmarks],
            v[cut + benchmarks :].reshape(rows, skills),
        )

    shrunk = np.zeros(cut + benchmarks + rows * skills)
    shrunk[:cut] = TINY
    shrunk[cut + benchmarks :][: len(names) * skills] = RIDGE
    held = np.diag(shrunk)[shrunk > 0]

    def residuals(v: Array) -> Array:
        loadings, offsets, theta = parts(v)
        error = _accuracy(design @ theta @ loadings.T + offsets, chance) - accuracies
        return np.concatenate([error[known], held @ v])

    def slopes(v: Array) -> Array:
        loadings, offsets, theta = parts(v)
        skill = design @ theta
        inside = sigmoid(skill @ loadings.T + offsets)
        steep = (1 - chance) * inside * (1 - inside)  # (models, benchmarks)
        each = np.eye(benchmarks)
        by_loading = np.einsum("ij,jb,ik->ijbk", steep, each, skill)
        by_offset = np.einsum("ij,jb->ijb", steep, each)
        by_theta = np.einsum("ij,ir,jk->ijrk", steep, design, loadings)
        shape = (*steep.shape, -1)
        found = np.concatenate([by.reshape(shape) for by in (by_loading, by_offset, by_theta)], -1)
        return np.concatenate([found[known], held])

    rng = np.random.default_rng(0)  # skills that begin alike would stay alike
    start = [rng.normal(0.8, 0.3, cut), np.zeros(benchmarks + len(names) * skills)]
    start += [0.5 + rng.normal(0, 0.1, z.shape[1] * skills)]
    solved = least_squares(residuals, np.concatenate(start), jac=slopes, max_nfev=MOST)
    loadings, offsets, theta = parts(solved.x)
    return Skills(
        chance=chance,
        loadings=loadings,
        offsets=offsets,
        efficiencies=dict(zip(map(str, names), theta[: len(names)], strict=True)),
        slopes=theta[len(names) :],
        middle=middle,
        spread=spread,
    )


def _accuracy(logits: Array, chance: Array) -> Array:
    made: Array = chance + (1 - chance) * sigmoid(logits)
    return made
