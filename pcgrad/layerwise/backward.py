"""Gradient surgery on Gram matrices that are taken layer by layer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from pcgrad.gramian import gram_matrix
from pcgrad.layerwise.choice import choose
from pcgrad.layerwise.features import feature_gram_matrix
from pcgrad.layerwise.gradients import layerwise_gradients
from pcgrad.task_gradients import (
    Gradient,
    Losses,
    TaskGradients,
    check_weights,
    combine,
    named_losses,
    task_gradients,
)
from pcgrad.weighted_sum import shared_sum_backward, weighted_sum_backward
from pcgrad.weightings.weighting import Weighting, needs_gramian, weigh

_LOGGER = logging.getLogger(__name__)

_GRAMIANS = ("tape", "layerwise", "auto", "features")


class Backward(NamedTuple):
    """What a backward pass gives.

    Attributes:
        update: V gradients, as `pcgrad.weighted_backward` returns them.
        gramian: The Gram matrix of the T task gradients, [T, T], float64.
        weights: What the weighting made of it, [T].
        shared: The indices of the variables that several tasks reach.
        description: Which variables took which route, and why; some lines of text.
    """

    update: list[Gradient | None]
    gramian: tf.Tensor
    weights: tf.Tensor
    shared: tuple[int, ...]
    description: str


def layerwise_backward(
    tape: tf.GradientTape,
    losses: Losses,
    variables: Sequence[tf.Variable],
    weighting: Weighting,
    step: tf.Tensor | int | None = None,
    *,
    gramian: str = "layerwise",
) -> list[Gradient | None]:
    """Does what `pcgrad.weighted_backward` does, layer by layer.

    Args:
        tape: The tape that recorded the losses; persistent if there is more than one.
        losses: T floating-point losses, as a sequence or a mapping from task names.
        variables: The V variables to differentiate by.
        weighting: Gram matrix → weights: `PCGrad()`, `PPCGrad()` or a function of one's own.
        step: Number of the training step, handed to the weighting.
        gramian: "layerwise", or "auto" to do so only where it saves a twentieth of the step's
            multiplications: the result is the same to rounding. "features" for an approximation,
            see docs/methods.md.

    Returns:
        V gradients, each with its variable's shape and dtype, ready for
        `optimizer.apply_gradients(zip(gradients, variables))`; `None` for a variable that no task
        reaches.

    Raises:
        ValueError: `gramian` is unknown, `losses` or `variables` is empty, the tape is not
            persistent although there are several losses, or no loss reaches any variable; there is
            no graph to find features in, or they are not found.
        TypeError: A loss is not a floating-point tensor.
    """
    check_gramian(gramian)
    if not needs_gramian(weighting):
        return weighted_sum_backward(tape, losses, variables, weighting, step)
    return backward(tape, losses, variables, weighting, step, gramian).update


@tf.autograph.experimental.do_not_convert
def backward(
    tape: tf.GradientTape,
    losses: Losses,
    variables: Sequence[tf.Variable],
    weighting: Weighting,
    step: tf.Tensor | int | None = None,
    gramian: str = "tape",
) -> Backward:
    """Differentiates, weighs and combines, and says how.

    Args:
        tape: As in `layerwise_backward`, like the other arguments.
        losses: T losses.
        variables: V variables.
        weighting: Gram matrix → weights.
        step: Number of the training step.
        gramian: "tape", "layerwise", "auto" or "features".

    Raises:
        ValueError, TypeError: As `layerwise_backward` does, but for an unknown `gramian`.
    """
    named, variables = named_losses(losses, variables)

    def by_tape() -> Backward:
        return finish(task_gradients(tape, named, variables), "every gradient from the tape")

    def by_layer() -> Backward:
        gradients = layerwise_gradients(tape, named, variables)
        return finish(gradients, gradients.describe())

    def finish(gradients: TaskGradients, description: str) -> Backward:
        products = gram_matrix(gradients)
        weights = weigh(weighting, products, step, named)
        update, shared = combine(gradients, weights), tuple(gradients.shared)
        return Backward(update, products, weights, shared, description)

    def by_features() -> Backward:
        # They say which variables are shared; TensorFlow prunes the gradients, which nobody reads.
        shared = tuple(task_gradients(tape, named, variables).shared)
        products, names = feature_gram_matrix(tape, named, variables)
        weights = check_weights(weigh(weighting, products, step, named), len(named))
        update = shared_sum_backward(tape, list(named.values()), variables, weights, shared)
        return Backward(update, products, weights, shared, f"at the features {names}: approximate")

    if gramian == "tape" or (gramian == "features" and len(named) == 1):
        return by_tape()
    if gramian == "features":
        made = by_features()
    elif gramian == "layerwise":
        made = by_layer()
    else:
        choice = choose(list(named.values()), variables)
        if choice.largest_batch == 0:
            made = by_tape()._replace(description=f"every gradient from the tape ({choice.why})")
        elif choice.batch is None:
            made = by_layer()
        else:
            few = choice.batch <= choice.largest_batch
            made = either(few, by_layer, by_tape, variables)
            told = f"up to a batch of {choice.largest_batch}, otherwise from the tape"
            made = made._replace(description=f"{told}: {made.description}")
    if not tf.executing_eagerly():  # when a step is traced, not in every step
        _LOGGER.info("Gram matrix %s", made.description)
    return made


def check_gramian(gramian: str) -> None:
    """Raises a ValueError if a way to make Gram matrices is unknown."""
    if gramian not in _GRAMIANS:
        choices = ", ".join(f'"{name}"' for name in _GRAMIANS)
        raise ValueError(f"`gramian` must be one of {choices}, not {gramian!r}")


def either(
    condition: tf.Tensor,
    one: Callable[[], Backward],
    other: Callable[[], Backward],
    variables: Sequence[tf.Variable],
) -> Backward:
    """One of two ways, by a condition that is known in each step.

    Args:
        condition: Bool scalar.
        one: The way if it is true. It also says the description and the shared variables.
        other: The way if it is false.
        variables: V variables.
    """
    made: list[Backward] = []

    def tensors(way: Callable[[], Backward]) -> list[tf.Tensor]:
        made.append(way())
        flat = [made[-1].gramian, made[-1].weights]
        for gradient, of_first in zip(made[-1].update, made[0].update, strict=True):
            if isinstance(of_first, tf.IndexedSlices):
                assert isinstance(gradient, tf.IndexedSlices)
                flat += [gradient.values, gradient.indices]
            elif of_first is not None:
                flat.append(tf.convert_to_tensor(gradient))
        return flat

    gramian, weights, *flat = tf.cond(condition, lambda: tensors(one), lambda: tensors(other))
    rest = iter(flat)
    update: list[Gradient | None] = []
    for gradient, variable in zip(made[0].update, variables, strict=True):
        if isinstance(gradient, tf.IndexedSlices):
            size = tf.constant(list(variable.shape), gradient.indices.dtype)
            update.append(tf.IndexedSlices(next(rest), next(rest), size))
        else:
            update.append(None if gradient is None else next(rest))
    return Backward(update, gramian, weights, made[0].shared, made[0].description)
