"""The gradient of a weighted sum of losses: one backward pass, whatever the number of tasks."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from pcgrad.stacks import stack_gradients
from pcgrad.task_gradients import (
    Gradient,
    Losses,
    cast,
    check_reached,
    check_weights,
    differentiate,
    named_losses,
)
from pcgrad.weightings import Weighting


def weighted_sum_backward(
    tape: tf.GradientTape,
    losses: Losses,
    variables: Sequence[tf.Variable],
    weighting: Weighting,
    step: tf.Tensor | int | None = None,
    penalties: Sequence[tf.Tensor] = (),
    sum_rows: bool = True,
) -> list[Gradient | None]:
    """Does what `pcgrad.weighted_backward` does, for a weighting that needs no Gram matrix.

    Args:
        tape: The tape that recorded the losses; it may be persistent.
        losses: T floating-point losses, as a sequence or a mapping from task names.
        variables: The V variables to differentiate by.
        weighting: One whose weights do not depend on the Gram matrix.
        step: Number of the training step, handed to the weighting.
        penalties: Losses of no task, which are added as they are.
        sum_rows: Whether to sum the repeated rows of sparse gradients, as surgery does: some
            optimizers square or clip each of them by itself.

    Returns:
        V gradients, each with its variable's shape and dtype; `None` for a variable that nothing
        reaches.

    Raises:
        ValueError: `losses` or `variables` is empty, or no loss reaches any variable.
        TypeError: A loss is not a floating-point tensor.
    """
    named, variables = named_losses(losses, variables)
    weights = weighting(tf.eye(len(named), dtype=tf.float64), step)
    weights = check_weights(weights, len(named))
    factors = [
        tf.cast(weight, loss.dtype) * tf.ones_like(loss)
        for weight, loss in zip(tf.unstack(weights, num=len(named)), named.values(), strict=True)
    ]
    targets, factors = [*named.values(), *penalties], [*factors, *map(tf.ones_like, penalties)]
    found = differentiate(tape, targets, variables, factors)
    check_reached(found)
    return [
        _with_rows_summed(gradient, variable)
        if sum_rows and isinstance(gradient, tf.IndexedSlices)
        else gradient
        for gradient, variable in zip(found, variables, strict=True)
    ]


def _with_rows_summed(gradient: tf.IndexedSlices, variable: tf.Variable) -> Gradient:
    stack = stack_gradients({0: gradient}, variable.shape)
    return cast(stack.weighted_sum(tf.ones([1])), variable.dtype)
