"""What a compiled `MultiTaskModel` trains with, and the metrics of its training."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pcgrad.kept_weights import KeptWeights
from pcgrad.keras.conflict_statistics import ConflictStatistics
from pcgrad.keras.losses.task_losses import TaskBatch, TaskLosses
from pcgrad.keras.reporting.task_means import LossMean, TaskSums
from pcgrad.weightings.weighting import Weighting, equal_weights, needs_gramian


class CompiledTraining:
    """What `compile` makes; a plain object, so that Keras does not track its metrics twice.

    Attributes:
        losses: The tasks' losses.
        weighting: Gram matrix → weights; equal ones without surgery.
        gramian: How the Gram matrix is made, see `MultiTaskModel.compile`.
        gramian_description: How it was, by variable; empty before the first step.
        arguments: Of `compile`, for saving.
        kept_weights: Those of the last Gram matrix, if it is not taken in every step.
        conflicts: What `fit` reports about conflicts; `None` with a single task.
    """

    def __init__(
        self,
        losses: TaskLosses,
        reported: Sequence[str],
        surgery: Weighting | None,
        gramian: str,
        arguments: dict[str, Any],
        kept_weights: KeptWeights | None = None,
    ) -> None:
        """Makes the metrics.

        Args:
            losses: The tasks' losses.
            reported: The tasks in the order in which Keras reports their losses.
            surgery: Gram matrix → weights, or `None`.
            gramian: As of `MultiTaskModel.compile`.
            arguments: Of `compile`.
            kept_weights: For a Gram matrix that is not taken in every step.
        """
        self.losses = losses
        self.weighting: Weighting = equal_weights if surgery is None else surgery
        self.gramian = gramian
        self.gramian_description = ""
        self.arguments = arguments
        self.kept_weights = kept_weights
        names = losses.names
        self._sums = TaskSums(len(names))
        self._loss_means = [LossMean(name, names.index(name), self._sums) for name in reported]
        self._regularization = keras.metrics.Mean(name="regularization")
        self.conflicts = ConflictStatistics(names) if len(names) > 1 else None
        self.follow_conflicts(False)
        self._is_evaluating = False
        self._is_in_step = False
        self._told_of_own_step = False
        self._warned: set[tuple[str, bool]] = set()
        # By phase, evaluation or not: what was not counted in its last epoch.
        self._undefined: dict[bool, set[str]] = {False: set(), True: set()}

    @property
    def takes_gramian(self) -> bool:
        """Whether a step takes the Gram matrix: for the weights, or to follow the conflicts."""
        followed = self.conflicts is not None and self.conflicts.is_followed
        return followed or needs_gramian(self.weighting)

    def follow_conflicts(self, wanted: bool) -> None:
        """Follows the conflicts, also where the weights do not need the exact Gram matrix."""
        if self.conflicts is not None:
            is_known = needs_gramian(self.weighting) and self.gramian != "features"
            self.conflicts.is_followed = wanted or is_known

    @property
    def loss_means(self) -> list[keras.metrics.Metric]:
        """The metrics of the tasks' losses."""
        return list(self._loss_means)

    @property
    def own_metrics(self) -> list[keras.metrics.Metric]:
        """Those that Keras does not have: of the conflicts, and of a single task's loss.

        Of the current phase: evaluation neither shows nor resets the conflicts.
        """
        if self.conflicts is None:
            return self.loss_means
        return [] if self._is_evaluating else [self.conflicts]

    @contextlib.contextmanager
    def evaluating(self) -> Iterator[None]:
        """Marks the phase of evaluation."""
        before, self._is_evaluating = self._is_evaluating, True
        try:
            yield
        finally:
            self._is_evaluating = before

    @contextlib.contextmanager
    def in_step(self) -> Iterator[None]:
        """Marks a step: what is reported then is not yet about all of an epoch's batches."""
        before, self._is_in_step = self._is_in_step, True
        try:
            yield
        finally:
            self._is_in_step = before

    def update(
        self,
        batches: Mapping[str, TaskBatch],
        losses: Mapping[str, tf.Tensor],
        regularization: tf.Tensor,
    ) -> None:
        """Counts one step.

        Args:
            batches: Each task's part of the batch.
            losses: The tasks' losses.
            regularization: The sum of all other losses.
        """
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self._sums.update_state(
            [loss * replicas for loss in losses.values()],
            [loss * replicas for loss in self.losses.weighted(losses).values()],
            # Each replica holds its part of the loss and counts its part of the rows.
            [batch.count / replicas for batch in batches.values()],
            [batch.metrics_count / replicas for batch in batches.values()],
        )
        self._regularization.update_state(regularization * replicas)

    def reset(self) -> None:
        """Begins an epoch."""
        for metric in [self._sums, *self.own_metrics, self._regularization]:
            metric.reset_state()

    def complete(self, results: dict[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Puts the total loss into what Keras reports, and NaN for what was not counted.

        Args:
            results: What the metrics report, Keras's total loss and the tasks' among them.
            metrics: What those of `compile` say, by name; of several values a dict.

        Returns:
            The results.
        """
        results = _flat(results)
        means, (counted, measured) = self._sums.result(), tf.unstack(self._sums.have_rows())
        total = self._regularization.result() + tf.reduce_sum(means[1])
        losses = tf.unstack(_or_nan(counted, means[0]))
        for name, loss, has_metrics in zip(
            self.losses.names, losses, tf.unstack(measured), strict=True
        ):
            results[f"{name}_loss"] = loss
            for metric in self._of_task(name, list(metrics)):
                # Keras reports the entries of a dict by their own names.
                entries = metrics[metric] if isinstance(metrics[metric], dict) else [metric]
                for entry in entries:
                    results[entry] = _or_nan(has_metrics, results[entry])
        # Within an epoch, labels may be still to come: NaN would end the training.
        if not self._is_in_step:
            total = _or_nan(tf.reduce_any(counted), total)
            if tf.executing_eagerly():
                self._undefined[self._is_evaluating] = self.undefined_now()
                self._warn()
        results["loss"] = total
        return without_tensors(results) if tf.executing_eagerly() else results

    def tell_of_own_step(self, name: str) -> None:
        """Warns, once, of a `train_step` that does not come to the one with the surgery.

        Args:
            name: Of the class that has it.
        """
        is_other = self.gramian_description or self._is_evaluating or self._is_in_step
        if is_other or self.weighting is equal_weights or self._told_of_own_step:
            return
        self._told_of_own_step = True
        warnings.warn(
            f"the `train_step` of {name} trains without the surgery that `compile` was given: let "
            "it call `super().train_step(data)`, or use `pcgrad.weighted_backward` in it and "
            "compile with surgery=None",
            stacklevel=3,
        )

    def undefined_now(self) -> set[str]:
        """The losses of the tasks that have had no label in this epoch."""
        counted = self._sums.have_rows()[0].numpy()
        names = self.losses.names
        return {f"{name}_loss" for name, any_row in zip(names, counted, strict=True) if not any_row}

    def undefined(self) -> set[str]:
        """Those of the last epoch, as `fit` calls them in training and validation."""
        training, evaluation = self._undefined[False], self._undefined[True]
        return training | {f"val_{name}" for name in evaluation}

    def _of_task(self, task: str, metrics: Sequence[str]) -> list[str]:
        """Those of `compile`'s metrics that are a task's: Keras puts its name first."""
        names = self.losses.names
        if len(names) == 1:
            return list(metrics)
        longer = [f"{name}_" for name in names if name.startswith(f"{task}_")]
        return [
            metric
            for metric in metrics
            if metric.startswith(f"{task}_") and not metric.startswith(tuple(longer))
        ]

    def _warn(self) -> None:
        phase = "evaluation" if self._is_evaluating else "training"
        for name in self.losses.names:
            is_undefined = f"{name}_loss" in self._undefined[self._is_evaluating]
            if is_undefined and (name, self._is_evaluating) not in self._warned:
                self._warned.add((name, self._is_evaluating))
                warnings.warn(
                    f"task {name!r} had no label in {phase}: its loss and metrics are NaN. Where "
                    "labels are vectors or images that are partly NaN, a loss that is not "
                    "element-wise is taken of whole rows only; one that deals with NaN itself can "
                    "say so by an attribute, `supports_nan_labels = True`",
                    stacklevel=2,
                )


def without_tensors(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers as floats; metrics of several values as arrays."""
    return {
        name: np.array(value) if np.ndim(value) else float(value) for name, value in logs.items()
    }


def _flat(results: Mapping[str, Any]) -> dict[str, Any]:
    """With the entries of dicts by their own names, as Keras has them in `History`."""
    flat: dict[str, Any] = {}
    for name, value in results.items():
        flat |= value if isinstance(value, Mapping) else {name: value}
    return flat


def _or_nan(is_defined: tf.Tensor, value: Any) -> tf.Tensor:
    """Of a metric's value, which may be an integer or a vector."""
    value = tf.convert_to_tensor(value)
    if not value.dtype.is_floating:
        value = tf.cast(value, keras.config.floatx())
    # √-1: a NaN that exists then only, as `tf.debugging.enable_check_numerics` wants it.
    return value + tf.sqrt(tf.cast(is_defined, value.dtype) - 1)
