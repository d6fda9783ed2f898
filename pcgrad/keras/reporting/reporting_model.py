"""A Keras model that reports by task, and the conflicts between tasks."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from pcgrad.keras.compiled_training import CompiledTraining
from pcgrad.keras.losses.task_losses import TaskBatch
from pcgrad.keras.reporting.keras_lists import as_keras_list, metrics_of_compile


class ReportingModel(keras.Model):
    """Base of `MultiTaskModel`: reports losses, metrics and conflicts as Keras does, by task."""

    _training: CompiledTraining | None = None  # until it is compiled

    @property
    def compiled_training(self) -> CompiledTraining:
        """What `compile` made.

        Raises:
            ValueError: The model is not compiled.
        """
        if self._training is None:
            raise ValueError("the model is not compiled: call `compile` and `fit` first")
        return self._training

    def conflicts(self, whole_run: bool = False) -> list[dict[str, Any]]:
        """Which tasks conflicted in `fit`, pair by pair.

        Args:
            whole_run: All steps since `compile`, instead of those of the last epoch.

        Returns:
            For each pair of tasks a dict of `tasks` (two names), `steps` (in which its cosine was
            defined), `mean_cosine` and `conflicting` (share of these steps with a negative inner
            product); NaN where there was no such step. Of the whole run also `blocks`, and of both
            means `…_standard_error_of_block_means`: from the means of at least 20 blocks of steps,
            because successive steps resemble each other. Empty for a single task, and if the
            conflicts have never been followed.

        Raises:
            ValueError: The model is not compiled.
        """
        statistics = self.compiled_training.conflicts
        if statistics is None:
            return []
        return statistics.run_pairs() if whole_run else statistics.pairs()

    def gradient_norms(self) -> dict[str, float]:
        """The mean norm, over the last epoch's steps, of each task's gradient by shared variables.

        Before the surgery, after the loss weights, without the scale of a `LossScaleOptimizer`.

        Returns:
            Norm by task, NaN if it was never finite; empty for a single task, and if the conflicts
            have never been followed.

        Raises:
            ValueError: The model is not compiled.
        """
        statistics = self.compiled_training.conflicts
        return {} if statistics is None else statistics.norms()

    @property
    def follows_conflicts(self) -> bool:
        """Whether the conflicts are measured in a step.

        Always with a surgery that needs the Gram matrix of the gradients. Without, and with
        `gramian="features"`, it may be set: a step then takes one backward pass for each task.
        `ConflictMonitor` sets it for the training it is given to.

        Raises:
            ValueError: The model is not compiled.
        """
        statistics = self.compiled_training.conflicts
        return statistics is not None and statistics.is_followed

    @follows_conflicts.setter
    def follows_conflicts(self, wanted: bool) -> None:
        before = self.follows_conflicts
        self.compiled_training.follow_conflicts(wanted)
        if self.follows_conflicts != before:
            self.make_train_function(force=True)

    def describe_gramian(self) -> str:
        """How the inner products of the task gradients are taken, variable by variable, and why.

        Raises:
            ValueError: The model has not been trained since `compile`.
        """
        if self._training is None or not self._training.gramian_description:
            raise ValueError("no step has been traced yet: call `compile` and `fit` first")
        return self._training.gramian_description

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Keras's metrics, the means of the tasks' losses in their place, and the conflicts."""
        found, training = super().metrics, self._training
        if training is None:
            return found
        # Keras has those of the losses behind its own of the total loss and of `compile`.
        place = 1 + (metrics_of_compile(found[:2]) is not None)
        of_losses = training.loss_means if training.conflicts is not None else []
        return [*found[:place], *of_losses, *found[place:], *training.own_metrics]

    @property
    def metrics_names(self) -> list[str]:
        """The names of the metrics, as in Keras: without those that it does not have."""
        own = self._training.own_metrics if self._training else []
        return [metric.name for metric in self.metrics if metric not in own]

    def reset_metrics(self) -> None:
        """As in Keras, also where a subclass does not report all of them."""
        super().reset_metrics()
        if self._training:
            self._training.reset()

    def get_metrics_result(self) -> dict[str, Any]:
        """As in Keras; the total loss is the weighted sum of the tasks' mean losses."""
        results = super().get_metrics_result()
        # A subclass may have `metrics` of its own, without the losses.
        if self._training is None or "loss" not in results:
            return results
        compiled = metrics_of_compile(self.metrics)
        return self._training.complete(results, compiled.result() if compiled else {})

    def build_metrics(self, data: Any) -> None:
        """Makes the variables of `compile`'s metrics, as Keras otherwise does in the first step.

        Needed before a loop of one's own on several replicas, where a step can make no variables.

        Args:
            data: A batch as `fit` gives it to `train_step`; the metrics stay as they are.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        training = self.compiled_training
        batches = training.losses.split(y, self(x, training=False), sample_weight)
        with keras.StatelessScope(), training.in_step():
            self._compute_task_metrics(x, batches)

    def _update_metrics(
        self,
        x: Any,
        batches: Mapping[str, TaskBatch],
        losses: Mapping[str, tf.Tensor],
        regularization: tf.Tensor,
    ) -> dict[str, Any]:
        """Counts a step; returns what the metrics of `compile` say."""
        training = self.compiled_training
        training.update(batches, losses, regularization)
        with training.in_step():
            return self._compute_task_metrics(x, batches)

    def _compute_task_metrics(self, x: Any, batches: Mapping[str, TaskBatch]) -> dict[str, Any]:
        """Keras's `compute_metrics`, of the labelled rows."""
        parts = {name: batch.for_metrics for name, batch in batches.items()}
        labels = {name: part.labels for name, part in parts.items()}
        predictions = {name: part.predictions for name, part in parts.items()}
        weights = {name: part.sample_weight for name, part in parts.items()}
        weighted = any(weight is not None for weight in weights.values())
        return self.compute_metrics(x, labels, predictions, weights if weighted else None)

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """As in Keras. Nothing is differentiated, so no conflicts are reported."""
        with self.evaluating():
            logs = super().evaluate(
                x, y, batch_size, verbose, sample_weight, steps, callbacks, True, **kwargs
            )
            return logs if return_dict else self._as_list(logs)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """As in Keras; of the conflicts only the dict tells."""
        logs = super().train_on_batch(x, y, sample_weight, class_weight, return_dict=True)
        return logs if return_dict else self._as_list(logs)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """As in Keras, which may reset the metrics first: those of the conflicts stay."""
        with self.evaluating():
            logs = super().test_on_batch(x, y, sample_weight, return_dict=True)
            return logs if return_dict else self._as_list(logs)

    def _as_list(self, logs: Mapping[str, Any]) -> Any:
        training = self.compiled_training
        return as_keras_list(
            logs, self.metrics, training.own_metrics, training.losses.outputs_have_names
        )

    def evaluating(self) -> contextlib.AbstractContextManager[None]:
        """While it is open, `metrics` are those of an evaluation, without the conflicts."""
        return self._training.evaluating() if self._training else contextlib.nullcontext()
