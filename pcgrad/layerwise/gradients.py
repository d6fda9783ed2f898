"""From losses and a tape to task gradients of which those by kernels need not be formed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import tensorflow as tf

from pcgrad.layerwise.cost import Kernel
from pcgrad.layerwise.layers import Layers, obstacle
from pcgrad.layerwise.products import BiasStack, ProductStack, gradient_by_kernel, stack_products
from pcgrad.layerwise.uses import Lookup, Product
from pcgrad.layerwise.vectorized import cannot_be_vectorized, pull_back
from pcgrad.stacks import TaskStack, of_widest_dtype, stack_gradients
from pcgrad.task_gradients import (
    Losses,
    TaskGradients,
    by_variable,
    differentiate,
    named_losses,
    task_gradients,
)

# As measured: with kernels for which products by rows pay only up to fewer rows than this, one
# backward pass for each task is faster than one for all.
_WORTH_VECTORIZING = 256


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
        routes = tuple((_path(variables[index]), "tape") for index in plain.shared)
        return LayerwiseGradients(**vars(plain), backward=f"tape: {reason}", routes=routes)
    return _Differentiation(tape, named, variables, Layers(targets, variables)).gradients()


class _Differentiation:
    """One differentiation of T losses by V variables, while a function is traced."""

    def __init__(
        self,
        tape: tf.GradientTape,
        losses: Mapping[str, tf.Tensor],
        variables: tuple[tf.Variable, ...],
        layers: Layers,
    ) -> None:
        self._tape = tape
        self._names = tuple(losses)
        self._variables = variables
        self._layers = layers
        outputs, frontier = layers.outputs(), layers.forward.frontier()
        # One backward pass for each task, whatever of it will be needed.
        sources = [*variables, *outputs, *frontier]
        rows = [differentiate(tape, loss, sources) for loss in losses.values()]
        self._gradients = tuple(tuple(row[: len(variables)]) for row in rows)
        # By identity: tensors of a graph have no other key.
        self._by_output = {
            id(output): [row[len(variables) + place] for row in rows]
            for place, output in enumerate(outputs)
        }
        by_frontier = [row[len(variables) + len(outputs) :] for row in rows]
        # What is not floating is kept, for it to be seen that there is such a thing.
        reached = [
            i
            for i, tensor in enumerate(frontier)
            if not tensor.dtype.is_floating or any(row[i] is not None for row in by_frontier)
        ]
        self._frontier = [frontier[i] for i in reached]
        self._by_frontier = [[row[i] for i in reached] for row in by_frontier]
        self._by_variable = by_variable(self._gradients, losses)
        self._shared = [index for index in layers.readers if len(self._by_variable[index]) > 1]
        for index in self._shared:
            if layers.outputs_of(index) and not self._is_complete(index):
                layers.leave_to_tape(index, "part of it out of the tape's sight")
            elif index in layers.lookups and not self._is_sparse(index):
                layers.leave_to_tape(index, "a lookup with dense gradients")
        self._kernel_of = {
            bias: kernel
            for bias, kernel in layers.kernel_of.items()
            if self._shares_gradients_with(bias, kernel)
        }

    def gradients(self) -> LayerwiseGradients:
        """The task gradients, and the routes they took."""
        obstacle = self._not_vectorizable()
        vectorized: dict[int, TaskStack] = {}
        if obstacle is None:
            try:
                vectorized = self._vectorized()
            except ValueError as error:
                obstacle = str(error).partition("\n")[0]
        stacks: dict[int, TaskStack] = {}
        routes = {}
        # Biases after the kernels that they may go with.
        for index in sorted(self._shared, key=self._kernel_of.__contains__):
            product = stacks[self._kernel_of[index]] if index in self._kernel_of else None
            if isinstance(product, ProductStack):
                stacks[index] = BiasStack(product)
                how = f"with {_path(self._variables[self._kernel_of[index]])}"
            elif index in vectorized:
                stacks[index] = vectorized[index]
                how = self._by_tape(index)
            else:
                stacks[index], how = self._one_by_one(index)
            if isinstance(stacks[index], ProductStack):
                how = _products(Kernel.of(self._layers.products[index]), len(stacks[index].tasks))
            routes[index] = _path(self._variables[index]), how
        how = "all tasks at once" if obstacle is None else f"task by task ({obstacle})"
        return LayerwiseGradients(
            self._names,
            self._variables,
            self._gradients,
            {index: stacks[index] for index in self._shared},
            f"layer by layer, backward pass: {how}",
            tuple(routes[index] for index in self._shared),
        )

    def _is_complete(self, index: int) -> bool:
        """Whether the tape has seen all uses of a variable, and nothing else, in each task."""
        values = [use.value for use in self._layers.uses_of(index)]
        return self._has_seen(values, index) and all(
            (self._by_output[id(output)][task] is not None)
            == (task in self._by_variable[index] and self._layers.forward.leads_to(output, task))
            for output in self._layers.outputs_of(index)
            for task in range(len(self._names))
        )

    def _is_sparse(self, index: int) -> bool:
        """Whether the tape's update is sparse; of a table that is reshaped it is not."""
        gradients = self._by_variable[index].values()
        return all(isinstance(gradient, tf.IndexedSlices) for gradient in gradients)

    def _shares_gradients_with(self, bias: int, kernel: int) -> bool:
        """Whether a bias has the same task gradients as its kernel's linear outputs, summed."""
        return (
            kernel in self._layers.products
            and self._by_variable[bias].keys() == self._by_variable[kernel].keys()
            and self._has_seen([use.value for use in self._layers.additions[bias]], bias)
        )

    def _has_seen(self, values: list[tf.Tensor], index: int) -> bool:
        """Whether the tape has seen how a variable's values come from it."""
        variable = self._variables[index]
        return all(self._tape.gradient(value, variable) is not None for value in values)

    def _not_vectorizable(self) -> str | None:
        forward = self._layers.forward
        readers = []
        for index in filter(self._layers.in_trunk, self._shared):
            path = _path(self._variables[index])
            readers += self._layers.readers[index]
            if not forward.trunk.issuperset(self._layers.readers[index]):
                return f"{path} is used by all tasks together and by one alone"
            gradients = self._by_variable[index].values()
            by_tape = index in self._layers.unknown
            if by_tape and any(isinstance(g, tf.IndexedSlices) for g in gradients):
                return f"{path} has sparse gradients"
        kernels = self._layers.kernels()
        if all(k.most_rows(len(self._names)) < _WORTH_VECTORIZING for k in kernels):
            return "kernels are small"
        return cannot_be_vectorized(forward, readers, self._frontier)

    def _vectorized(self) -> dict[int, TaskStack]:
        """The stacks of the trunk's variables, from one backward pass for all tasks."""
        indices = [
            index
            for index in self._shared
            if self._layers.in_trunk(index) and index not in self._kernel_of
        ]
        sources = [self._layers.outputs_of(index) or [self._variables[index]] for index in indices]
        flat = [source for own in sources for source in own]
        found = iter(pull_back(self._tape, self._frontier, self._by_frontier, flat))
        return {
            index: self._stack(index, [next(found) for _ in own])
            for index, own in zip(indices, sources, strict=True)
        }

    def _stack(self, index: int, gradients: list[tf.Tensor]) -> TaskStack:
        """The stack of one variable, from all tasks' gradients [T, …] by what was sought."""
        tasks, shape = tuple(self._by_variable[index]), self._variables[index].shape
        if len(tasks) < len(self._names):
            gradients = [tf.gather(one, tasks) for one in gradients]
        if index in self._layers.products:
            # [rows, t, out]: in this order all products are of neighbours in memory.
            products = self._layers.products[index]
            width = products[0].outputs
            flat = [tf.reshape(one, [len(tasks), -1, width]) for one in gradients]
            by_row = [tf.transpose(one, [1, 0, 2]) for one in flat]
            rows = [use.rows for use in products]
            return stack_products(rows, by_row, tasks, shape, self._with_bias(index))
        if index not in self._layers.lookups:
            by_task = tf.unstack(gradients[0], num=len(tasks))
            return stack_gradients(dict(zip(tasks, by_task, strict=True)), shape)
        slices = _looked_up(self._layers.lookups[index], gradients, len(tasks), shape)
        return stack_gradients(dict(zip(tasks, slices, strict=True)), shape)

    def _one_by_one(self, index: int) -> tuple[TaskStack, str]:
        """The stack of one variable, from one backward pass for each task, and its route."""
        by_task, shape = self._by_variable[index], self._variables[index].shape
        if index not in self._layers.products:
            return stack_gradients(by_task, shape), self._by_tape(index)
        products = self._layers.products[index]
        kernel = Kernel.of(products)
        many = kernel.static_rows
        by_gradients = many is not None and many > kernel.most_rows(len(by_task))
        if by_gradients and not kernel.in_pieces:
            return stack_gradients(by_task, shape), f"tape ({many} rows are too many)"
        rows = [product.rows for product in products]
        by_use = [self._output_gradients(product, tuple(by_task)) for product in products]
        if by_gradients or (many is None and kernel.in_pieces):
            # Each task's output_gradients can be forgotten before the next one's are made.
            gradients = {
                task: gradient_by_kernel(rows, [own[place] for own in by_use], shape)
                for place, task in enumerate(by_task)
            }
            return stack_gradients(gradients, shape), "product, gradient of all positions at once"
        stacked = [tf.stack(output_gradients, axis=1) for output_gradients in by_use]
        stack = stack_products(rows, stacked, tuple(by_task), shape, self._with_bias(index))
        return stack, "product"

    def _with_bias(self, kernel: int) -> bool:
        return kernel in self._kernel_of.values()

    def _output_gradients(self, product: Product, tasks: tuple[int, ...]) -> list[tf.Tensor]:
        """The gradients [rows, out] of some tasks by a product's output."""
        own = [self._by_output[id(product.output)][task] for task in tasks]
        own = [tf.zeros_like(product.output) if one is None else one for one in own]
        return [tf.reshape(tf.convert_to_tensor(one), [-1, product.outputs]) for one in own]

    def _by_tape(self, index: int) -> str:
        return (
            f"tape ({self._layers.unknown[index]})" if index in self._layers.unknown else "lookup"
        )


def _looked_up(
    lookups: list[Lookup], gradients: list[tf.Tensor], tasks: int, shape: tf.TensorShape
) -> list[tf.IndexedSlices]:
    """Each task's sparse gradient by a table, from those by its rows [t, *ids.shape, …]."""
    flat_ids = [tf.reshape(lookup.ids, [-1]) for lookup in lookups]
    ids = tf.concat(of_widest_dtype(flat_ids), axis=0)
    flat = [tf.reshape(one, [tasks, -1, *shape[1:]]) for one in gradients]
    size = tf.constant(shape.as_list(), ids.dtype)
    values = tf.unstack(tf.concat(flat, axis=1), num=tasks)
    return [tf.IndexedSlices(value, ids, size) for value in values]


def _products(kernel: Kernel, tasks: int) -> str:
    most = kernel.most_rows(tasks)
    rows = kernel.static_rows
    if rows is None:
        return f"product, by rows up to {most} rows, by gradients beyond"
    return f"product, by {'rows' if rows <= most else 'gradients'} ({rows} rows)"


def _path(variable: tf.Variable) -> str:
    return getattr(variable, "path", variable.name)
