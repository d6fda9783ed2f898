"""Sums over the replicas of a `tf.distribute` strategy."""

from __future__ import annotations

from typing import TypeVar

import tensorflow as tf

Values = TypeVar("Values")


def on_several_replicas() -> bool:
    """Whether this is the replica context of a strategy with more than one replica."""
    context = tf.distribute.get_replica_context()
    return context is not None and context.num_replicas_in_sync > 1


def sum_over_replicas(values: Values) -> Values:
    """Sums tensors over all replicas, in one collective operation.

    Args:
        values: Tensors in any structure, not empty: a strategy fails to sum nothing.

    Returns:
        Their sums; the tensors themselves where there is one replica only.
    """
    if not on_several_replicas():
        return values
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, values)
