"""What the layers of a forward pass do with the variables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import tensorflow as tf

from pcgrad.layerwise.cost import Kernel
from pcgrad.layerwise.forward_graph import ForwardGraph
from pcgrad.layerwise.uses import Addition, Lookup, Product, UnknownUseError, find_uses
from pcgrad.task_gradients import first_places, value_of


@dataclasses.dataclass(frozen=True)
class Layers:
    """The uses of V variables in the graph that T losses are computed by.

    Variables are named by their index; one that is listed several times by its first.

    Attributes:
        forward: The forward pass.
        readers: Of each variable the operations that take it.
        products: The products of each variable that is used in nothing else.
        lookups: Its lookups, likewise.
        unknown: Of any other variable what it is used in.
        additions: What vectors are added to, likewise; they are among the unknown, too.
        kernel_of: Of a vector that is a kernel's bias, that kernel: the vector is added to all
            outputs of the kernel's products, these are used in nothing else, nor is it.
    """

    forward: ForwardGraph
    readers: Mapping[int, list[tf.Operation]]
    products: Mapping[int, list[Product]]
    lookups: Mapping[int, list[Lookup]]
    unknown: Mapping[int, str]
    additions: Mapping[int, list[Addition]]
    kernel_of: Mapping[int, int]

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

    def leaving_to_tape(self, reasons: Mapping[int, str]) -> Layers:
        """The same but for some variables, whose gradients the tape shall take.

        Args:
            reasons: Reason by index of the variable.
        """
        return dataclasses.replace(
            self,
            products={i: own for i, own in self.products.items() if i not in reasons},
            lookups={i: own for i, own in self.lookups.items() if i not in reasons},
            unknown={**self.unknown, **reasons},
            kernel_of={b: kernel for b, kernel in self.kernel_of.items() if kernel not in reasons},
        )


def find_layers(losses: Sequence[tf.Tensor], variables: Sequence[tf.Variable]) -> Layers:
    """Reads the graph of a forward pass.

    Args:
        losses: T tensors of one graph.
        variables: V `tf.Variable` or `keras.Variable`.
    """
    forward = ForwardGraph(losses)
    readers, unknown = {}, {}
    products, lookups, additions = {}, {}, {}
    for index in sorted(set(first_places(variables))):
        value = value_of(variables[index])
        readers[index] = forward.readers(value)
        try:
            found = find_uses(readers[index], forward, value.shape)
        except UnknownUseError as use:
            unknown[index] = str(use)
            continue
        if found.products:
            products[index] = found.products
        if found.lookups:
            lookups[index] = found.lookups
        if found.additions:
            additions[index] = found.additions
            unknown[index] = found.additions[0].output.op.type
    kernel_of = _kernels_of_biases(forward, products, additions)
    return Layers(forward, readers, products, lookups, unknown, additions, kernel_of)


def _kernels_of_biases(
    forward: ForwardGraph,
    products: Mapping[int, list[Product]],
    additions: Mapping[int, list[Addition]],
) -> dict[int, int]:
    # By identity: tensors of a graph have no other key.
    by_outputs = {frozenset(id(use.output) for use in own): i for i, own in products.items()}
    kernels = {
        index: by_outputs.get(frozenset(id(addition.input) for addition in own))
        for index, own in additions.items()
        if all(forward.only_consumer(one.input) is one.output.op for one in own)
    }
    return {index: kernel for index, kernel in kernels.items() if kernel is not None}


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
