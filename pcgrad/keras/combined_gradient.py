"""The gradient that a training step of a `MultiTaskModel` gives to its optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from pcgrad.gramian import gram_matrix
from pcgrad.keras.optimizers import adds_up_rows, steps_taken
from pcgrad.keras.reporting.reporting_model import ReportingModel
from pcgrad.layerwise.backward import Backward, backward
from pcgrad.task_gradients import Gradient, differentiate, task_gradients
from pcgrad.weighted_sum import sum_backward
from pcgrad.weightings.weighting import Weighting, equal_weights, needs_gramian, needs_losses

_ONE_PASS = "one backward pass for all tasks: the weights do not depend on the Gram matrix"


def combined_gradient(
    model: ReportingModel,
    tape: tf.GradientTape,
    losses: Mapping[str, tf.Tensor],
    penalties: Sequence[tf.Tensor],
    variables: Sequence[keras.Variable],
) -> list[Gradient | None]:
    """Combines the tasks' gradients as the model is compiled to, and counts the conflicts.

    In one backward pass where no Gram matrix is taken; then no conflicts are known.

    Args:
        model: The compiled model, whose `compiled_training` is told how the gradient was made.
        tape: A persistent tape.
        losses: The tasks' losses, weighted and scaled.
        penalties: Other losses, which are added without surgery.
        variables: What to differentiate by.

    Returns:
        The gradient by each variable; `None` for one that nothing reaches.
    """
    training, optimizer = model.compiled_training, model.optimizer
    # Before the update, which may change it.
    scale = optimizer.scale_loss(tf.ones([], tf.float64))
    if not training.takes_gramian:
        training.gramian_description = _ONE_PASS
        sum_rows = not adds_up_rows(optimizer)
        return sum_backward(tape, [*losses.values(), *penalties], variables, sum_rows=sum_rows)
    # Under XLA the layer-wise way is exact, too, but no faster.
    way = "tape" if training.gramian == "auto" and model.jit_compile else training.gramian
    weighting: Weighting = _Unscaled(training.weighting, scale)
    if not needs_gramian(training.weighting):
        # Its weights are the losses' already; the matrix is for the conflicts alone.
        weighting, way = equal_weights, "tape" if way == "features" else way
    step = steps_taken(optimizer)

    def whole() -> Backward:
        return backward(tape, losses, variables, weighting, step, way)

    if training.kept_weights is None:
        found = whole()
    else:
        found = training.kept_weights.backward(whole, tape, list(losses.values()), variables, step)
    training.gramian_description = found.description
    if training.conflicts is not None and training.conflicts.is_followed:
        gramian = found.gramian
        if way == "features":
            gramian = gram_matrix(task_gradients(tape, losses, variables))
        training.conflicts.update_state(gramian, scale)
    if not penalties:
        return found.update
    penalty = differentiate(tape, penalties, variables)
    return [_add(one, other) for one, other in zip(found.update, penalty, strict=True)]


class _Unscaled:
    """A weighting of the gradients as they are without the scale of mixed precision.

    So the weights of methods that are not invariant to it are right, and the update has the scale.
    """

    def __init__(self, weighting: Weighting, scale: tf.Tensor) -> None:
        self.needs_losses = needs_losses(weighting)
        self._weighting, self._scale = weighting, scale

    def __call__(
        self, gramian: tf.Tensor, step: tf.Tensor | int | None, *losses: tf.Tensor
    ) -> tf.Tensor:
        unscaled = [values / self._scale for values in losses]
        return self._weighting(gramian / self._scale**2, step, *unscaled)


def _add(one: Gradient | None, other: Gradient | None) -> Gradient | None:
    """The sum of two gradients, either of which may be missing or sparse."""
    if one is None or other is None:
        return other if one is None else one
    return tf.convert_to_tensor(one) + tf.cast(tf.convert_to_tensor(other), one.dtype)
