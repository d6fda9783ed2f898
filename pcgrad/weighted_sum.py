"""The gradient of a weighted sum of losses: one backward pass, whatever the number of tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from pcgrad.stacks import stack_gradients
from pcgrad.task_gradients import (
    Gradient,
    Losses,
    cast,
    check_reached,
    check_weights,
    differentiate,
    first_places,
    named_losses,
)
from pcgrad.weightings.weighting import Weighting, weigh


def weighted_sum_backward(
    tape: tf.GradientTape,
    losses: Losses,
    variables: Sequence[tf.Variable],
    weighting: Weighting,
    step: tf.Tensor | int | None = None,
) -> list[Gradient | None]:
    """Does what `pcgrad.weighted_backward` does, for a weighting that needs no Gram matrix.

    Args:
        tape: The tape that recorded the losses; it need not be persistent.
        losses: T floating-point losses, as a sequence or a mapping from task names.
        variables: The V variables to differentiate by.
        weighting: One whose weights do not depend on the Gram matrix.
        step: Number of the training step, handed to the weighting.

    Returns:
        V gradients, each with its variable's shape and dtype; `None` for a variable that no task
        reaches.

    Raises:
        ValueError: `losses` or `variables` is empty, or no loss reaches any variable.
        TypeError: A loss is not a floating-point tensor.
    """
    named, variables = named_losses(losses, variables)
    targets, weights = list(named.values()), loss_weights(named, weighting, step)
    factors = [w * tf.ones_like(loss) for w, loss in zip(weights, targets, strict=True)]
    return sum_backward(tape, targets, variables, factors)


def loss_weights(
    losses: Mapping[str, tf.Tensor], weighting: Weighting, step: tf.Tensor | int | None
) -> list[tf.Tensor]:
    """The weight of each loss, in its dtype, by a weighting that needs no Gram matrix.

    Args:
        losses: T losses by name; in a replica context the replica's parts.
        weighting: One whose weights do not depend on the Gram matrix.
        step: Number of the training step.

    Raises:
        ValueError: It does not return one weight for each loss.
    """
    identity = tf.eye(len(losses), dtype=tf.float64)
    weights = weigh(weighting, identity, step, losses)
    weights = tf.unstack(check_weights(weights, len(losses)), num=len(losses))
    return [tf.cast(w, loss.dtype) for w, loss in zip(weights, losses.values(), strict=True)]


def sum_backward(
    tape: tf.GradientTape,
    losses: Sequence[tf.Tensor],
    variables: Sequence[tf.Variable],
    factors: Sequence[tf.Tensor] | None = None,
    sum_rows: bool = True,
    may_miss: bool = False,
) -> list[Gradient | None]:
    """Differentiates the sum of losses.

    Args:
        tape: The tape that recorded the losses.
        losses: Floating-point tensors.
        variables: The V variables to differentiate by.
        factors: What to multiply the losses by, of their shapes.
        sum_rows: Whether to sum the repeated rows of sparse gradients, as surgery does: some
            optimizers square or clip each of them by itself.
        may_miss: Whether it is right that no loss reaches any variable.

    Returns:
        V gradients, as from `weighted_sum_backward`.

    Raises:
        ValueError: No loss reaches any variable.
    """
    found = differentiate(tape, losses, variables, factors)
    if not may_miss:
        check_reached(found)
    return [
        _with_rows_summed(gradient, variable)
        if sum_rows and isinstance(gradient, tf.IndexedSlices)
        else gradient
        for gradient, variable in zip(found, variables, strict=True)
    ]


def shared_sum_backward(
    tape: tf.GradientTape,
    losses: Sequence[tf.Tensor],
    variables: Sequence[tf.Variable],
    weights: tf.Tensor,
    shared: Sequence[int],
) -> list[Gradient | None]:
    """Differentiates the weighted sum of losses by the shared variables, their sum by the others.

    The others cost little, as they are near the losses.

    Args:
        tape: A persistent tape.
        losses: T floating-point tensors.
        variables: The V variables to differentiate by.
        weights: [T].
        shared: The indices of the variables that several losses reach; the first index of one that
            is listed several times.

    Returns:
        V gradients, as `pcgrad.combine` returns them.
    """
    update: list[Gradient | None] = [None] * len(variables)
    factors = [
        tf.cast(weight, loss.dtype) * tf.ones_like(loss)
        for weight, loss in zip(tf.unstack(weights, num=len(losses)), losses, strict=True)
    ]
    places = list(enumerate(first_places(variables)))
    weighted = [index for index, first in places if first in shared]
    own = [index for index, first in places if first not in shared]
    for indices, multiplied_by in ((weighted, factors), (own, None)):
        if not indices:
            continue
        some = [variables[index] for index in indices]
        found = sum_backward(tape, losses, some, multiplied_by, may_miss=True)
        for index, gradient in zip(indices, found, strict=True):
            update[index] = gradient
    return update


def _with_rows_summed(gradient: tf.IndexedSlices, variable: tf.Variable) -> Gradient:
    stack = stack_gradients({0: gradient}, variable.shape)
    return cast(stack.weighted_sum(tf.ones([1])), variable.dtype)
