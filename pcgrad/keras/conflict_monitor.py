"""Reporting which tasks conflict: a metric of `fit`, TensorBoard scalars, JSON lines."""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
import posixpath
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pcgrad.gramian import cosines


class ConflictStatistics(keras.metrics.Metric):
    """Means, over the steps of an epoch, of the pairwise cosines and of the conflicts.

    A pair of tasks conflicts in a step where its task gradients have a negative inner product. A
    pair whose cosine is undefined in a step (a task without labelled rows, a non-finite gradient)
    does not count in that step.

    Args:
        tasks: The T task names.
    """

    def __init__(self, tasks: Sequence[str], name: str = "conflict_statistics") -> None:
        super().__init__(name=name)
        self.tasks = tuple(tasks)
        shape = (len(self.tasks), len(self.tasks))
        self._steps = self.add_weight(shape=shape, initializer="zeros", name="steps")
        self._cosines = self.add_weight(shape=shape, initializer="zeros", name="cosines")
        self._conflicts = self.add_weight(shape=shape, initializer="zeros", name="conflicts")

    def update_state(self, gramian: tf.Tensor) -> None:
        """Counts one step, given the Gram matrix [T, T] of its task gradients."""
        cosine = tf.cast(cosines(gramian), tf.float32)
        defined = tf.math.is_finite(cosine)
        counted = tf.where(defined, cosine, tf.zeros_like(cosine))
        self._steps.assign_add(tf.cast(defined, tf.float32))
        self._cosines.assign_add(counted)
        self._conflicts.assign_add(tf.cast(counted < 0, tf.float32))

    def result(self) -> dict[str, tf.Tensor]:
        """The mean over pairs and steps; NaN where no pair was defined in any step."""
        pairs = 1 - tf.eye(len(self.tasks))
        count = tf.reduce_sum(self._steps * pairs)
        return {
            "conflicting_pairs": tf.reduce_sum(self._conflicts * pairs) / count,
            "mean_cosine": tf.reduce_sum(self._cosines * pairs) / count,
        }

    def pairs(self) -> list[dict[str, Any]]:
        """For each pair of tasks: names, steps counted, mean cosine, share of conflicting steps."""
        steps, cosine, conflicts = (
            np.asarray(weight) for weight in (self._steps, self._cosines, self._conflicts)
        )
        rows = []
        for i, j in itertools.combinations(range(len(self.tasks)), 2):
            counted = int(steps[i, j])
            rows.append(
                {
                    "tasks": [self.tasks[i], self.tasks[j]],
                    "steps": counted,
                    "mean_cosine": float(cosine[i, j]) / counted if counted else math.nan,
                    "conflicting": float(conflicts[i, j]) / counted if counted else math.nan,
                }
            )
        return rows


class ConflictMonitor(keras.callbacks.Callback):
    """Writes each epoch's pairwise cosines and conflicts of a `MultiTaskModel`.

    To `log_dir/conflicts.jsonl`, one JSON object an epoch (undefined values are null), and, if
    TensorBoard is installed (newer TensorFlow releases do not bring it), as the scalars
    `cosine/<task>/<task>` and `conflicting/<task>/<task>`, the epoch as step.

    Args:
        log_dir: A folder, local or remote; made if missing.
    """

    def __init__(self, log_dir: str) -> None:
        super().__init__()
        self._log_dir = str(log_dir)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Opens the log files."""
        tf.io.gfile.makedirs(self._log_dir)
        if importlib.util.find_spec("tensorboard"):
            self._writer = tf.summary.create_file_writer(self._log_dir)
        else:
            self._writer = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the epoch's conflicts."""
        pairs = self.model.conflicts()
        if self._writer:
            with self._writer.as_default(step=epoch):
                for pair in pairs:
                    name = "/".join(pair["tasks"])
                    tf.summary.scalar(f"cosine/{name}", pair["mean_cosine"])
                    tf.summary.scalar(f"conflicting/{name}", pair["conflicting"])
        # NaN is not JSON.
        undefined = {"mean_cosine": None, "conflicting": None}
        pairs = [pair if pair["steps"] else {**pair, **undefined} for pair in pairs]
        path = posixpath.join(self._log_dir, "conflicts.jsonl")
        with tf.io.gfile.GFile(path, "a") as lines:
            lines.write(json.dumps({"epoch": epoch, "pairs": pairs}) + "\n")

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the log files."""
        if self._writer:
            self._writer.close()
