"""Fast adaptive multi-task optimization."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from pcgrad.weightings.adam import adam_step, initial_moments
from pcgrad.weightings.arguments import positive_argument, real_argument
from pcgrad.weightings.from_losses.geometric_mean import inverse_losses
from pcgrad.weightings.stateful import StatefulWeighting
from pcgrad.weightings.weighting import whole_losses

# Of a loss, below which its logarithm would run away.
_SMALLEST = 1e-8


class FAMO(StatefulWeighting):
    """Makes all losses fall at the same relative rate, in constant time and memory.

    Liu, Feng, Stone, Liu, "FAMO: Fast Adaptive Multitask Optimization", NeurIPS 2023 (arXiv
    2306.03792), Algorithm 1: with z = softmax(ξ) the weights are `c z_t / L_t`, `c = 1 / Σ z_t/L_t`
    (they sum to one). After the step the losses of the same batch are taken again, and ξ takes a
    step of Adam against `Jᵀ(log L - log L') + decay · ξ`, J the Jacobian of the softmax. So
    `after_step` has to be called in every step; `MultiTaskModel` does. Losses must be positive; one
    that is exactly zero, as without a label in the batch, is left out of the step.

    Cost: O(T), one backward pass, and one more forward pass for the losses after the step.

    Args:
        learning_rate: β of the paper, of ξ, greater than 0.
        decay: γ of the paper, 0 or greater.

    Raises:
        ValueError: An argument is out of its range.

    Example:
        >>> famo = FAMO(learning_rate=1.0)
        >>> famo(tf.eye(2), losses=tf.constant([1.0, 3.0])).numpy().tolist()
        [0.75, 0.25]
        >>> famo.after_step([tf.constant(0.5), tf.constant(3.0)])  # the second did not fall
        >>> [round(float(w), 3) for w in famo(tf.eye(2), losses=tf.constant([1.0, 1.0]))]
        [0.119, 0.881]
    """

    needs_gramian = False
    needs_losses = True

    def __init__(self, learning_rate: float = 0.025, decay: float = 1e-3) -> None:
        super().__init__()
        self.learning_rate = positive_argument("learning_rate", learning_rate)
        self.decay = real_argument("decay", decay, "0 or greater", lambda number: number >= 0)

    def _initial_state(self, tasks: int) -> Mapping[str, Any]:
        return {
            "logits": np.zeros(tasks),
            "losses_before": np.zeros(tasks),
            **initial_moments(tasks),
        }

    def _next(
        self,
        state: Mapping[str, tf.Tensor],
        gramian: tf.Tensor,
        step: tf.Tensor | int | None,
        losses: tf.Tensor | None,
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        del gramian, step
        weights = tf.nn.softmax(state["logits"]) * inverse_losses(losses)
        weights = tf.math.divide_no_nan(weights, tf.reduce_sum(weights))
        return weights, {"losses_before": losses}

    def after_step(self, losses: Sequence[tf.Tensor]) -> None:
        """Learns from what the step has done.

        Args:
            losses: The T losses of the same batch after the step, of any shape and floating dtype;
                in a replica context the replica's parts.
        """
        after = whole_losses(losses)
        self.build(after.shape[0])
        state = self.state
        before = state["losses_before"]
        known = tf.logical_and(tf.not_equal(before, 0), tf.not_equal(after, 0))
        fallen = _logarithm(before) - _logarithm(after)
        fallen = tf.where(known, fallen, tf.zeros_like(fallen))
        shares = tf.nn.softmax(state["logits"])
        gradient = shares * (fallen - tf.reduce_sum(shares * fallen))
        gradient += self.decay * state["logits"]
        change, moments = adam_step(state, gradient, self.learning_rate)
        is_usable = tf.reduce_all(tf.math.is_finite(fallen))
        self.assign({"logits": state["logits"] - change, **moments}, is_usable)


def _logarithm(losses: tf.Tensor) -> tf.Tensor:
    return tf.math.log(tf.maximum(losses, _SMALLEST))
