"""What the layers of a forward pass do with the variables."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from pcgrad.layerwise.cost import Kernel
from pcgrad.layerwise.forward_graph import ForwardGraph
from pcgrad.layerwise.uses import Addition, Lookup, Product, UnknownUseError, find_uses
from pcgrad.task_gradients import first_places, value_of


class Layers:
    """The uses of V variables in the graph that T losses are computed by.

    Attributes:
        forward: The forward pass.
        readers: By index of the variable the operations that take it.
        products: By index its products, of variables that are used in nothing else.
        lookups: By index its lookups, likewise.
        unknown: By index of any other variable what it is used in.
        additions: By index what vectors are added to, likewise; they are among the unknown, too.
        kernel_of: By index of a vector that is a kernel's bias, the index of that kernel: it is
            added to all outputs of the kernel's products, these are used in nothing else, nor is
            it.

    Args:
        losses: T tensors of one graph.
        variables: V `tf.Variable` or `keras.Variable`.
    """

    def __init__(self, losses: Sequence[tf.Tensor], variables: Sequence[tf.Variable]) -> None:
        self.forward = ForwardGraph(losses)
        self.readers: dict[int, list[tf.Operation]] = {}
        self.products: dict[int, list[Product]] = {}
        self.lookups: dict[int, list[Lookup]] = {}
        self.unknown: dict[int, str] = {}
        self.additions: dict[int, list[Addition]] = {}
        # Of a variable that is listed several times, the first place only.
        for index in sorted(set(first_places(variables))):
            value = value_of(variables[index])
            self.readers[index] = self.forward.readers(value)
            try:
                found = find_uses(self.readers[index], self.forward, value.shape)
            except UnknownUseError as use:
                self.unknown[index] = str(use)
                continue
            products, lookups, additions = found
            if products:
                self.products[index] = products
            if lookups:
                self.lookups[index] = lookups
            if additions:
                self.additions[index] = additions
                self.unknown[index] = additions[0].output.op.type
        self.kernel_of = self._kernels_of_biases()

    def _kernels_of_biases(self) -> dict[int, int]:
        # By identity: tensors of a graph have no other key.
        by_outputs = {frozenset(map(id, self.outputs_of(i))): i for i in self.products}
        found = {}
        for index, additions in self.additions.items():
            kernel = by_outputs.get(frozenset(id(addition.to) for addition in additions))
            if kernel is not None and all(
                self.forward.only_consumer(addition.to) is addition.output.op
                for addition in additions
            ):
                found[index] = kernel
        return found

    def uses_of(self, index: int) -> list[Product | Lookup]:
        """A variable's products or lookups."""
        return [*self.products.get(index, ()), *self.lookups.get(index, ())]

    def outputs_of(self, index: int) -> list[tf.Tensor]:
        """The linear outputs of a variable's products, or the results of its lookups."""
        return [use.output for use in self.uses_of(index)]

    def outputs(self) -> list[tf.Tensor]:
        """Those of all variables."""
        return [output for index in self.readers for output in self.outputs_of(index)]

    def kernels(self) -> list[Kernel]:
        """What the cost of all products depends on."""
        return [Kernel.of(products) for products in self.products.values()]

    def in_trunk(self, index: int) -> bool:
        """Whether a variable is used by what all losses depend on."""
        return any(reader in self.forward.trunk for reader in self.readers[index])

    def leave_to_tape(self, index: int, reason: str) -> None:
        """Leaves a variable to the tape."""
        self.products.pop(index, None)
        self.lookups.pop(index, None)
        self.unknown[index] = reason


def obstacle(losses: Sequence[tf.Tensor]) -> str | None:
    """Why there is no graph to look into, or no use in it; `None` if there is."""
    if len(losses) == 1:
        return "a single task"
    if tf.executing_eagerly():
        return "eager mode"
    graph = losses[0].graph
    if not hasattr(graph, "capture") or any(loss.graph is not graph for loss in losses):
        return "losses of several graphs"
    if tf.distribute.has_strategy():
        return "under a tf.distribute strategy"
    return None
