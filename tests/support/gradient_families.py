"""Task gradients of the kinds that a solver must cope with: rows of matrices [T, dimensions]."""

from __future__ import annotations

import numpy as np

FAMILIES = ("random", "aligned", "dependent", "one_zero", "nearly_opposite", "unequal")


def task_gradients_of(family: str, tasks: int, seed: int = 0) -> np.ndarray:
    """Draws the gradients.

    Args:
        family: "random" ones are nearly orthogonal and independent, "aligned" ones agree,
            "dependent" ones have half as many dimensions as tasks, of "one_zero" the first is zero
            (of several), of "nearly_opposite" the first two have a cosine of -0.9999, "unequal"
            ones are 1e-3 to 1e3 long.
        tasks: T.
        seed: Of the generator.
    """
    rng = np.random.default_rng([seed, tasks, FAMILIES.index(family)])
    dimensions = max(2, tasks // 2) if family == "dependent" else 2 * tasks + 2
    gradients = rng.normal(size=(tasks, dimensions))
    if family == "aligned":
        gradients += 2
    if family == "one_zero" and tasks > 1:
        gradients[0] = 0
    if family == "nearly_opposite" and tasks > 1:
        across = rng.normal(size=dimensions)
        across -= across @ gradients[0] / (gradients[0] @ gradients[0]) * gradients[0]
        across *= np.linalg.norm(gradients[0]) / np.linalg.norm(across)
        gradients[1] = -0.9999 * gradients[0] + np.sqrt(1 - 0.9999**2) * across
    if family == "unequal":
        gradients *= 10 ** np.linspace(-3, 3, tasks)[:, np.newaxis]
    return gradients
