"""One flat vector for each task: the form in which gradients can be handed to other tools.

`PCGrad.pc_backward` does not use it; it gives the same numbers without ever concatenating.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from pcgrad.gramian import sum_of_gram_matrices
from pcgrad.replicas import on_several_replicas, sum_over_replicas
from pcgrad.stacks import stack_gradients
from pcgrad.task_gradients import TaskGradients, first_places


def pack(
    gradients: TaskGradients,
) -> tuple[list[tf.Tensor], list[tf.TensorShape], list[tf.Tensor]]:
    """Flattens each task's gradients over all variables, in order.

    Args:
        gradients: The gradients of T tasks with respect to V variables of N elements in all.

    Returns:
        T gradients [N], zero where missing; the V shapes; T masks [N], one where present.

    Raises:
        ValueError: A variable is listed several times: the vectors would count it as often.
    """
    for index, first in enumerate(first_places(gradients.variables)):
        if first < index:
            raise ValueError(
                f"variables[{index}] is variables[{first}] once more, and would count twice in the "
                "packed gradients: list every variable once"
            )
    dtype = _widest([tf.as_dtype(variable.dtype) for variable in gradients.variables])
    shapes = [tf.TensorShape(variable.shape) for variable in gradients.variables]
    packed, masks = [], []
    for row in gradients.gradients:
        flat = [
            tf.zeros([shape.num_elements()], dtype)
            if gradient is None
            else tf.reshape(tf.cast(tf.convert_to_tensor(gradient), dtype), [-1])
            for gradient, shape in zip(row, shapes, strict=True)
        ]
        mask = [
            tf.fill([shape.num_elements()], tf.cast(gradient is not None, dtype))
            for gradient, shape in zip(row, shapes, strict=True)
        ]
        packed.append(tf.concat(flat, axis=0))
        masks.append(tf.concat(mask, axis=0))
    return packed, shapes, masks


def merge(
    gradients: Sequence[tf.Tensor] | tf.Tensor,
    masks: Sequence[tf.Tensor] | tf.Tensor,
    weighting: Callable[[tf.Tensor], tf.Tensor],
) -> tf.Tensor:
    """Combines packed gradients: weighted where at least two tasks reach, as they are elsewhere.

    On several replicas the Gram matrix is that of the sums over the replicas, as in `gram_matrix`;
    what is combined are this replica's gradients.

    Args:
        gradients: T gradients [N] or [T, N], floating.
        masks: T masks [N] or [T, N], numeric or bool, non-zero where the gradient exists.
        weighting: Gram matrix [T, T] → weights [T].

    Returns:
        [N], of the gradients' dtype.

    Raises:
        ValueError: The numbers of gradients and masks differ, or there are none.
    """
    gradients, masks = _as_list(gradients), _as_list(masks)
    if len(gradients) != len(masks) or not gradients:
        raise ValueError(
            f"{len(gradients)} gradients and {len(masks)} masks: pass one of each for every task, "
            "as `pack_grad` returns them"
        )
    reached = [tf.cast(mask, tf.bool) for mask in masks]
    existing = [
        tf.where(mask, gradient, tf.zeros_like(gradient))
        for mask, gradient in zip(reached, gradients, strict=True)
    ]
    shared = tf.add_n([tf.cast(mask, tf.int32) for mask in reached]) > 1
    own = {task: tf.where(shared, g, tf.zeros_like(g)) for task, g in enumerate(existing)}
    stack = everywhere = stack_gradients(own, shared.shape)
    if on_several_replicas():
        everywhere = stack_gradients(sum_over_replicas(own), shared.shape)
    weights = weighting(sum_of_gram_matrices([everywhere], len(existing)))
    combined = stack.weighted_sum(weights)
    return tf.where(shared, tf.cast(combined, existing[0].dtype), tf.add_n(existing))


def unpack(merged: tf.Tensor, shapes: Sequence[tf.TensorShape | Sequence[int]]) -> list[tf.Tensor]:
    """The inverse of packing one task's gradients.

    Args:
        merged: [N].
        shapes: Shapes with N elements in all.

    Returns:
        A tensor of each shape.

    Raises:
        ValueError: The shapes do not have N elements in all.
    """
    sizes = [tf.TensorShape(shape).num_elements() for shape in shapes]
    found = merged.shape[0]
    if found is not None and found != sum(sizes):
        raise ValueError(
            f"`merged` has {found} elements and `shapes` have {sum(sizes)}: pass the shapes that "
            "`pack_grad` returned with it"
        )
    parts = tf.split(merged, sizes)
    return [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]


def _as_list(tensors: Sequence[tf.Tensor] | tf.Tensor) -> list[tf.Tensor]:
    if tf.is_tensor(tensors):
        return tf.unstack(tensors)
    return [tf.convert_to_tensor(tensor) for tensor in tensors]


def _widest(dtypes: list[tf.DType]) -> tf.DType:
    """The narrowest dtype that holds all; float32 for a mixture of float16 and bfloat16."""
    if len(set(dtypes)) == 1:
        return dtypes[0]
    return tf.float64 if tf.float64 in dtypes else tf.float32
