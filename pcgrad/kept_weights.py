"""Weights of one step that serve for some more: an approximation in one backward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from pcgrad.layerwise.backward import Backward, either
from pcgrad.weighted_sum import shared_sum_backward


class KeptWeights(tf.Module):
    """Takes the Gram matrix and the weights in every k-th step only.

    In between, the losses' sum with the last weights is differentiated by the shared variables, and
    their plain sum by the others, which costs little as these are near the losses. Nash-MTL's own
    code (Navon et al. 2022, arXiv 2202.01017) saves time so. An approximation: the weights are
    those of another batch. On one replica only.

    Args:
        every: k, at least 2.
        tasks: T.
    """

    def __init__(self, every: int, tasks: int) -> None:
        super().__init__()
        self.every = every
        # NaN: there are none.
        none = tf.fill([tasks], tf.constant(float("nan"), tf.float64))
        self._weights = tf.Variable(none, trainable=False, name="kept_weights")
        self._shared: tuple[int, ...] | None = None

    def backward(
        self,
        whole: Callable[[], Backward],
        tape: tf.GradientTape,
        losses: Sequence[tf.Tensor],
        variables: Sequence[tf.Variable],
        step: tf.Tensor | int,
    ) -> Backward:
        """Differentiates and combines.

        Args:
            whole: Does so with the Gram matrix.
            tape: A persistent tape.
            losses: T losses.
            variables: V variables.
            step: Number of the training step; after k steps the Gram matrix is due.

        Returns:
            The result. Its Gram matrix is zero where none was taken.
        """
        last = tf.convert_to_tensor(self._weights)
        # Also after a step whose weights were not finite.
        is_due = tf.logical_or(
            tf.equal(tf.cast(step, tf.int64) % self.every, 0),
            ~tf.reduce_all(tf.math.is_finite(last)),
        )

        def by_gramian() -> Backward:
            made = whole()
            self._shared = made.shared
            return made

        if tf.executing_eagerly() and self._shared is None:
            is_due = tf.constant(True)
        made = either(
            is_due, by_gramian, lambda: self._by_last(tape, losses, variables, last), variables
        )
        self._weights.assign(tf.cast(made.weights, tf.float64))
        how = f"in every step whose number is a multiple of {self.every}: "
        return made._replace(description=how + made.description)

    def _by_last(
        self,
        tape: tf.GradientTape,
        losses: Sequence[tf.Tensor],
        variables: Sequence[tf.Variable],
        weights: tf.Tensor,
    ) -> Backward:
        assert self._shared is not None
        update = shared_sum_backward(tape, losses, variables, weights, self._shared)
        gramian = tf.zeros([len(losses), len(losses)], tf.float64)
        return Backward(update, gramian, weights, self._shared, "")
