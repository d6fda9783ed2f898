"""Sums over the replicas of a `tf.distribute` strategy."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import TypeVar

import tensorflow as tf

Values = TypeVar("Values")

# Of the thread: each replica has its own.
_is_on_its_own = contextvars.ContextVar("is_on_its_own", default=False)


@contextlib.contextmanager
def on_its_own() -> Iterator[None]:
    """While it is open, a replica's rows are a batch of their own, no part of a global one."""
    token = _is_on_its_own.set(True)
    try:
        yield
    finally:
        _is_on_its_own.reset(token)


def on_several_replicas() -> bool:
    """Whether this is the replica context of a strategy with more than one replica."""
    if _is_on_its_own.get():
        return False
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
