"""The rows that sparse gradients of several tasks touch, each once."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


def sum_repeated_rows(
    slices: Sequence[tf.IndexedSlices], dense_shape: tf.TensorShape, chunk: int
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Aligns sparse gradients on the union of the rows they touch.

    Args:
        slices: The sparse gradients of several tasks.
        dense_shape: The shape of the variable.
        chunk: About how many elements a chunk shall have.

    Returns:
        The rows, each once, and each gradient's sums over its repeated rows, [chunks, elements]:
        some rows in one chunk, zeros at the end.
    """
    distinct, place = _distinct([one.indices for one in slices])
    indices = of_widest_dtype(distinct)
    rows, position = tf.unique(tf.concat(indices, axis=0))
    positions = [position]
    if len(indices) > 1:
        positions = tf.split(position, [tf.size(one) for one in indices])
    # The number of rows touched is known too late for XLA; this bound is known from the shapes.
    width = dense_shape[1:].num_elements()
    in_one_chunk = max(1, chunk // max(1, width))
    most = sum(one.shape[0] or tf.shape(one)[0] for one in indices)
    most = min(most, dense_shape[0]) if isinstance(most, int) else tf.minimum(most, dense_shape[0])
    chunks = (most + in_one_chunk - 1) // in_one_chunk
    summed = [
        tf.math.unsorted_segment_sum(
            tf.reshape(one.values, [-1, width]), positions[i], chunks * in_one_chunk
        )
        for one, i in zip(slices, place, strict=True)
    ]
    return rows, [tf.reshape(one, [chunks, in_one_chunk * width]) for one in summed]


def _distinct(tensors: Sequence[tf.Tensor]) -> tuple[list[tf.Tensor], list[int]]:
    """The tensors that may differ, and for each one given its place among them.

    Most often all tasks look up the same rows, and these need to be compared only once.
    """
    distinct: list[tf.Tensor] = []
    places = []
    for tensor in tensors:
        same = (i for i, other in enumerate(distinct) if _are_same(tensor, other))
        place = next(same, len(distinct))
        if place == len(distinct):
            distinct.append(tensor)
        places.append(place)
    return distinct, places


def _are_same(one: tf.Tensor, other: tf.Tensor, depth: int = 6) -> bool:
    """Whether two tensors of a graph certainly have the same value; False where it is not known.

    Every task's backward pass makes the indices of the same lookup anew, by the same operations.
    """
    if one is other:
        return True
    if tf.executing_eagerly() or depth == 0:
        return False
    left, right = one.op, other.op
    return (
        left.type == right.type
        and not left.op_def.is_stateful
        and one.value_index == other.value_index
        and left.node_def.attr == right.node_def.attr
        and len(left.inputs) == len(right.inputs)
        and all(map(_are_same, left.inputs, right.inputs, [depth - 1] * len(left.inputs)))
    )


def of_widest_dtype(indices: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """Rows of one table, looked up with int32 in one place and with int64 in another."""
    wide = any(one.dtype == tf.int64 for one in indices)
    return [tf.cast(one, tf.int64 if wide else tf.int32) for one in indices]
