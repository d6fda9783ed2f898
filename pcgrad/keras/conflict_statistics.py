"""A metric that follows which tasks conflict, over an epoch and over the whole run."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from pcgrad.gramian import cosines
from pcgrad.keras.block_sums import BlockSums, read_by_first_replica, standard_error


class _Sums(NamedTuple):
    """What is summed over steps; tensors or arrays.

    Attributes:
        defined: [T, T], how often the cosine of two tasks was defined; on the diagonal, how often
            the task's gradient was finite and not zero.
        cosines: [T, T], the cosines in these steps.
        conflicts: [T, T], how many of them were negative.
        norms: [T], the norms of the tasks' gradients in the steps in which they were defined.
    """

    defined: Any
    cosines: Any
    conflicts: Any
    norms: Any


class ConflictStatistics(keras.metrics.Metric):
    """Means over steps of the pairwise cosines, of the conflicts and of the gradients' norms.

    A pair of tasks conflicts in a step where its task gradients have a negative inner product. A
    pair whose cosine is undefined in a step (a task without labelled rows, a non-finite gradient)
    does not count in that step.

    `result`, `pairs` and `norms` are about the steps since `reset_state`, an epoch in `fit`.
    `run_pairs` is about all steps, and gives standard errors, from the means of at least 20 long
    blocks of steps.

    Args:
        tasks: The T task names.

    Attributes:
        is_followed: Whether steps are counted now. While they are not, nothing is reported, and
            what was found before is kept.
    """

    def __init__(self, tasks: Sequence[str], name: str = "conflict_statistics") -> None:
        super().__init__(name=name)
        self.tasks = tuple(tasks)
        self.is_followed = True
        self._has_steps = False
        count = len(self.tasks)
        # `_Sums` in one tensor, [3 T + 1, T], so that a step updates a single variable.
        self._run = BlockSums((3 * count + 1, count))
        self._total_before_epoch = read_by_first_replica(tf.zeros_like(self._run.total))
        self._nonfinite_steps = read_by_first_replica(tf.zeros(count, tf.int64))

    def update_state(self, gramian: tf.Tensor, scale: tf.Tensor | float = 1.0) -> None:
        """Counts one step.

        Args:
            gramian: The Gram matrix [T, T] of its task gradients.
            scale: The factor by which the losses, and so the gradients, were scaled.
        """
        self._has_steps = True
        gramian = tf.cast(gramian, tf.float64)
        squared_norms = tf.linalg.diag_part(gramian)
        finite = tf.math.is_finite(squared_norms)
        nonfinite_steps = self._nonfinite_steps + 1
        self._nonfinite_steps.assign(
            tf.where(finite, tf.zeros_like(nonfinite_steps), nonfinite_steps)
        )
        step = _sums_of_step(gramian, tf.logical_and(finite, squared_norms > 0))
        norms = step.norms / tf.cast(scale, tf.float64)
        self._run.add(tf.concat([*step[:3], norms[tf.newaxis]], axis=0))

    def reset_state(self) -> None:
        """Forgets the steps of the epoch, not those of the run."""
        if self.is_followed:
            self._total_before_epoch.assign(self._run.total)

    @property
    def state(self) -> list[tf.Variable]:
        """All that it knows: saved and restored, a resumed training knows its whole run."""
        return [*self._run.state, self._total_before_epoch]

    def result(self) -> dict[str, tf.Tensor]:
        """The mean over pairs and steps, NaN where no pair was defined; each task's mean norm."""
        if not self.is_followed:
            return {}
        epoch = self._split(tf.cast(self._run.total - self._total_before_epoch, tf.float32))
        pairs = 1 - tf.eye(len(self.tasks))
        defined = tf.reduce_sum(epoch.defined * pairs)
        norms = epoch.norms / tf.linalg.diag_part(epoch.defined)
        return {
            "conflicting_pairs": tf.reduce_sum(epoch.conflicts * pairs) / defined,
            "mean_cosine": tf.reduce_sum(epoch.cosines * pairs) / defined,
            **{
                f"{task}_gradient_norm": norm
                for task, norm in zip(self.tasks, tf.unstack(norms), strict=True)
            },
        }

    def pairs(self) -> list[dict[str, Any]]:
        """For each pair of tasks: names, steps counted, mean cosine, share of conflicting steps.

        Empty, as are `norms` and `run_pairs`, if the conflicts have never been followed.
        """
        return _pairs(self.tasks, self._epoch()) if self._is_known else []

    def norms(self) -> dict[str, float]:
        """Each task's mean gradient norm."""
        if not self._is_known:
            return {}
        epoch = self._epoch()
        counts = np.diagonal(epoch.defined)
        return {
            task: _mean(total, count)
            for task, total, count in zip(self.tasks, epoch.norms, counts, strict=True)
        }

    def nonfinite_steps(self) -> dict[str, int]:
        """For how many steps, up to the last one, each task's gradient has not been finite."""
        if not self.is_followed:
            return {}
        return dict(zip(self.tasks, self._nonfinite_steps.numpy().tolist(), strict=True))

    def run_pairs(self) -> list[dict[str, Any]]:
        """The same over all steps, with `blocks` and the standard errors of the block means.

        Of less than 20 full blocks no standard error is given (NaN).
        """
        if not self._is_known:
            return []
        found = _pairs(self.tasks, self._split(self._run.total.numpy()))
        by_block = [_pairs(self.tasks, self._split(block)) for block in self._run.full_blocks()]
        for pair, *of_blocks in zip(found, *by_block, strict=True):
            for key in ("mean_cosine", "conflicting"):
                means = np.array([block[key] for block in of_blocks])
                pair[f"{key}_standard_error_of_block_means"] = standard_error(means)
            pair["blocks"] = len(by_block)
        return found

    @property
    def _is_known(self) -> bool:
        return self.is_followed or self._has_steps

    def _epoch(self) -> _Sums:
        return self._split((self._run.total - self._total_before_epoch).numpy())

    def _split(self, sums: Any) -> _Sums:
        count = len(self.tasks)
        return _Sums(sums[:count], sums[count : 2 * count], sums[2 * count : -1], sums[-1])


def _sums_of_step(gramian: tf.Tensor, known: tf.Tensor) -> _Sums:
    """What one step adds.

    Args:
        gramian: [T, T], float64.
        known: [T], whether a task has a gradient; without labels it has none.
    """
    both_known = tf.logical_and(known[:, tf.newaxis], known[tf.newaxis, :])
    # Nothing is computed of what is not known, for `tf.debugging.enable_check_numerics`.
    gramian = tf.where(both_known, gramian, tf.ones([], tf.float64))
    defined = tf.cast(tf.logical_and(both_known, tf.math.is_finite(gramian)), tf.float64)
    values = tf.math.multiply_no_nan(cosines(gramian), defined)
    norms = tf.sqrt(tf.linalg.diag_part(gramian)) * tf.linalg.diag_part(defined)
    return _Sums(defined, values, tf.cast(values < 0, tf.float64), norms)


def _pairs(tasks: Sequence[str], sums: _Sums) -> list[dict[str, Any]]:
    return [
        {
            "tasks": [tasks[i], tasks[j]],
            "steps": int(sums.defined[i, j]),
            "mean_cosine": _mean(sums.cosines[i, j], sums.defined[i, j]),
            "conflicting": _mean(sums.conflicts[i, j], sums.defined[i, j]),
        }
        for i, j in itertools.combinations(range(len(tasks)), 2)
    ]


def _mean(total: float, count: float) -> float:
    return float(total / count) if count else math.nan
