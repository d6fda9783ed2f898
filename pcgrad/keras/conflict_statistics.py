"""A metric that follows which tasks conflict, over an epoch and over the whole run."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pcgrad.gramian import cosines

# When so many blocks of steps are full, two become one: after that at least half of them are.
_BLOCKS = 40

# What is summed over the steps, [3, T, T]: how often the cosine was defined; the cosines, on the
# diagonal the gradients' norms; the conflicts, on the diagonal the number of steps.
_COUNT, _SUM, _CONFLICTS = range(3)


class ConflictStatistics(keras.metrics.Metric):
    """Means over steps of the pairwise cosines, of the conflicts and of the gradients' norms.

    A pair of tasks conflicts in a step where its task gradients have a negative inner product. A
    pair whose cosine is undefined in a step (a task without labelled rows, a non-finite gradient)
    does not count in that step.

    `result` and `pairs` are about the steps since `reset_state`, an epoch in `fit`. `run_pairs` is
    about all steps, and gives standard errors. Successive steps resemble each other, so these do
    not come from single steps but from the means of long blocks of steps (batch means: at least 20
    blocks, whose length doubles as the run goes on).

    Args:
        tasks: The T task names.
    """

    def __init__(self, tasks: Sequence[str], name: str = "conflict_statistics") -> None:
        super().__init__(name=name)
        self.tasks = tuple(tasks)
        sums = tf.zeros((3, len(self.tasks), len(self.tasks)), tf.float64)
        # Updated in every step; all else follows from what it was at certain steps.
        self._total = _variable(sums)
        self._total_before_epoch = _variable(sums)
        self._total_before_block = _variable(sums)
        self._full_blocks = _variable(tf.zeros((_BLOCKS, *sums.shape), tf.float64))
        self._count_of_full_blocks = _variable(0)
        self._block_length = _variable(tf.ones([], tf.float64))
        self._end_of_block = _variable(tf.ones([], tf.float64))
        self._nonfinite_steps = _variable(tf.zeros(len(self.tasks), tf.int64))

    def update_state(self, gramian: tf.Tensor, scale: tf.Tensor | float = 1.0) -> None:
        """Counts one step.

        Args:
            gramian: The Gram matrix [T, T] of its task gradients.
            scale: The factor by which the losses, and so the gradients, were scaled.
        """
        squared_norms = tf.linalg.diag_part(tf.cast(gramian, tf.float64))
        finite = tf.math.is_finite(squared_norms)
        nonfinite_steps = self._nonfinite_steps + 1
        self._nonfinite_steps.assign(
            tf.where(finite, tf.zeros_like(nonfinite_steps), nonfinite_steps)
        )
        # A task without labels has no gradient: its norm is undefined, as its cosines are. Nothing
        # is computed of it, for `tf.debugging.enable_check_numerics`.
        known = tf.logical_and(finite, squared_norms > 0)
        known = tf.logical_and(known[:, tf.newaxis], known[tf.newaxis, :])
        gramian = tf.where(known, tf.cast(gramian, tf.float64), tf.ones([], tf.float64))
        norms = tf.sqrt(tf.linalg.diag_part(gramian)) / tf.cast(scale, tf.float64)
        defined = tf.cast(tf.logical_and(known, tf.math.is_finite(gramian)), tf.float64)
        values = tf.linalg.set_diag(cosines(gramian), norms)
        values = tf.math.multiply_no_nan(values, defined)
        counted = tf.logical_or(values < 0, tf.eye(len(self.tasks), dtype=tf.bool))
        self._total.assign_add(tf.stack([defined, values, tf.cast(counted, tf.float64)]))
        steps = self._total[_CONFLICTS, 0, 0]
        tf.cond(tf.greater_equal(steps, self._end_of_block), self._end_block, lambda: None)

    def reset_state(self) -> None:
        """Forgets the steps of the epoch, not those of the run."""
        self._total_before_epoch.assign(self._total)

    def _end_block(self) -> None:
        count = self._count_of_full_blocks
        block = self._total - self._total_before_block
        place = tf.one_hot(count, _BLOCKS, dtype=tf.float64)
        self._full_blocks.assign_add(tf.einsum("b,ktu->bktu", place, block))
        self._total_before_block.assign(self._total)
        count.assign_add(1)
        tf.cond(tf.greater_equal(count, _BLOCKS), self._double_blocks, lambda: None)
        self._end_of_block.assign_add(self._block_length)

    def _double_blocks(self) -> None:
        pairs = tf.reshape(self._full_blocks, [_BLOCKS // 2, 2, *self._total.shape])
        merged = tf.reduce_sum(pairs, axis=1)
        self._full_blocks.assign(tf.concat([merged, tf.zeros_like(merged)], axis=0))
        self._count_of_full_blocks.assign(_BLOCKS // 2)
        self._block_length.assign(2 * self._block_length)

    @property
    def state(self) -> list[tf.Variable]:
        """All that it knows: saved and restored, a resumed training knows its whole run."""
        return [
            self._total,
            self._total_before_epoch,
            self._total_before_block,
            self._full_blocks,
            self._count_of_full_blocks,
            self._block_length,
            self._end_of_block,
        ]

    def result(self) -> dict[str, tf.Tensor]:
        """The mean over pairs and steps, NaN where no pair was defined; each task's mean norm."""
        epoch = tf.cast(self._total - self._total_before_epoch, tf.float32)
        count, total, conflicts = tf.unstack(epoch)
        pairs = 1 - tf.eye(len(self.tasks))
        norms = tf.linalg.diag_part(total) / tf.linalg.diag_part(count)
        return {
            "conflicting_pairs": tf.reduce_sum(conflicts * pairs) / tf.reduce_sum(count * pairs),
            "mean_cosine": tf.reduce_sum(total * pairs) / tf.reduce_sum(count * pairs),
            **{
                f"{task}_gradient_norm": norm
                for task, norm in zip(self.tasks, tf.unstack(norms), strict=True)
            },
        }

    def pairs(self) -> list[dict[str, Any]]:
        """For each pair of tasks: names, steps counted, mean cosine, share of conflicting steps."""
        return _pairs(self.tasks, self._epoch())

    def norms(self) -> dict[str, float]:
        """Each task's mean gradient norm."""
        counts, totals = (np.diagonal(self._epoch()[kind]) for kind in (_COUNT, _SUM))
        return {
            task: float(total / count) if count else math.nan
            for task, total, count in zip(self.tasks, totals, counts, strict=True)
        }

    def nonfinite_steps(self) -> dict[str, int]:
        """For how many steps, up to the last one, each task's gradient has not been finite."""
        return dict(zip(self.tasks, self._nonfinite_steps.numpy().tolist(), strict=True))

    def run_pairs(self) -> list[dict[str, Any]]:
        """The same over all steps, with `blocks` and the standard errors of the block means.

        Of less than 20 full blocks no standard error is given (NaN).
        """
        full = int(self._count_of_full_blocks.numpy())
        blocks = self._full_blocks.numpy()[:full]
        found = _pairs(self.tasks, self._total.numpy())
        by_block = [_pairs(self.tasks, block) for block in blocks]
        for pair, *of_blocks in zip(found, *by_block, strict=True):
            for key in ("mean_cosine", "conflicting"):
                means = np.array([block[key] for block in of_blocks])
                pair[f"{key}_standard_error_of_block_means"] = _standard_error(means)
            pair["blocks"] = full
        return found

    def _epoch(self) -> npt.NDArray[np.float64]:
        return (self._total - self._total_before_epoch).numpy()


def _variable(value: Any) -> tf.Variable:
    """All replicas see the global Gram matrix, so any one of them can tell."""
    return tf.Variable(
        value,
        trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
    )


def _pairs(tasks: Sequence[str], sums: npt.NDArray[Any]) -> list[dict[str, Any]]:
    rows = []
    for i, j in itertools.combinations(range(len(tasks)), 2):
        count = int(sums[_COUNT, i, j])
        rows.append(
            {
                "tasks": [tasks[i], tasks[j]],
                "steps": count,
                "mean_cosine": float(sums[_SUM, i, j]) / count if count else math.nan,
                "conflicting": float(sums[_CONFLICTS, i, j]) / count if count else math.nan,
            }
        )
    return rows


def _standard_error(means: npt.NDArray[Any]) -> float:
    """Of the mean of block means; blocks in which nothing was defined do not count."""
    means = means[np.isfinite(means)]
    if len(means) < _BLOCKS // 2:
        return math.nan
    return float(means.std(ddof=1) / math.sqrt(len(means)))
