"""A Keras model whose `fit` trains several tasks with gradient surgery."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from pcgrad.keras.compile_arguments import (
    by_task,
    is_weighting,
    losses_by_task,
    unique_names,
)
from pcgrad.keras.compiled_training import REGULARIZATION, CompiledTraining
from pcgrad.keras.functional_form import functional_form, is_functional
from pcgrad.keras.optimizer_steps import steps_taken
from pcgrad.keras.saved_training import SavedTraining
from pcgrad.keras.task_losses import TaskBatch, TaskLosses
from pcgrad.keras.training_reports import TrainingReports
from pcgrad.layerwise.backward import backward, check_gramian
from pcgrad.task_gradients import Gradient
from pcgrad.weightings import Weighting, equal_weights


@keras.saving.register_keras_serializable(package="pcgrad")
class MultiTaskModel(TrainingReports, SavedTraining, keras.Model):
    """A `keras.Model` with one output and one loss for each task.

    Everything is as in `keras.Model` (functional or subclassed; `fit`, `evaluate`, `predict`,
    callbacks, saving), but for four things:

    - `compile(surgery=PCGrad())` combines the tasks' gradients by gradient surgery.
    - A label that is NaN is missing: its row is left out of that task's loss and metrics, and a
      task's loss is the mean over its labelled rows. Labels of an integer dtype are never missing.
    - With two tasks or more, `fit` reports `conflicting_pairs` (share of pairs of tasks whose
      gradients have a negative inner product) and `mean_cosine` of the pairs, means over the
      epoch's steps, and each task's mean `…_gradient_norm`. `conflicts()` has them pair by pair;
      `ConflictMonitor` writes them.
    - There is no total loss to override: a task's loss goes to `compile`, what belongs to no task
      to `add_loss`. Metrics are of outputs with a loss.

    Example:
        >>> inputs = keras.Input((8,))
        >>> trunk = keras.layers.Dense(16, activation="relu")(inputs)
        >>> outputs = {name: keras.layers.Dense(1)(trunk) for name in ("a", "b")}
        >>> model = MultiTaskModel(inputs, outputs)
        >>> model.compile("adam", loss={"a": "mse", "b": "mse"}, surgery=PCGrad("sum"))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As in Keras: inputs and outputs make a functional model, otherwise subclass this class.

        Functional models become instances of a subclass: Keras would turn this class itself, and
        with it every other `MultiTaskModel`, into a functional one.
        """
        given = len(args) + ("inputs" in kwargs) + ("outputs" in kwargs)
        if given == 2 and not is_functional(type(self)):
            self.__class__ = functional_form(type(self))
        super().__init__(*args, **kwargs)

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        surgery: Weighting | None = None,
        gramian: str = "tape",
        **kwargs: Any,
    ) -> None:
        """Configures training as `keras.Model.compile` does, with gradient surgery.

        Args:
            optimizer: As in Keras.
            loss: One loss for each task: a mapping by output name or a sequence; a single loss
                counts for every output of a functional model.
            loss_weights: Multiply the task gradients before the surgery; a mapping or sequence.
            metrics: By task: a mapping or sequence. All sequences are in the order of the outputs.
            weighted_metrics: By task: a mapping or sequence.
            surgery: `PCGrad()`, `PPCGrad()` or any other weighting (Gram matrix → weights). `None`
                trains on the plain weighted sum of the losses. Regularization losses are added to
                the update without surgery.
            gramian: How the inner products of the task gradients are taken: from the gradients
                ("tape"), layer by layer without them ("layerwise"), or layer by layer where that is
                predicted to be cheaper ("auto"). The result is the same to rounding; see
                docs/layerwise.md.
            **kwargs: `run_eagerly`, `steps_per_execution`, `jit_compile`, `auto_scale_loss`.

        Raises:
            ValueError: Losses, weights or metrics do not match the tasks; `gramian` is unknown.
            TypeError: `surgery` is not callable, or a class; `compute_loss` is overridden.
        """
        if surgery is not None and not is_weighting(surgery):
            raise TypeError(
                f"`surgery` is {surgery!r}: pass PCGrad(), PPCGrad(), another function from the "
                "Gram matrix to weights, or None"
            )
        check_gramian(gramian)
        if type(self).compute_loss is not MultiTaskModel.compute_loss:
            raise TypeError(
                f"{type(self).__name__} overrides `compute_loss`, which is not called: the tasks' "
                "losses are differentiated one by one; pass them to `compile`, and use `add_loss` "
                "for what belongs to no task"
            )
        losses, outputs = losses_by_task(loss, self.named_outputs())
        tasks = tuple(losses)
        weights = by_task("loss_weights", loss_weights, tasks, outputs)
        metrics_by_task = by_task("metrics", metrics, tasks, outputs)
        weighted_by_task = by_task("weighted_metrics", weighted_metrics, tasks, outputs)
        # Keras gets no loss: it would build a loss of its own, which never sees a batch.
        super().compile(
            optimizer,
            metrics=metrics_by_task or None,
            weighted_metrics=weighted_by_task or None,
            **kwargs,
        )
        self.loss = loss
        arguments = {
            "optimizer": self.optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "surgery": surgery,
            "gramian": gramian,
            **kwargs,
        }
        task_losses = TaskLosses(losses, weights, outputs)
        self._training = CompiledTraining(task_losses, surgery, gramian, arguments)

    def named_outputs(self) -> list[str]:
        """The names of a functional model's outputs: a mapping's keys, else their layers' names.

        Returns:
            The names in the order of the outputs, a repeated one with a number; empty for a
            subclassed model.
        """
        if not getattr(self, "outputs", None):
            return []
        if isinstance(self.output, Mapping):
            return list(self.output)
        return unique_names(self.output_names)

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step: T task gradients → Gram matrix → weights → combined gradient → optimizer."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        training = self._training
        with tf.GradientTape(persistent=True) as tape:
            y_pred = self(x, training=True)
            batches = training.losses.split(y, y_pred, sample_weight)
            losses = training.losses(batches)
            scaled = {
                name: self.optimizer.scale_loss(loss * training.losses.weights[name])
                for name, loss in losses.items()
            }
            regularization = self._regularization()
            scaled_regularization = self.optimizer.scale_loss(regularization)

        variables = self.trainable_weights
        if not variables:
            raise ValueError("no weight of the model is trainable: set a layer's `trainable`")
        if not self.optimizer.built:
            # For all of them: `apply_gradients` sees only those that some task reaches.
            self.optimizer.build(variables)
        weighting = equal_weights if training.surgery is None else training.surgery
        # Under XLA the layer-wise way is exact, too, but no faster.
        way = "tape" if training.gramian == "auto" and self.jit_compile else training.gramian
        step = steps_taken(self.optimizer)
        found = backward(tape, scaled, variables, weighting, step, way)
        training.gramian_description = found.description
        update = found.update
        if self.losses:
            penalty = tape.gradient(scaled_regularization, variables)
            update = [_add(one, other) for one, other in zip(update, penalty, strict=True)]
        if training.conflicts is not None:
            # Before the update, which may change the scale.
            scale = self.optimizer.scale_loss(tf.ones([], tf.float64))
            training.conflicts.update_state(found.gramian, scale)
        self.optimizer.apply_gradients(
            (gradient, variable)
            for gradient, variable in zip(update, variables, strict=True)
            if gradient is not None
        )
        return self._update_metrics(x, batches, losses, regularization)

    def test_step(self, data: Any) -> dict[str, Any]:
        """One step of evaluation."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with self.evaluating():
            y_pred = self(x, training=False)
            batches = self._training.losses.split(y, y_pred, sample_weight)
            losses = self._training.losses(batches)
            return self._update_metrics(x, batches, losses, self._regularization())

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """As in Keras. Nothing is differentiated, so no conflicts are reported."""
        with self.evaluating():
            return super().evaluate(*args, **kwargs)

    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """As in Keras, which may reset the metrics first: those of the conflicts stay."""
        with self.evaluating():
            return super().test_on_batch(*args, **kwargs)

    def evaluating(self) -> contextlib.AbstractContextManager[None]:
        """While it is open, `metrics` are those of an evaluation, without the conflicts."""
        return self._training.evaluating() if self.compiled else contextlib.nullcontext()

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """The weighted sum of the tasks' losses plus regularization, a scalar."""
        del x, training
        losses = self._training.losses
        values = losses(losses.split(y, y_pred, sample_weight))
        weighted = [value * losses.weights[name] for name, value in values.items()]
        regularization = self._regularization()
        return tf.add_n([regularization, *(tf.cast(w, regularization.dtype) for w in weighted)])

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Keras's metrics, and the means of the tasks' losses and of the conflicts."""
        own = self._training.metrics if self.compiled else []
        return [*super().metrics, *own]

    def get_metrics_result(self) -> dict[str, Any]:
        """As in Keras; the total loss is the weighted sum of the tasks' mean losses."""
        results = super().get_metrics_result()
        weights = self._training.losses.weights
        tasks = [results[f"{name}_loss"] * weight for name, weight in weights.items()]
        results["loss"] = sum(tasks) + results.pop(REGULARIZATION)
        return results

    def build_metrics(self, data: Any) -> None:
        """Makes the variables of `compile`'s metrics, as Keras otherwise does in the first step.

        Needed before a loop of one's own on several replicas, where a step can make no variables.

        Args:
            data: A batch as `fit` gives it to `train_step`; the metrics stay as they are.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        batches = self._training.losses.split(y, self(x, training=False), sample_weight)
        with keras.StatelessScope():
            self._compute_task_metrics(x, batches)

    def _regularization(self) -> tf.Tensor:
        """The layers' regularization losses, divided among the replicas."""
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        dtype = keras.config.floatx()
        sums = [tf.cast(tf.reduce_sum(loss), dtype) for loss in self.losses]
        return tf.add_n([tf.zeros([], dtype), *sums]) / replicas

    def _update_metrics(
        self,
        x: Any,
        batches: Mapping[str, TaskBatch],
        losses: Mapping[str, tf.Tensor],
        regularization: tf.Tensor,
    ) -> dict[str, Any]:
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        for name, batch in batches.items():
            # Weighted by the labelled rows, so that the epoch's mean is the mean over rows; each
            # replica holds its share of the loss and counts its share of the rows.
            self._training.loss_means[name].update_state(
                losses[name] * replicas, batch.global_rows / replicas
            )
        self._training.regularization.update_state(regularization * replicas)
        return self._compute_task_metrics(x, batches)

    def _compute_task_metrics(self, x: Any, batches: Mapping[str, TaskBatch]) -> dict[str, Any]:
        """Keras's `compute_metrics`, of the labelled rows."""
        labels = {name: batch.labels for name, batch in batches.items()}
        predictions = {name: batch.predictions for name, batch in batches.items()}
        weights = {name: batch.sample_weight for name, batch in batches.items()}
        weighted = any(weight is not None for weight in weights.values())
        return self.compute_metrics(x, labels, predictions, weights if weighted else None)


def _add(one: Gradient | None, other: Gradient | None) -> Gradient | None:
    """The sum of two gradients, either of which may be missing or sparse."""
    if one is None or other is None:
        return other if one is None else one
    return tf.convert_to_tensor(one) + tf.cast(tf.convert_to_tensor(other), one.dtype)
