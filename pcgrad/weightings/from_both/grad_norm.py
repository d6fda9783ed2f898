"""Weights under which the tasks' gradients have balanced lengths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from pcgrad.weightings.adam import adam_step, initial_moments
from pcgrad.weightings.arguments import positive_argument, real_argument
from pcgrad.weightings.stateful import StatefulWeighting


class GradNorm(StatefulWeighting):
    """Learns weights under which tasks that train slowly have the longer gradients.

    Chen et al., "GradNorm", ICML 2018 (arXiv 1711.02257), Algorithm 1: the weights w take a step of
    Adam on `Σ_t |w_t ‖g_t‖ - m r_t^α|`, m the mean of `w_t ‖g_t‖`, held fixed; r_t is the task's
    loss relative to its first one, over the mean of these. They are then scaled to the sum T again.
    The weights of a step are those before its update. Unlike the paper, which takes the gradients
    at the last shared layer, norms are over all shared variables; and a weight does not fall below
    zero. The losses must be positive.

    A task whose gradient is zero, as without a label in the batch, keeps its weight, up to the
    scaling.

    Cost: O(T), and the Gram matrix.

    Args:
        alpha: α, the strength with which slow tasks are helped, at least 0 (then all gradients
            become equally long).
        learning_rate: Of the weights, greater than 0.

    Raises:
        ValueError: An argument is out of its range.

    Example:
        >>> weighting = GradNorm(learning_rate=0.5)
        >>> for _ in range(2):  # a long and a short gradient
        ...     weights = weighting(tf.constant([[9.0, 0.0], [0.0, 1.0]]), losses=tf.ones(2))
        >>> [round(float(w), 3) for w in weights]
        [0.5, 1.5]
    """

    needs_losses = True

    def __init__(self, alpha: float = 1.5, learning_rate: float = 0.025) -> None:
        super().__init__()
        self.alpha = real_argument("alpha", alpha, "0 or greater", lambda number: number >= 0)
        self.learning_rate = positive_argument("learning_rate", learning_rate)

    def _initial_state(self, tasks: int) -> Mapping[str, Any]:
        # A first loss of zero: none was seen yet.
        return {
            "weights": np.ones(tasks),
            "first_losses": np.zeros(tasks),
            **initial_moments(tasks),
        }

    def _next(
        self,
        state: Mapping[str, tf.Tensor],
        gramian: tf.Tensor,
        step: tf.Tensor | int | None,
        losses: tf.Tensor | None,
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        del step
        weights, first = state["weights"], state["first_losses"]
        first = tf.where(tf.equal(first, 0), losses, first)
        norms = tf.sqrt(tf.linalg.diag_part(gramian))
        counted = tf.cast(norms > 0, tf.float64)

        weighted = weights * norms
        rates = tf.math.divide_no_nan(losses, first)
        rates = tf.math.divide_no_nan(rates, _mean(rates, counted))
        targets = _mean(weighted, counted) * rates**self.alpha
        gradient = tf.sign(weighted - targets) * norms
        change, moments = adam_step(state, gradient, self.learning_rate)
        moved = tf.maximum(weights - counted * change, 0)
        moved *= tf.math.divide_no_nan(tf.reduce_sum(tf.ones_like(moved)), tf.reduce_sum(moved))
        return weights, {"weights": moved, "first_losses": first, **moments}


def _mean(values: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
    return tf.math.divide_no_nan(tf.reduce_sum(values * counted), tf.reduce_sum(counted))
