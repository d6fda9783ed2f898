"""Sums over the steps of a run and over blocks of them, which tell how sure the means are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

# When so many blocks are full, two become one: from then on at least half of them are.
_BLOCKS = 40


class BlockSums:
    """A tensor's sums over all steps, and over blocks of successive steps (batch means).

    Successive steps resemble each other, so the error of a mean does not follow from single steps,
    but from the means of long blocks. A block has one step at first; its length doubles whenever
    40 blocks are full.

    Args:
        shape: The tensor's shape.

    Attributes:
        total: The sum over all steps.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        sums = tf.zeros(shape, tf.float64)
        self.total = read_by_first_replica(sums)
        self._total_before_block = read_by_first_replica(sums)
        self._blocks = read_by_first_replica(tf.zeros((_BLOCKS, *shape), tf.float64))
        self._full_blocks = read_by_first_replica(tf.zeros([], tf.int64))
        self._block_length = read_by_first_replica(tf.ones([], tf.int64))
        self._steps_in_block = read_by_first_replica(tf.zeros([], tf.int64))

    @property
    def state(self) -> list[tf.Variable]:
        """All that it knows, to be saved and restored."""
        return [
            self.total,
            self._total_before_block,
            self._blocks,
            self._full_blocks,
            self._block_length,
            self._steps_in_block,
        ]

    def add(self, values: tf.Tensor) -> None:
        """Adds the tensor of one step."""
        self.total.assign_add(values)
        self._steps_in_block.assign_add(1)
        is_full = tf.greater_equal(self._steps_in_block, self._block_length)
        tf.cond(is_full, self._end_block, lambda: None)

    def full_blocks(self) -> npt.NDArray[np.float64]:
        """The sums over each full block, [blocks, *shape]."""
        return self._blocks.numpy()[: int(self._full_blocks.numpy())]

    def _end_block(self) -> None:
        block = self.total - self._total_before_block
        place = tf.one_hot(self._full_blocks, _BLOCKS, dtype=tf.float64)
        self._blocks.assign_add(tf.tensordot(place, block, axes=0))
        self._total_before_block.assign(self.total)
        self._steps_in_block.assign(0)
        self._full_blocks.assign_add(1)
        tf.cond(tf.greater_equal(self._full_blocks, _BLOCKS), self._join_pairs, lambda: None)

    def _join_pairs(self) -> None:
        pairs = tf.reshape(self._blocks, [_BLOCKS // 2, 2, *self.total.shape])
        joined = tf.reduce_sum(pairs, axis=1)
        self._blocks.assign(tf.concat([joined, tf.zeros_like(joined)], axis=0))
        self._full_blocks.assign(_BLOCKS // 2)
        self._block_length.assign(2 * self._block_length)


def standard_error(means: npt.NDArray[Any]) -> float:
    """The standard error of a mean, from the means of full blocks.

    Args:
        means: One for each block; NaN of a block in which nothing was defined, which does not
            count.

    Returns:
        NaN where less than 20 blocks count.
    """
    means = means[np.isfinite(means)]
    if len(means) < _BLOCKS // 2:
        return math.nan
    return float(means.std(ddof=1) / math.sqrt(len(means)))


def read_by_first_replica(value: Any) -> tf.Variable:
    """A variable that each replica updates for itself and that is read from the first one.

    All replicas see the global Gram matrix, so any one of them can tell.
    """
    return tf.Variable(
        value,
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )
