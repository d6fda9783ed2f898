"""Weights by how fast the tasks' losses fall."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from pcgrad.weightings.arguments import natural_argument, positive_argument
from pcgrad.weightings.stateful import StatefulWeighting


class DynamicWeightAverage(StatefulWeighting):
    """Gives more weight to tasks whose loss has fallen less from one period to the next.

    Liu, Johns, Davison, "End-to-End Multi-Task Learning with Attention", CVPR 2019 (arXiv
    1803.10704), equation 7: `λ_t = T · softmax_t(r_t / temperature)`, where r_t is the task's mean
    loss in the last period over that in the one before. The weights sum to T; they are one in the
    first two periods. The losses must be positive.

    A task's mean is over the steps in which its loss is not exactly zero, as it is without a label
    in the batch. A task without any has r = 1.

    Cost: O(T), and one backward pass.

    Args:
        temperature: Greater than 0; the larger, the more equal the weights.
        period: Steps between two changes, at least 1; in the paper, an epoch's.

    Raises:
        ValueError: An argument is out of its range.

    Example:
        >>> weighting = DynamicWeightAverage(period=1)
        >>> for losses in ([1.0, 1.0], [0.5, 1.0], [0.5, 1.0]):
        ...     weights = weighting(tf.eye(2), losses=tf.constant(losses))
        >>> [round(float(w), 3) for w in weights]
        [0.876, 1.124]
    """

    needs_gramian = False
    needs_losses = True

    def __init__(self, temperature: float = 2.0, period: int = 100) -> None:
        super().__init__()
        self.temperature = positive_argument("temperature", temperature)
        self.period = natural_argument("period", period)
        positive_argument("period", period)

    def _initial_state(self, tasks: int) -> Mapping[str, Any]:
        return {
            "steps": np.zeros([]),
            "sums": np.zeros(tasks),
            "counts": np.zeros(tasks),
            # A row for each period; not a number before it has ended.
            "last_means": np.full([2, tasks], np.nan),
        }

    def _next(
        self,
        state: Mapping[str, tf.Tensor],
        gramian: tf.Tensor,
        step: tf.Tensor | int | None,
        losses: tf.Tensor | None,
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        del step
        before, last = tf.unstack(state["last_means"], num=2)
        ratios = last / before
        ratios = tf.where(tf.math.is_finite(ratios), ratios, tf.ones_like(ratios))
        weights = gramian.shape[0] * tf.nn.softmax(ratios / self.temperature)

        sums = state["sums"] + losses
        counts = state["counts"] + tf.cast(tf.not_equal(losses, 0), tf.float64)
        steps = state["steps"] + 1
        ends = tf.equal(steps, self.period)
        means = tf.stack([last, sums / counts])
        after = {
            "steps": tf.where(ends, tf.zeros_like(steps), steps),
            "sums": tf.where(ends, tf.zeros_like(sums), sums),
            "counts": tf.where(ends, tf.zeros_like(counts), counts),
            "last_means": tf.where(ends, means, state["last_means"]),
        }
        return weights, after
