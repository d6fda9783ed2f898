"""From gradients and layers to a stack of task gradients for each shared variable."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from pcgrad.layerwise.cost import Kernel
from pcgrad.layerwise.layers import Layers
from pcgrad.layerwise.products import BiasStack, ProductStack, gradient_by_kernel, stack_products
from pcgrad.layerwise.tape_gradients import TapeGradients
from pcgrad.layerwise.uses import Lookup, Product
from pcgrad.layerwise.vectorized import cannot_be_vectorized, pull_back
from pcgrad.sparse_rows import of_widest_dtype
from pcgrad.stacks import TaskStack, stack_gradients

# As measured: with kernels for which products by rows pay only up to fewer rows than this, one
# backward pass for each task is faster than one for all.
_WORTH_VECTORIZING = 256


class Stacked(NamedTuple):
    """A shared variable's task gradients, and what its inner products are taken from."""

    stack: TaskStack
    route: str


@dataclasses.dataclass(frozen=True)
class LayerStacks:
    """The way from gradients to stacks, of one step that is traced.

    Attributes:
        variables: V variables.
        layers: Their uses, confirmed by the tape.
        found: The tape's gradients.
    """

    variables: Sequence[tf.Variable]
    layers: Layers
    found: TapeGradients

    def make(self) -> tuple[dict[int, Stacked], str]:
        """The stacks of all shared variables by index, and how the trunk is differentiated."""
        obstacle = self._obstacle_to_vectorizing()
        vectorized: dict[int, Stacked] = {}
        if obstacle is None:
            try:
                vectorized = self._from_one_backward_pass()
            except ValueError as error:
                obstacle = str(error).partition("\n")[0]
        stacks: dict[int, Stacked] = {}
        # Biases after the kernels that they may go with.
        for index in sorted(self.found.shared, key=self.layers.kernel_of.__contains__):
            stacks[index] = (
                self._with_kernel(index, stacks) or vectorized.get(index) or self._from_tape(index)
            )
        how = "all tasks at once" if obstacle is None else f"task by task ({obstacle})"
        return {index: stacks[index] for index in self.found.shared}, how

    def _with_kernel(self, bias: int, stacks: dict[int, Stacked]) -> Stacked | None:
        """A bias's stack, if it goes with a kernel whose gradients are kept as a product."""
        if bias not in self.layers.kernel_of:
            return None
        kernel = self.layers.kernel_of[bias]
        product = stacks[kernel].stack
        if not isinstance(product, ProductStack):
            return None
        return Stacked(BiasStack(product), f"with {path_of(self.variables[kernel])}")

    def _obstacle_to_vectorizing(self) -> str | None:
        """Why the tasks are differentiated one by one; `None` if all are at once."""
        layers, forward = self.layers, self.layers.forward
        readers = []
        for index in filter(layers.in_trunk, self.found.shared):
            path = path_of(self.variables[index])
            readers += layers.readers[index]
            if not forward.trunk.issuperset(layers.readers[index]):
                return f"{path} is used by all tasks together and by one alone"
            gradients = self.found.by_variable[index].values()
            by_tape = index in layers.unknown
            if by_tape and any(isinstance(g, tf.IndexedSlices) for g in gradients):
                return f"{path} has sparse gradients"
        tasks = len(self.found.by_task)
        if all(kernel.most_rows(tasks) < _WORTH_VECTORIZING for kernel in layers.kernels()):
            return "kernels are small"
        return cannot_be_vectorized(forward, readers, self.found.frontier)

    def _from_one_backward_pass(self) -> dict[int, Stacked]:
        """The stacks of the trunk's variables, from one backward pass for all tasks.

        Raises:
            ValueError: An operation's gradient cannot be vectorized.
        """
        indices = [
            index
            for index in self.found.shared
            if self.layers.in_trunk(index) and index not in self.layers.kernel_of
        ]
        sources = [self.layers.outputs_of(index) or [self.variables[index]] for index in indices]
        flat = [source for own in sources for source in own]
        found = self.found
        pulled = iter(pull_back(found.tape, found.frontier, found.by_frontier, flat))
        return {
            index: self._of_all_tasks(index, [next(pulled) for _ in own])
            for index, own in zip(indices, sources, strict=True)
        }

    def _of_all_tasks(self, index: int, gradients: list[tf.Tensor]) -> Stacked:
        """The stack of one variable, from gradients [T, …] by what it was differentiated by."""
        tasks, shape = tuple(self.found.by_variable[index]), self.variables[index].shape
        if len(tasks) < len(self.found.by_task):
            gradients = [tf.gather(one, tasks) for one in gradients]
        if index in self.layers.products:
            # [rows, t, out]: in this order all products are of neighbours in memory.
            width = self.layers.products[index][0].outputs
            flat = [tf.reshape(one, [len(tasks), -1, width]) for one in gradients]
            return self._product(index, [tf.transpose(one, [1, 0, 2]) for one in flat])
        if index in self.layers.lookups:
            slices = _looked_up(self.layers.lookups[index], gradients, len(tasks), shape)
            stack = stack_gradients(dict(zip(tasks, slices, strict=True)), shape)
            return Stacked(stack, "lookup")
        by_task = tf.unstack(gradients[0], num=len(tasks))
        stack = stack_gradients(dict(zip(tasks, by_task, strict=True)), shape)
        return Stacked(stack, f"tape ({self.layers.unknown[index]})")

    def _from_tape(self, index: int) -> Stacked:
        """The stack of one variable, from one backward pass for each task."""
        by_task, shape = self.found.by_variable[index], self.variables[index].shape
        if index in self.layers.lookups:
            return Stacked(stack_gradients(by_task, shape), "lookup")
        if index in self.layers.unknown:
            route = f"tape ({self.layers.unknown[index]})"
            return Stacked(stack_gradients(by_task, shape), route)
        products = self.layers.products[index]
        kernel = Kernel.of(products)
        rows = kernel.static_rows
        by_gradients = rows is not None and rows > kernel.most_rows(len(by_task))
        if by_gradients and not kernel.in_pieces:
            return Stacked(stack_gradients(by_task, shape), f"tape ({rows} rows are too many)")
        by_use = [self._output_gradients(product, tuple(by_task)) for product in products]
        if by_gradients or (rows is None and kernel.in_pieces):
            # Each task's output gradients can be forgotten before the next one's are made.
            inputs = [product.rows for product in products]
            gradients = {
                task: gradient_by_kernel(inputs, [own[place] for own in by_use], shape)
                for place, task in enumerate(by_task)
            }
            route = "product, gradient of all positions at once"
            return Stacked(stack_gradients(gradients, shape), route)
        return self._product(index, [tf.stack(own, axis=1) for own in by_use])

    def _product(self, index: int, output_gradients: list[tf.Tensor]) -> Stacked:
        """A kernel's stack, from its task gradients [rows, t, out] by the output of each use."""
        products, tasks = self.layers.products[index], tuple(self.found.by_variable[index])
        stack = stack_products(
            [use.rows for use in products],
            output_gradients,
            tasks,
            self.variables[index].shape,
            with_bias=index in self.layers.kernel_of.values(),
        )
        kernel = Kernel.of(products)
        rows, most = kernel.static_rows, kernel.most_rows(len(tasks))
        if rows is None:
            return Stacked(stack, f"product, by rows up to {most} rows, by gradients beyond")
        by = "rows" if rows <= most else "gradients"
        return Stacked(stack, f"product, by {by} ({rows} rows)")

    def _output_gradients(self, product: Product, tasks: tuple[int, ...]) -> list[tf.Tensor]:
        """The gradients [rows, out] of some tasks by a product's output."""
        by_task = self.found.by_output(product.output)
        own = [tf.zeros_like(product.output) if by_task[t] is None else by_task[t] for t in tasks]
        return [tf.reshape(tf.convert_to_tensor(one), [-1, product.outputs]) for one in own]


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


def path_of(variable: tf.Variable) -> str:
    """The name by which a variable is described."""
    return getattr(variable, "path", variable.name)
