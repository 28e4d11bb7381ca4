"""Log-probabilities over the vocabulary item by item, renormalised over the choices, then accuracy.

    ln p(right), ln p(wrong) = a_i + b_i ln N       each item's own lines, of right and wrong mass
    p_choices = p(right) / (p(right) + p(wrong))
    accuracy = mean_i sigmoid(k logit(p_choices) + c)

The stages of Schaeffer et al. 2024 (arXiv 2406.04391), who show that the correlation with compute
falls at each. The last link is fitted to the margins on the lines, of all runs. Noise of a run
moves all its margins together.
"""

from __future__ import annotations

import numpy as np

from analysis.inference.abilities.answers import Answers, Array
from analysis.inference.abilities.curves import item_weights, loudness, sigmoid
from scaling.common.errors import UserError

RESAMPLES = 200
STEPS = 25


def predict(answers: Answers, params: float, rng: np.random.Generator) -> Array:
    """Raises UserError of fewer than four runs."""
    R, I = answers.hits.shape
    if R < 4:
        raise UserError(f"{R} runs for lines of two constants; train four or more")
    x = np.log(answers.params)
    design = np.stack([np.ones(R), x - x.mean()], 1)
    solve = np.linalg.pinv(design)
    here = np.array([1.0, np.log(params) - x.mean()]) @ solve  # weights of the runs: [R]
    margins = answers.right - answers.wrong
    lines = design @ (solve @ margins)
    off = (margins - lines).mean(1)
    spread = np.sqrt((off**2).sum() / (R - 2))
    weights = item_weights(I, RESAMPLES, rng)
    links = np.stack([_link(lines, answers.hits, each) for each in weights])
    scale = spread * np.sqrt((R - 2) / rng.chisquare(R - 2, len(weights)))
    shift = scale * (rng.normal(size=(len(weights), R)) @ here + rng.normal(size=len(weights)))
    shift[0] = 0
    there = (here @ margins)[None] + shift[:, None]
    made = sigmoid(links[:, :1] * there + links[:, 1:])
    fitted = sigmoid(links[0, 0] * (lines + off[:, None]) + links[0, 1]).mean(1)
    left = (answers.hits.mean(1) - fitted) / loudness(fitted, "accuracy")
    noise = np.sqrt((left**2).sum() / (R - 2)) * rng.standard_t(R - 2, len(weights))
    noise[0] = 0
    values = (made * weights).sum(1)
    found: Array = values + noise * loudness(values, "accuracy")
    return found


def _link(lines: Array, hits: Array, weights: Array) -> Array:
    """k and c of the logistic link under weights of the items, by Newton's method with a ridge."""
    theta, w = np.array([1.0, 0.0]), np.broadcast_to(weights, lines.shape) * lines.shape[1]
    scale = np.abs(lines).mean() + 1e-9
    z = lines / scale
    for _ in range(STEPS):
        p = sigmoid(theta[0] * z + theta[1])
        bend = w * p * (1 - p)
        slope = np.array([(w * (p - hits) * z).sum(), (w * (p - hits)).sum()]) + 1e-3 * theta
        square = np.array(
            [[(bend * z * z).sum(), (bend * z).sum()], [(bend * z).sum(), bend.sum()]]
        )
        theta = theta - np.clip(np.linalg.solve(square + 1e-3 * np.eye(2), slope), -2, 2)
    return theta / np.array([scale, 1.0])
