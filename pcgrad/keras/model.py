"""A Keras model whose `fit` trains several tasks with gradient surgery."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from pcgrad.keras.combined_gradient import combined_gradient
from pcgrad.keras.compile_arguments import (
    as_weighting,
    by_task,
    check_surgery_every,
    losses_by_task,
    reporting_order,
)
from pcgrad.keras.compiled_training import CompiledTraining
from pcgrad.keras.functional_form import functional_form, is_functional
from pcgrad.keras.losses.loss_forms import metric_that_counts_rows
from pcgrad.keras.losses.task_losses import TaskLosses
from pcgrad.keras.optimizers import steps_taken
from pcgrad.keras.output_names import OutputNames, functional_outputs
from pcgrad.keras.saving import SavableModel
from pcgrad.layerwise.backward import check_gramian
from pcgrad.weighted_sum import loss_weights
from pcgrad.weightings.weighting import Weighting, after_step, needs_gramian


@keras.saving.register_keras_serializable(package="pcgrad")
class MultiTaskModel(SavableModel):
    """A `keras.Model` with one output and one loss for each task.

    Everything is as in `keras.Model` (functional or subclassed; `fit`, `evaluate`, `predict`,
    callbacks, saving), but for these things:

    - `compile(surgery=PCGrad())` combines the tasks' gradients by gradient surgery.
    - A label that is NaN is missing: it is left out of that task's loss and metrics, and a task's
      loss is the mean over what is labelled. Labels of an integer dtype are never missing. See
      "Missing labels" below.
    - With two tasks or more and a surgery, `fit` reports `conflicting_pairs` (share of pairs of
      tasks whose gradients have a negative inner product) and `mean_cosine` of the pairs, means
      over the epoch's steps, and each task's mean `…_gradient_norm`. `conflicts()` has them pair by
      pair; `ConflictMonitor` writes them. Without surgery a step takes one backward pass for all
      tasks, and nothing is known of conflicts unless a `ConflictMonitor` asks for them; likewise
      with `gramian="features"`.
    - What comes as a list, as from `evaluate`, has the values that Keras gives, in its order, and
      no others. A subclass with a `metrics` property of its own reports what is in it, as in Keras;
      `[*super().metrics, …]` keeps ours.
    - There is no total loss to override: a task's loss goes to `compile`, what belongs to no task
      to `add_loss`. Metrics are of outputs with a loss.
    - Nested outputs are tasks, too: `{"cars": {"price": …}}` is the task "cars/price".

    Missing labels. Where a row has several labels (a vector, an image), single values may be
    missing if the task's loss is element-wise: then each known value counts the same, whichever
    row it is in. A loss over the last axis, as categorical cross-entropy, leaves out whole
    positions, any other one whole rows. That is found out by trying the loss on a few numbers,
    unless it changes variables or draws at random: then it leaves out whole rows. A loss that deals
    with NaN itself gets every row that has a label, as it is; if it has the attribute
    `supports_nan_labels = True`, the whole batch, as from Keras. Metrics go by the same rule, if
    all of a task's metrics allow it, otherwise by whole rows.

    A task without any label in an epoch has the loss and the metrics NaN, never zero, with a
    warning; the total loss is then that of the other tasks, so that `TerminateOnNaN` does not end
    the training, and NaN only if no task has a label. In a batch without labels of a task its
    gradient is zero: the variables that it alone reaches still move if the optimizer has momentum.

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
        surgery: Weighting | str | Mapping[str, Any] | None = None,
        gramian: str = "tape",
        surgery_every: int = 1,
        **kwargs: Any,
    ) -> None:
        """Configures training as `keras.Model.compile` does, with gradient surgery.

        Args:
            optimizer: As in Keras.
            loss: One loss for each task: a mapping by output name or a sequence; a single loss
                counts for every output of a functional model.
            loss_weights: Multiply the task gradients before the surgery; a mapping or sequence, a
                number for a single task. A variable may be changed later; the model is saved and
                cloned with the value that it has then.
            metrics: By task: a mapping or sequence. All sequences are in Keras's order of the
                outputs, in which those of a mapping are sorted by their keys.
            weighted_metrics: By task: a mapping or sequence.
            surgery: `PCGrad()` or any other weighting (Gram matrix → weights), also by name,
                "pcgrad", or with arguments, `{"method": "cagrad", "c": 0.4}`, see
                `pcgrad.make_weighting`. `None` trains on the plain weighted sum of the losses, in
                one backward pass. Regularization losses are added to the update without surgery.
            gramian: How the inner products of the task gradients are taken: from the gradients
                ("tape"), layer by layer without them ("layerwise"), or layer by layer where that is
                predicted to be cheaper ("auto"). The result is the same to rounding; see
                docs/layerwise.md. "features": an approximation, from the gradients by the features
                that the tasks' heads begin with, see docs/methods.md.
            surgery_every: k > 1: the Gram matrix and the weights are taken in every k-th step only;
                in between one backward pass takes the last weights. An approximation; on one
                replica only.
            **kwargs: `run_eagerly`, `steps_per_execution`, `jit_compile`, `auto_scale_loss`.

        Raises:
            ValueError: Losses, weights or metrics do not match the tasks; a weight is no finite
                number; `gramian`, a method's name or its primary task is unknown; `surgery_every`
                is no integer of 1 or more, or of no use, or there are several replicas.
            TypeError: `surgery` is not callable, or a class; `compute_loss` is overridden.
        """
        surgery = as_weighting(surgery)
        check_gramian(gramian)
        check_surgery_every(surgery_every, surgery, gramian)
        if type(self).compute_loss is not MultiTaskModel.compute_loss:
            raise TypeError(
                f"{type(self).__name__} overrides `compute_loss`, which is not called: the tasks' "
                "losses are differentiated one by one; pass them to `compile`, and use `add_loss` "
                "for what belongs to no task"
            )
        losses, outputs = losses_by_task(loss, self._output_names())
        tasks = tuple(losses)
        weights = by_task("loss_weights", loss_weights, tasks, outputs)
        by_argument = {
            argument: _functions_of_rows(by_task(argument, values, tasks, outputs))
            for argument, values in (("metrics", metrics), ("weighted_metrics", weighted_metrics))
        }
        all_metrics = {
            task: [one for entries in by_argument.values() for one in entries.get(task, [])]
            for task in tasks
        }
        task_losses = TaskLosses(losses, weights, all_metrics, outputs)
        # Keras gets no loss: it would build a loss of its own, which never sees a batch.
        super().compile(
            optimizer,
            metrics=by_argument["metrics"] or None,
            weighted_metrics=by_argument["weighted_metrics"] or None,
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
            "surgery_every": surgery_every,
            **kwargs,
        }
        reported = reporting_order(loss, tasks, outputs)
        self._set_surgery(surgery, surgery_every, tasks)
        self._training = CompiledTraining(
            task_losses, reported, surgery, gramian, arguments, self._kept_weights
        )

    def named_outputs(self) -> list[str]:
        """The names of a functional model's outputs: a mapping's keys, else their layers' names.

        Returns:
            The names in the order in which the outputs were given, a repeated one with a number;
            empty for a subclassed model, unless it has `output_names`.
        """
        return list(self._output_names().names)

    def _output_names(self) -> OutputNames:
        names = getattr(self, "output_names", None) or []
        if getattr(self, "outputs", None):
            return functional_outputs(self.output, names)
        return functional_outputs(names, names)

    def make_train_function(self, force: bool = False) -> Any:
        """As in Keras; a step that has to make the optimizer's variables would be traced twice."""
        if self.built and self._training and not self.optimizer.built and self.trainable_weights:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_weights)
        return super().make_train_function(force)

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step: T task gradients → Gram matrix → weights → combined gradient → optimizer.

        One backward pass for all tasks, if the weights do not depend on the Gram matrix.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        training = self.compiled_training
        with tf.GradientTape(persistent=True) as tape:
            y_pred = self(x, training=True)
            batches = training.losses.split(y, y_pred, sample_weight)
            losses = training.losses(batches)
            weighted = training.losses.weighted(losses)
            if not needs_gramian(training.weighting):
                factors = loss_weights(weighted, training.weighting, steps_taken(self.optimizer))
                weighted = {
                    name: loss * factor
                    for (name, loss), factor in zip(weighted.items(), factors, strict=True)
                }
            scaled = {name: self.optimizer.scale_loss(loss) for name, loss in weighted.items()}
            regularization = self._regularization()
            scaled_regularization = self.optimizer.scale_loss(regularization)

        variables = self.trainable_weights
        if not variables:
            raise ValueError("no weight of the model is trainable: set a layer's `trainable`")
        if not self.optimizer.built:
            # For all of them: `apply_gradients` sees only those that some task reaches.
            self.optimizer.build(variables)
        penalties = [scaled_regularization] if self.losses else []
        update = combined_gradient(self, tape, scaled, penalties, variables)
        self.optimizer.apply_gradients(
            (gradient, variable)
            for gradient, variable in zip(update, variables, strict=True)
            if gradient is not None
        )
        learn = after_step(training.weighting)
        if learn is not None:
            after = training.losses(training.losses.split(y, self(x, training=True), sample_weight))
            learn(list(training.losses.weighted(after).values()))
        return self._update_metrics(x, batches, losses, regularization)

    def test_step(self, data: Any) -> dict[str, Any]:
        """One step of evaluation."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        task_losses = self.compiled_training.losses
        with self.evaluating():
            y_pred = self(x, training=False)
            batches = task_losses.split(y, y_pred, sample_weight)
            losses = task_losses(batches)
            return self._update_metrics(x, batches, losses, self._regularization())

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """The weighted sum of the tasks' losses plus regularization, a scalar.

        For a `train_step` of one's own, without surgery. As in Keras, the means count the batch.
        """
        del x, training
        losses = self.compiled_training.losses
        batches = losses.split(y, y_pred, sample_weight)
        values = losses(batches)
        weighted = losses.weighted(values).values()
        regularization = self._regularization()
        self.compiled_training.update(batches, values, regularization)
        return tf.add_n([regularization, *(tf.cast(w, regularization.dtype) for w in weighted)])

    def get_metrics_result(self) -> dict[str, Any]:
        """As in Keras; of a step that goes round the surgery it warns."""
        if self._training and type(self).train_step is not MultiTaskModel.train_step:
            self._training.tell_of_own_step(type(self).__name__)
        return super().get_metrics_result()

    def _regularization(self) -> tf.Tensor:
        """The layers' regularization losses, divided among the replicas."""
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        dtype = keras.config.floatx()
        sums = [tf.cast(tf.reduce_sum(loss), dtype) for loss in self.losses]
        return tf.add_n([tf.zeros([], dtype), *sums]) / replicas


def _functions_of_rows(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics by task, in lists; those that are functions made ready for batches without labels."""
    return {
        task: [metric_that_counts_rows(metric) for metric in keras.tree.flatten(entries)]
        for task, entries in metrics.items()
    }
