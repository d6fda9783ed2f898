"""From losses and a tape to task gradients of which those by kernels need not be formed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from pcgrad.layerwise.layers import find_layers, obstacle
from pcgrad.layerwise.stacking import LayerStacks, path_of
from pcgrad.layerwise.tape_gradients import confirm_layers, differentiate_layers
from pcgrad.task_gradients import Losses, TaskGradients, named_losses, task_gradients


@dataclasses.dataclass(frozen=True)
class LayerwiseGradients(TaskGradients):
    """Task gradients, and how they were come by.

    Attributes:
        backward: Whether the trunk is differentiated for all tasks at once, and why not.
        routes: For each shared variable its path, and what its inner products are taken from.
    """

    backward: str
    routes: tuple[tuple[str, str], ...]

    def describe(self) -> str:
        """Which shared variables took which route, and why: some lines of text."""
        return "\n".join([self.backward, *(f"  {path}: {how}" for path, how in self.routes)])


@tf.autograph.experimental.do_not_convert
def layerwise_gradients(
    tape: tf.GradientTape, losses: Losses, variables: Sequence[tf.Variable]
) -> LayerwiseGradients:
    """Does what `task_gradients` does, without forming the tasks' gradients by kernels.

    The result is the same to rounding, whatever the model: a variable that is used in another way
    than in a matrix product or a lookup, or anywhere out of sight (in a loop, a nested function, a
    custom gradient), gets its gradients from the tape, as do all variables in eager mode and under
    a `tf.distribute` strategy.

    Args:
        tape: The tape that recorded the losses; persistent if there is more than one.
        losses: T floating-point losses of any shape, as a sequence or as a mapping from task names.
        variables: V `tf.Variable` or `keras.Variable`.

    Returns:
        The T×V gradients. `gradients` are the tape's; TensorFlow prunes those that nobody reads.

    Raises:
        ValueError, TypeError: As `task_gradients` does.
    """
    named, variables = named_losses(losses, variables)
    targets = list(named.values())
    reason = obstacle(targets)
    if reason is not None:
        plain = task_gradients(tape, losses, variables)
        routes = tuple((path_of(variables[index]), "tape") for index in plain.shared)
        return LayerwiseGradients(**vars(plain), backward=f"tape: {reason}", routes=routes)
    seen = find_layers(targets, variables)
    found = differentiate_layers(tape, named, variables, seen)
    layers = confirm_layers(seen, found, variables)
    stacked, how = LayerStacks(variables, layers, found).make()
    return LayerwiseGradients(
        tasks=tuple(named),
        variables=variables,
        gradients=found.by_task,
        shared={index: one.stack for index, one in stacked.items()},
        backward=f"layer by layer, backward pass: {how}",
        routes=tuple((path_of(variables[index]), one.route) for index, one in stacked.items()),
    )
