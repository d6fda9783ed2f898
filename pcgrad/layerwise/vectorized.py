"""One backward pass through the trunk for the gradients of all tasks at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import tensorflow as tf

from pcgrad.layerwise.forward_graph import ForwardGraph, ancestors

# Operations whose gradients `tf.vectorized_map` turns into a few large operations. As measured, it
# is slower than one task after the other for convolutions (by 100%) and attention (by 4%); loops
# and others it cannot vectorize.
_VECTORIZABLE = """
    Add AddN AddV2 BatchMatMulV2 BiasAdd BroadcastTo Cast ConcatV2 Cumsum Div DivNoNan Elu Erf Exp
    ExpandDims GatherV2 Identity IdentityN LeakyRelu Log Log1p MatMul Max Maximum Mean Minimum Mul
    Neg OnesLike Pack Pad PadV2 Pow Prod ReadVariableOp RealDiv Reciprocal Relu Relu6 Reshape
    ResourceGather Rsqrt Select SelectV2 Selu Shape Sigmoid Slice Softplus Softsign Split SplitV
    Sqrt Square SquaredDifference Squeeze StopGradient StridedSlice Sub Sum Tanh Tile Transpose
    Unpack ZerosLike
"""
VECTORIZABLE = frozenset(_VECTORIZABLE.split())


def cannot_be_vectorized(
    forward: ForwardGraph, readers: Iterable[tf.Operation], frontier: Sequence[tf.Tensor]
) -> str | None:
    """Why the trunk's backward pass cannot be carried out for all tasks at once.

    Args:
        forward: The forward pass.
        readers: The operations that take the variables in question.
        frontier: The tensors that the tasks' own parts of the forward pass begin with.

    Returns:
        The reason; `None` if it can.
    """
    if not frontier:
        return "the tasks have no common part"
    if not all(tensor.dtype.is_floating for tensor in frontier):
        return "the common part ends with other than real numbers"
    passed = forward.differentiated(readers)
    unsuited = sorted({operation.type for operation in passed} - VECTORIZABLE)
    if unsuited:
        return f"{unsuited[0]} in the common part"
    producers = {tensor.op for tensor in frontier}
    for producer in producers:
        # The gradient by the former would hold that by the latter a second time.
        if producers & ancestors(tensor.op for tensor in producer.inputs):
            return "the tasks take several features, one of which depends on another"
    return None


def pull_back(
    tape: tf.GradientTape,
    frontier: Sequence[tf.Tensor],
    gradients: Sequence[Sequence[tf.Tensor | tf.IndexedSlices | None]],
    sources: Sequence[tf.Tensor],
) -> list[tf.Tensor | None]:
    """Carries the tasks' gradients from the end of the trunk back to tensors inside.

    Args:
        tape: The persistent tape of the forward pass.
        frontier: F tensors, none of which depends on another.
        gradients: `gradients[task][f]`, T×F, by these tensors.
        sources: Tensors or variables of the trunk.

    Returns:
        For each source the task gradients [T, …]; `None` if the frontier does not depend on it.

    Raises:
        ValueError: An operation's gradient cannot be vectorized.
    """
    stacked = tuple(
        tf.stack([_dense(gradient, tensor) for gradient in column])
        for tensor, column in zip(frontier, zip(*gradients, strict=True), strict=True)
    )
    reached: list[int] = []

    def one_task(cotangents: tuple[tf.Tensor, ...]) -> list[tf.Tensor]:
        found = tape.gradient(list(frontier), list(sources), output_gradients=list(cotangents))
        reached[:] = [i for i, gradient in enumerate(found) if gradient is not None]
        return [tf.convert_to_tensor(found[i]) for i in reached]

    mapped = tf.vectorized_map(one_task, stacked, fallback_to_while_loop=False)
    by_source = dict(zip(reached, mapped, strict=True))
    return [by_source.get(i) for i in range(len(sources))]


def _dense(gradient: tf.Tensor | tf.IndexedSlices | None, tensor: tf.Tensor) -> tf.Tensor:
    return tf.zeros_like(tensor) if gradient is None else tf.convert_to_tensor(gradient)
