"""Weights by the homoscedastic uncertainty of the tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from pcgrad.weightings.adam import adam_step, initial_moments
from pcgrad.weightings.arguments import positive_argument
from pcgrad.weightings.stateful import StatefulWeighting


class UncertaintyWeights(StatefulWeighting):
    """Learns a variance of each task, by whose inverse its loss counts.

    Kendall, Gal, Cipolla, "Multi-Task Learning Using Uncertainty to Weigh Losses", CVPR 2018 (arXiv
    1705.07115): with `s_t = log σ_t²` it minimizes `Σ_t ½ exp(-s_t) L_t + ½ s_t` over the network
    and s; the weights are `½ exp(-s_t)`. For losses that are negative log-likelihoods up to such a
    factor, as squared errors are. At rest each weight is 1 / 2L_t, so a task whose loss falls
    towards zero counts ever more.

    s is learned by an Adam of its own, not by the network's optimizer: its rate does not depend on
    schedules, weight decay or clipping of the network. It is zero at first. A task whose loss is
    exactly zero, as without a label in the batch, keeps its s.

    Cost: O(T), and one backward pass.

    Args:
        learning_rate: Of s, greater than 0.

    Raises:
        ValueError: The rate is not.

    Example:
        >>> UncertaintyWeights()(tf.eye(2), step=0, losses=tf.constant([3.0, 0.1])).numpy().tolist()
        [0.5, 0.5]
    """

    needs_gramian = False
    needs_losses = True

    def __init__(self, learning_rate: float = 1e-3) -> None:
        super().__init__()
        self.learning_rate = positive_argument("learning_rate", learning_rate)

    def _initial_state(self, tasks: int) -> Mapping[str, Any]:
        return {"log_variances": np.zeros(tasks), **initial_moments(tasks)}

    def _next(
        self,
        state: Mapping[str, tf.Tensor],
        gramian: tf.Tensor,
        step: tf.Tensor | int | None,
        losses: tf.Tensor | None,
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        del gramian, step
        weights = 0.5 * tf.exp(-state["log_variances"])
        counted = tf.cast(tf.not_equal(losses, 0), tf.float64)
        gradient = counted * (0.5 - weights * losses)
        change, moments = adam_step(state, gradient, self.learning_rate)
        # Adam moves what has no gradient now, too, by those before.
        return weights, {"log_variances": state["log_variances"] - counted * change, **moments}
