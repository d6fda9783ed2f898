"""What a comparison tries for each method before it is scored: settings, and static weights.

The same settings for every method: that the methods have the same budget is what makes them
comparable (Xin et al. 2022, arXiv 2209.11379).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import qmc

from pcgrad_tfx.config.training_config import Training

# Times or by so much at most, of what the configuration says.
_FACTOR = 10.0
_MOST_DROPOUT = 0.5

_SEED = 0


def settings_to_try(
    training: Training, count: int, with_dropout: bool = True
) -> list[dict[str, float]]:
    """Settings of a search: random, but evenly spread (a Halton sequence).

    Args:
        training: What the configuration says, which is tried first; a weight decay or a dropout of
            0 stays 0.
        count: How many; 0 is taken as 1.
        with_dropout: Whether the model has a dropout that can be set.

    Returns:
        Values of `Training`'s fields: the learning rate and the weight decay between a tenth and
        ten times the configuration's, evenly in their logarithm, and a dropout up to a half. The
        first is empty: all as it is.
    """
    points = qmc.Halton(3, scramble=False).random(max(count, 1))[1:]
    found: list[dict[str, float]] = [{}]
    for rate, decay, dropout in points:
        values = {"learning_rate": training.learning_rate * _FACTOR ** (2 * rate - 1)}
        if training.weight_decay:
            values["weight_decay"] = training.weight_decay * _FACTOR ** (2 * decay - 1)
        if training.dropout and with_dropout:
            values["dropout"] = _MOST_DROPOUT * dropout
        # Short numbers can be copied into a configuration.
        found.append({name: float(f"{value:.3g}") for name, value in values.items()})
    return found


def weights_to_try(names: Sequence[str], count: int) -> list[dict[str, float]]:
    """Static loss weights, evenly distributed over the simplex.

    Args:
        names: The T tasks.
        count: How many.

    Returns:
        Factors of the losses by task, that sum to T.
    """
    drawn = np.random.default_rng(_SEED).dirichlet(np.ones(len(names)), count)
    # A loss that does not count at all is another question.
    drawn = np.maximum(drawn, 1e-3)
    return [scaled(dict(zip(names, map(float, row), strict=True))) for row in drawn]


def scaled(weights: dict[str, float]) -> dict[str, float]:
    """Factors that sum to their number: else they would change the length of the steps, too."""
    scale = len(weights) / sum(weights.values())
    return {name: float(f"{factor * scale:.3g}") for name, factor in weights.items()}
