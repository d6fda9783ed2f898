"""What a layer does with its variable: a product, a lookup, adding it, or something else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import tensorflow as tf

from pcgrad.layerwise.forward_graph import ForwardGraph


@dataclasses.dataclass(frozen=True)
class Product:
    """`output = rows · kernel`, where the kernel is a variable, cast or reshaped.

    Attributes:
        rows: The layer's input, [..., inputs].
        kernel: The variable's value as it is multiplied, [inputs, outputs].
        output: The layer's linear output, before any bias, [..., outputs].
    """

    rows: tf.Tensor
    kernel: tf.Tensor
    output: tf.Tensor

    @property
    def inputs(self) -> int:
        """Rows of the kernel."""
        return self.kernel.shape[0]

    @property
    def outputs(self) -> int:
        """Columns of the kernel."""
        return self.kernel.shape[1]

    @property
    def value(self) -> tf.Tensor:
        """What depends on the variable in this use, and on nothing else."""
        return self.kernel


@dataclasses.dataclass(frozen=True)
class Lookup:
    """`output = table[ids]`, where the table is a variable, perhaps cast.

    Attributes:
        ids: The rows that are looked up, integers of any shape.
        output: The rows, [*ids.shape, *table.shape[1:]].
    """

    ids: tf.Tensor
    output: tf.Tensor

    @property
    def value(self) -> tf.Tensor:
        """What depends on the variable in this use, and on nothing else."""
        return self.output


@dataclasses.dataclass(frozen=True)
class Addition:
    """`output = input + value`, where the value is a vector, perhaps cast.

    Attributes:
        input: What the vector is added to, [..., outputs].
        value: The variable's value as it is added, [outputs].
        output: The sum, [..., outputs].
    """

    input: tf.Tensor
    value: tf.Tensor
    output: tf.Tensor


class Uses(NamedTuple):
    """All that the forward pass does with a variable."""

    products: list[Product]
    lookups: list[Lookup]
    additions: list[Addition]


class UnknownUseError(Exception):
    """The variable is used in another way; the message says in which."""


def find_uses(
    readers: Iterable[tf.Operation], forward: ForwardGraph, shape: tf.TensorShape
) -> Uses:
    """Finds all that the forward pass does with a variable.

    Args:
        readers: The operations that take the variable.
        forward: The forward pass.
        shape: The variable's shape.

    Returns:
        At most one kind of uses; none if the losses do not depend on the variable. All products
        are with a kernel of one shape.

    Raises:
        UnknownUseError: There is any other use.
    """
    uses: list[Product | Lookup | Addition] = []
    for reader in readers:
        if reader.type == "ResourceGather" and reader.get_attr("batch_dims") == 0:
            uses.append(Lookup(reader.inputs[1], reader.outputs[0]))
        elif reader.type == "ReadVariableOp":
            uses += _uses_of_value(forward, reader.outputs[0], shape)
        else:
            raise UnknownUseError(reader.type)
    products = [use for use in uses if isinstance(use, Product)]
    lookups = [use for use in uses if isinstance(use, Lookup)]
    additions = [use for use in uses if isinstance(use, Addition)]
    if len({type(use) for use in uses}) > 1:
        names = sorted({type(use).__name__.lower() for use in uses})
        raise UnknownUseError(" and ".join(names))
    if len({(use.inputs, use.outputs) for use in products}) > 1:
        raise UnknownUseError("products with kernels of different shapes")
    return Uses(products, lookups, additions)


def _uses_of_value(
    forward: ForwardGraph, value: tf.Tensor, shape: tf.TensorShape
) -> Iterator[Product | Lookup | Addition]:
    for consumer in value.consumers():
        if consumer not in forward.operations:
            continue
        # The first place: a product of the variable with itself is none of rows and a kernel.
        position = next(i for i, tensor in enumerate(consumer.inputs) if tensor is value)
        output = consumer.outputs[0]
        if _keeps_elements(consumer, position):
            yield from _uses_of_value(forward, output, shape)
        elif _is_product(consumer, position):
            yield Product(consumer.inputs[0], value, output)
        elif _is_lookup(consumer, position) and value.shape == shape:
            yield Lookup(consumer.inputs[1], output)
        elif _is_addition(consumer, position) and value.shape == shape:
            yield Addition(consumer.inputs[1 - position], value, output)
        else:
            raise UnknownUseError(consumer.type)


def _keeps_elements(operation: tf.Operation, position: int) -> bool:
    if operation.type == "Cast":
        return operation.outputs[0].dtype.is_floating
    return operation.type == "Identity" or (operation.type == "Reshape" and position == 0)


def _is_product(operation: tf.Operation, position: int) -> bool:
    transposed = {
        "MatMul": ("transpose_a", "transpose_b"),
        "BatchMatMulV2": ("adj_x", "adj_y"),
    }
    if position != 1 or operation.type not in transposed:
        return False
    rows, kernel = operation.inputs
    return (
        kernel.shape.rank == 2
        and kernel.shape.is_fully_defined()
        and rows.shape.rank is not None
        and rows.shape[-1] == kernel.shape[0]
        and not any(map(operation.get_attr, transposed[operation.type]))
    )


def _is_lookup(operation: tf.Operation, position: int) -> bool:
    if position != 0 or operation.type != "GatherV2" or operation.get_attr("batch_dims") != 0:
        return False
    return tf.get_static_value(operation.inputs[2]) == 0


def _is_addition(operation: tf.Operation, position: int) -> bool:
    """Whether a vector is added to the last dimension of something."""
    if operation.type == "BiasAdd":
        if position != 1 or operation.get_attr("data_format") != b"NHWC":
            return False
    elif operation.type != "AddV2":
        return False
    vector, other = operation.inputs[position], operation.inputs[1 - position]
    if vector.shape.rank != 1 or not other.shape.rank:
        return False
    # Neither of them is repeated along the last dimension.
    return vector.shape[0] is not None and vector.shape[0] == other.shape[-1]
