"""Adam, for the few numbers that a weighting learns by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


def initial_moments(tasks: int) -> dict[str, Any]:
    """The state of `adam_step` before the first step: part of a weighting's state."""
    return {
        "first_moment": np.zeros(tasks),
        "second_moment": np.zeros(tasks),
        "updates": np.zeros([]),
    }


def adam_step(
    state: Mapping[str, tf.Tensor], gradient: tf.Tensor, learning_rate: float
) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
    """One step of Adam (Kingma & Ba 2015, arXiv 1412.6980, Algorithm 1).

    Args:
        state: Holds the moments, see `initial_moments`.
        gradient: [T], float64.
        learning_rate: α of the paper; its β₁, β₂ and ε are 0.9, 0.999 and 1e-8.

    Returns:
        What to subtract from the parameters, [T]; and the moments after the step.
    """
    updates = state["updates"] + 1
    first = _BETA_1 * state["first_moment"] + (1 - _BETA_1) * gradient
    second = _BETA_2 * state["second_moment"] + (1 - _BETA_2) * gradient**2
    mean = first / (1 - tf.constant(_BETA_1, tf.float64) ** updates)
    variance = second / (1 - tf.constant(_BETA_2, tf.float64) ** updates)
    step = learning_rate * mean / (tf.sqrt(variance) + _EPSILON)
    return step, {"first_moment": first, "second_moment": second, "updates": updates}
