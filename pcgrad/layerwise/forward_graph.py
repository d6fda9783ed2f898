"""The graph of a forward pass: which operations lead to which loss, and what all depend on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import tensorflow as tf


class ForwardGraph:
    """The operations that T losses are computed by, in the graph that is being traced.

    The *trunk* are the operations that every loss depends on.

    Args:
        losses: T tensors of one graph.
    """

    def __init__(self, losses: Sequence[tf.Tensor]) -> None:
        self.graph: tf.Graph = losses[0].graph
        self._losses = tuple(losses)
        self._by_task = [ancestors([loss.op]) for loss in losses]
        self.operations: frozenset[tf.Operation] = frozenset().union(*self._by_task)
        self.trunk: frozenset[tf.Operation] = frozenset(self._by_task[0]).intersection(
            *self._by_task[1:]
        )

    def leads_to(self, tensor: tf.Tensor, task: int) -> bool:
        """Whether the loss of a task depends on a tensor."""
        return tensor.op in self._by_task[task]

    def takes(self, task: int, tensor: tf.Tensor) -> bool:
        """Whether the loss of a task depends on a tensor, not on other outputs of its operation."""
        return any(consumer in self._by_task[task] for consumer in tensor.consumers())

    def only_consumer(self, tensor: tf.Tensor) -> tf.Operation | None:
        """The one operation through which the losses depend on a tensor, if it is but one."""
        consumers = [consumer for consumer in tensor.consumers() if consumer in self.operations]
        if len(consumers) != 1 or any(tensor is loss for loss in self._losses):
            return None
        return consumers[0]

    def frontier(self) -> list[tf.Tensor]:
        """The tensors by which the rest of the losses' operations depend on the trunk.

        Those that a gradient may pass: not integers, but also complex numbers and lists of tensors.
        In the order of the graph, so that every process adds up in the same order.
        """
        losses = {id(loss) for loss in self._losses}
        return [
            tensor
            for operation in self.graph.get_operations()
            if operation in self.trunk
            for tensor in operation.outputs
            if _may_pass_a_gradient(tensor.dtype)
            and (
                id(tensor) in losses
                or any(c in self.operations and c not in self.trunk for c in tensor.consumers())
            )
        ]

    def readers(self, variable: tf.Variable) -> list[tf.Operation]:
        """The operations that take a variable, of those that the losses are computed by."""
        # The variable's place among the inputs of the function that is being traced.
        handle = self.graph.capture(variable.handle)
        return [operation for operation in handle.consumers() if operation in self.operations]

    def differentiated(self, readers: Iterable[tf.Operation]) -> set[tf.Operation]:
        """The trunk's operations that depend on what some of them have read."""
        found: set[tf.Operation] = set()
        waiting = [operation for operation in readers if operation in self.trunk]
        while waiting:
            operation = waiting.pop()
            if operation in found:
                continue
            found.add(operation)
            waiting += [
                consumer
                for tensor in operation.outputs
                for consumer in tensor.consumers()
                if consumer in self.trunk
            ]
        return found


def _may_pass_a_gradient(dtype: tf.DType) -> bool:
    return dtype.is_floating or dtype.is_complex or dtype == tf.variant


def ancestors(operations: Iterable[tf.Operation]) -> set[tf.Operation]:
    """The operations themselves and all that they depend on, within their graph."""
    found: set[tf.Operation] = set()
    waiting = list(operations)
    while waiting:
        operation = waiting.pop()
        if operation not in found:
            found.add(operation)
            waiting += [tensor.op for tensor in operation.inputs]
    return found
