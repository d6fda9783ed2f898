"""From losses and a tape to one gradient per task and variable, and back to one per variable."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from pcgrad.stacks import TaskStack, stack_gradients

Gradient: TypeAlias = "tf.Tensor | tf.IndexedSlices"
Losses: TypeAlias = "Sequence[tf.Tensor] | Mapping[str, tf.Tensor]"


@dataclasses.dataclass(frozen=True)
class TaskGradients:
    """The gradients of T losses with respect to V variables.

    A variable is *shared* when at least two tasks reach it, *task-specific* when exactly one does
    (Yu et al. 2020, section 3 and appendix C). Reaching is structural: a gradient that exists but
    is zero counts.

    Attributes:
        tasks: The T task names: the keys of a mapping of losses, otherwise "0", "1", ….
        variables: The V variables.
        gradients: `gradients[task][variable]`, a tensor or `tf.IndexedSlices` shaped like the
            variable, `None` where the task does not reach it.
        shared: For each shared variable's index the stacked gradients of the tasks that reach it;
            the first index of one that is listed several times.
    """

    tasks: tuple[str, ...]
    variables: tuple[tf.Variable, ...]
    gradients: tuple[tuple[Gradient | None, ...], ...]
    shared: Mapping[int, TaskStack]

    def of_variable(self, index: int) -> dict[int, Gradient]:
        """The gradients with respect to one variable, by the index of the task."""
        column = {task: row[index] for task, row in enumerate(self.gradients)}
        return {task: gradient for task, gradient in column.items() if gradient is not None}


def task_gradients(
    tape: tf.GradientTape, losses: Losses, variables: Sequence[tf.Variable]
) -> TaskGradients:
    """Differentiates every task's loss with respect to every variable.

    Args:
        tape: The tape that recorded the losses; persistent if there is more than one.
        losses: T floating-point losses of any shape, as a sequence or as a mapping from task names.
            A loss that is not a scalar counts as its sum, as in `tf.GradientTape.gradient`.
        variables: V `tf.Variable` or `keras.Variable`. One that is listed several times counts once
            in the Gram matrix; each of its places gets its gradient, as in
            `tf.GradientTape.gradient`.

    Returns:
        The T×V gradients.

    Raises:
        ValueError: `losses` or `variables` is empty, two losses have the same name, the tape is not
            persistent although there are several losses, or no loss reaches any variable.
        TypeError: A loss is not a floating-point tensor.
    """
    named, variables = named_losses(losses, variables)
    gradients = tuple(tuple(differentiate(tape, loss, variables)) for loss in named.values())
    first = first_places(variables)
    shared = {
        index: stack_gradients(by_task, variables[index].shape)
        for index, by_task in enumerate(by_variable(gradients, named))
        if len(by_task) > 1 and first[index] == index
    }
    return TaskGradients(tuple(named), variables, gradients, shared)


def combine(gradients: TaskGradients, weights: tf.Tensor) -> list[Gradient | None]:
    """Sums the task gradients of shared variables, weighted.

    Args:
        gradients: The gradients of T tasks with respect to V variables.
        weights: Floating-point tensor of shape [T].

    Returns:
        V gradients, each with its variable's shape and dtype: `Σ_t weights[t] · g_t` for a shared
        variable, the one task's own gradient, unscaled, for a task-specific variable, `None` for a
        variable that no task reaches. Where every task's gradient is sparse, so is the sum.

    Raises:
        ValueError: The weights have another shape.
    """
    weights = check_weights(weights, len(gradients.tasks))
    combined: list[Gradient | None] = []
    first = first_places(gradients.variables)
    for index, variable in enumerate(gradients.variables):
        if first[index] < index:
            gradient = combined[first[index]]
        elif index in gradients.shared:
            gradient = gradients.shared[index].weighted_sum(weights)
        else:
            gradient = next(iter(gradients.of_variable(index).values()), None)
        combined.append(None if gradient is None else cast(gradient, variable.dtype))
    return combined


def check_weights(weights: tf.Tensor, count: int) -> tf.Tensor:
    """What a weighting returned, as a tensor.

    Raises:
        ValueError: It is not one weight for each of the tasks.
    """
    weights = tf.convert_to_tensor(weights)
    if not weights.shape.is_compatible_with([count]):
        raise ValueError(
            f"a weighting returned weights of shape {weights.shape} for {count} tasks: return one "
            f"for each, a tensor of shape [{count}]"
        )
    return weights


def first_places(variables: Sequence[tf.Variable]) -> list[int]:
    """For each variable the first index at which it is listed."""
    places: dict[int, int] = {}
    return [places.setdefault(id(value_of(one)), index) for index, one in enumerate(variables)]


def value_of(variable: tf.Variable) -> tf.Variable:
    """The `tf.Variable` of a `keras.Variable`."""
    return variable if isinstance(variable, tf.Variable) else variable.value


def cast(gradient: Gradient, dtype: tf.DType | str) -> Gradient:
    """Casts a dense or sparse gradient; Keras variables name their dtype by a string."""
    dtype = tf.as_dtype(dtype)
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(
            tf.cast(gradient.values, dtype), gradient.indices, gradient.dense_shape
        )
    return tf.cast(gradient, dtype)


def named_losses(
    losses: Losses, variables: Sequence[tf.Variable]
) -> tuple[dict[str, tf.Tensor], tuple[tf.Variable, ...]]:
    """Names the losses.

    Raises:
        ValueError: `losses` or `variables` is empty, or two losses have the same name.
        TypeError: A loss is not a floating-point tensor, or `variables` is a single one.
    """
    if isinstance(losses, Mapping):
        named = {str(name): loss for name, loss in losses.items()}
        if len(named) < len(losses):
            raise ValueError(
                f"`losses` has keys {list(losses)}, of which several are the same as text: name "
                "the tasks differently"
            )
    elif isinstance(losses, Sequence):
        named = {str(index): loss for index, loss in enumerate(losses)}
    else:
        raise TypeError(
            f"`losses` is a {type(losses).__name__}: pass a list, tuple or dict with one loss "
            "for each task"
        )
    if not named:
        raise ValueError("`losses` is empty: pass one loss for each task")
    for name, loss in named.items():
        dtype = loss.dtype if tf.is_tensor(loss) else None
        if dtype is None or not tf.as_dtype(dtype).is_floating:
            found = f"of dtype {dtype.name}" if dtype is not None else f"a {type(loss).__name__}"
            number = isinstance(loss, int | float | np.number)
            raise TypeError(
                f"losses[{name!r}] is {found}: a loss must be a real floating-point tensor, "
                "computed on the tape"
                + ("; that of a task that has none now is tf.constant(0.0)" if number else "")
            )
    if tf.is_tensor(variables):
        raise TypeError(
            f"`variables` is a {type(variables).__name__}: pass a list of variables, also of one"
        )
    variables = tuple(variables)
    if not variables:
        raise ValueError("`variables` is empty: pass the variables to differentiate by")
    return named, variables


def by_variable(
    gradients: Sequence[Sequence[Gradient | None]], losses: Mapping[str, tf.Tensor]
) -> list[dict[int, Gradient]]:
    """For each variable the gradients of the tasks that reach it, by the index of the task.

    Warns of a loss that reaches none, unless it is known to be zero.

    Args:
        gradients: `gradients[task][variable]`.
        losses: The T losses by name.

    Raises:
        ValueError: No task reaches any variable.
    """
    by_variable = [
        {task: gradient for task, gradient in enumerate(column) if gradient is not None}
        for column in zip(*gradients, strict=True)
    ]
    check_reached([gradient for row in gradients for gradient in row])
    for row, (name, loss) in zip(gradients, losses.items(), strict=True):
        value = tf.get_static_value(loss)
        if all(gradient is None for gradient in row) and (value is None or np.any(value)):
            warnings.warn(
                f"losses[{name!r}] reaches none of `variables`, so it trains nothing: was it "
                "computed outside the `with tf.GradientTape(...)` block, or are its layers frozen?",
                stacklevel=2,
            )
    return by_variable


def check_reached(gradients: Sequence[Gradient | None]) -> None:
    """Raises a ValueError if no loss reaches any variable."""
    if all(gradient is None for gradient in gradients):
        raise ValueError(
            "no loss in `losses` reaches any of `variables`: compute the losses inside the "
            "`with tf.GradientTape(...)` block, from these variables"
        )


def differentiate(
    tape: tf.GradientTape,
    targets: tf.Tensor | Sequence[tf.Tensor],
    sources: Sequence[tf.Variable | tf.Tensor],
    factors: Sequence[tf.Tensor] | None = None,
) -> list[Gradient | None]:
    """The gradient of a loss by variables or tensors, `None` where it does not depend on one.

    Args:
        tape: The tape that recorded the loss.
        targets: The loss; several are added up.
        sources: What to differentiate by.
        factors: Of several losses, each of its loss's shape.

    Raises:
        ValueError: The tape is not persistent and has been used.
    """
    try:
        return tape.gradient(targets, list(sources), output_gradients=factors)
    except RuntimeError as error:
        if "non-persistent" not in str(error):
            raise
        raise ValueError(
            "`tape` is not persistent and can differentiate one loss only: record several losses "
            "with `tf.GradientTape(persistent=True)`"
        ) from error
