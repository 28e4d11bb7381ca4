"""Items clustered by their curves over the sizes, a law for each cluster, and a map to all items.

    y_k = g + (1 - g) exp(-a_k (N / N_mean)^-b_k - c_k)      accuracy of cluster k
    accuracy = g + (1 - g) ((S - g) / (1 - g))^p             S: weighted mean of admitted clusters

Mean shift clusters the items by their mean p_choices at each size, with a bandwidth of the median
distance of pairs of items. A cluster is admitted if its curve rises, b > 0.1 and 0 <= c < 1, and it
has ten items (COD: Xu et al. 2025, arXiv 2502.17262, whose map is a spline). Clusters see the
fitted runs alone.
"""

from __future__ import annotations

import numpy as np

from analysis.inference.abilities.answers import Answers, Array
from analysis.inference.abilities.curves import fit, item_weights, joint, sigmoid
from scaling.common.errors import UserError

RESAMPLES = 200
LEAST = 10  # items of a cluster
SHIFTS = 30


def predict(answers: Answers, params: float, rng: np.random.Generator) -> Array:
    """Raises UserError where no cluster is admitted."""
    g, x = answers.chance, np.log(answers.params)
    middle = x.mean()
    labels = clusters(answers)
    weights = item_weights(answers.hits.shape[1], RESAMPLES, rng)
    starts = np.log([[1.0, 0.3, 0.05], [0.3, 0.6, 0.01]])

    def curve(theta: Array, at: Array) -> Array:
        a, b, c = np.exp(theta[:, :1]), np.exp(theta[:, 1:2]), np.exp(theta[:, 2:])
        return g + (1 - g) * np.exp(-a * np.exp(-np.minimum(b, 4) * (at - middle)) - c)

    admitted = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        own = labels == label
        y = answers.hits[:, own].mean(1)[None]
        (theta,) = fit(curve, x, y, starts)
        b, c = np.exp(theta[1:])
        if own.sum() >= LEAST and y[0, -1] > y[0, 0] and b > 0.1 and c < 1:
            admitted |= own
    if not admitted.any():
        raise UserError("no cluster of items has a curve that rises with the size")
    share = weights * admitted
    share /= np.maximum(share.sum(1, keepdims=True), 1e-12)
    part, whole = share @ answers.hits.T, weights @ answers.hits.T
    first = joint(curve, x, part, starts, rng)

    def onto(theta: Array, at: Array) -> Array:
        inside = np.clip((at - g) / (1 - g), 1e-3, 1)
        return g + (1 - g) * inside ** np.exp(theta)

    second = joint(onto, part, whole, np.array([[0.0], [0.5]]), rng)
    predicted = first.at(curve, np.full((len(weights), 1), np.log(params)), rng)
    return second.at(onto, predicted[:, None], rng)


def clusters(answers: Answers) -> np.ndarray:
    """A label for each item."""
    sizes = np.unique(answers.params)
    p = sigmoid(answers.right - answers.wrong)
    points = np.stack([p[answers.params == size].mean(0) for size in sizes], 1)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    width = max(float(np.median(apart)), 1e-6)
    modes = points.copy()
    for _ in range(SHIFTS):
        near = np.exp(-0.5 * ((modes[:, None] - points[None]) ** 2).sum(2) / (width / 2) ** 2)
        modes = near @ points / near.sum(1, keepdims=True)
    labels = np.full(len(points), -1)
    for k in range(len(points)):
        if labels[k] < 0:
            labels[(np.linalg.norm(modes - modes[k], axis=1) < width / 2) & (labels < 0)] = k
    return labels
