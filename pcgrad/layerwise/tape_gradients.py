"""One backward pass for each task, and which layers the tape has seen all of."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import tensorflow as tf

from pcgrad.layerwise.layers import Layers
from pcgrad.task_gradients import Gradient, by_variable, differentiate


@dataclasses.dataclass(frozen=True)
class TapeGradients:
    """The gradients of T losses by V variables and by what lies between.

    TensorFlow prunes those that nobody reads.

    Attributes:
        tape: The persistent tape that they are from.
        by_task: `by_task[task][variable]`, T×V; `None` where the task does not reach the variable.
        by_variable: For each variable the gradients of the tasks that reach it, by index of the
            task.
        shared: The indices of the variables that two tasks or more reach, each variable once.
        frontier: The F tensors that the tasks' own parts of the forward pass begin with.
        by_frontier: T×F, by these.
    """

    tape: tf.GradientTape
    by_task: tuple[tuple[Gradient | None, ...], ...]
    by_variable: Sequence[Mapping[int, Gradient]]
    shared: tuple[int, ...]
    frontier: Sequence[tf.Tensor]
    by_frontier: Sequence[Sequence[Gradient | None]]
    _by_output: Mapping[int, Sequence[Gradient | None]]

    def by_output(self, output: tf.Tensor) -> Sequence[Gradient | None]:
        """The T gradients by a layer's output."""
        return self._by_output[id(output)]

    def has_seen(self, values: Sequence[tf.Tensor], variable: tf.Variable) -> bool:
        """Whether the tape has seen how all of some values come from a variable."""
        return all(self.tape.gradient(value, variable) is not None for value in values)


def differentiate_layers(
    tape: tf.GradientTape,
    losses: Mapping[str, tf.Tensor],
    variables: Sequence[tf.Variable],
    layers: Layers,
) -> TapeGradients:
    """Carries out one backward pass for each task.

    Args:
        tape: The persistent tape that recorded the losses.
        losses: T losses by name.
        variables: V variables.
        layers: Their uses.

    Raises:
        ValueError: The tape is not persistent, or no loss reaches any variable.
    """
    outputs, frontier = layers.outputs(), layers.forward.frontier()
    sources = [*variables, *outputs, *frontier]
    rows = [differentiate(tape, loss, sources) for loss in losses.values()]
    after_variables, after_outputs = len(variables), len(variables) + len(outputs)
    by_task = tuple(tuple(row[:after_variables]) for row in rows)
    by_index = by_variable(by_task, losses)
    # What is not floating is kept, for it to be seen that there is such a thing.
    kept = [
        (tensor, gradients)
        for tensor, *gradients in zip(frontier, *(row[after_outputs:] for row in rows), strict=True)
        if not tensor.dtype.is_floating or any(gradient is not None for gradient in gradients)
    ]
    by_output = zip(*(row[after_variables:after_outputs] for row in rows), strict=True)
    return TapeGradients(
        tape,
        by_task,
        by_index,
        tuple(index for index in layers.readers if len(by_index[index]) > 1),
        [tensor for tensor, _ in kept],
        [[gradients[task] for _, gradients in kept] for task in range(len(rows))],
        # By identity: tensors of a graph have no other key.
        {id(output): own for output, own in zip(outputs, by_output, strict=True)},
    )


def confirm_layers(
    layers: Layers, found: TapeGradients, variables: Sequence[tf.Variable]
) -> Layers:
    """Leaves the shared variables to the tape of which the graph tells other than the tape.

    Args:
        layers: The variables' uses, as the graph shows them.
        found: The tape's gradients.
        variables: V variables.
    """
    reasons = {}
    for index in found.shared:
        if not _is_complete(layers, found, variables, index):
            reasons[index] = "part of it out of the tape's sight"
        elif index in layers.lookups and not _is_sparse(found, index):
            reasons[index] = "a lookup with dense gradients"
    confirmed = layers.leaving_to_tape(reasons)
    kernel_of = {
        bias: kernel
        for bias, kernel in confirmed.kernel_of.items()
        if _share_gradients(confirmed, found, variables, bias, kernel)
    }
    return dataclasses.replace(confirmed, kernel_of=kernel_of)


def _is_complete(
    layers: Layers, found: TapeGradients, variables: Sequence[tf.Variable], index: int
) -> bool:
    """Whether the tape has seen all uses of a variable, and nothing else, in each task."""
    uses = layers.uses_of(index)
    return found.has_seen([use.value for use in uses], variables[index]) and all(
        (gradient is not None)
        == (task in found.by_variable[index] and layers.forward.leads_to(use.output, task))
        for use in uses
        for task, gradient in enumerate(found.by_output(use.output))
    )


def _is_sparse(found: TapeGradients, index: int) -> bool:
    """Whether the tape's update is sparse; of a table that is reshaped it is not."""
    gradients = found.by_variable[index].values()
    return all(isinstance(gradient, tf.IndexedSlices) for gradient in gradients)


def _share_gradients(
    layers: Layers,
    found: TapeGradients,
    variables: Sequence[tf.Variable],
    bias: int,
    kernel: int,
) -> bool:
    """Whether a bias has the same task gradients as its kernel's linear outputs, summed."""
    values = [addition.value for addition in layers.additions[bias]]
    same_tasks = found.by_variable[bias].keys() == found.by_variable[kernel].keys()
    return same_tasks and found.has_seen(values, variables[bias])
