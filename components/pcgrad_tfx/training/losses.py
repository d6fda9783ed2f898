"""The tasks' losses: Keras's own, of labels and predictions in the label's unit."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.training.label_statistics import LabelStatistics
from pcgrad_tfx.training.network.log_scale import to_log

_PACKAGE = "pcgrad_tfx"

_DELTA, _GAMMA = 1.0, 2.0


class _Wrapper(keras.losses.Loss):
    """A loss of another form of the labels.

    Args:
        loss: The loss of that form.
    """

    def __init__(self, loss: keras.losses.Loss, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loss = loss

    def get_config(self) -> dict[str, Any]:
        """The arguments, serialized."""
        return {**super().get_config(), "loss": keras.losses.serialize(self.loss)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> _Wrapper:
        """A loss of what `get_config` returned."""
        return cls(**config | {"loss": keras.losses.deserialize(config["loss"])})


@keras.saving.register_keras_serializable(_PACKAGE)
class OnLogScale(_Wrapper):
    """A loss on the logarithmic scale, of labels and predictions in their own unit.

    Keras's `mean_squared_logarithmic_error` clips predictions below 0, where their gradient is 0
    then: a network that starts there stays there.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss's values [N] of labels and predictions [N] or [N, 1]."""
        y_pred = ops.convert_to_tensor(y_pred)
        return self.loss.call(to_log(ops.cast(y_true, y_pred.dtype)), to_log(y_pred))


@keras.saving.register_keras_serializable(_PACKAGE)
class OfIds(_Wrapper):
    """A loss of one-hot vectors, of the ids of classes."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss's values [N] of ids [N] and probabilities [N, classes]."""
        y_pred = ops.convert_to_tensor(y_pred)
        ids = ops.cast(ops.reshape(y_true, [-1]), "int32")
        return self.loss.call(ops.one_hot(ids, y_pred.shape[-1], dtype=y_pred.dtype), y_pred)


def task_loss(task: Task, statistics: LabelStatistics | None = None) -> keras.losses.Loss:
    """A task's loss, of labels and predictions in the label's own unit.

    Args:
        task: The task.
        statistics: Of a regression task's label.
    """
    loss = scale_loss(task, statistics)
    return OnLogScale(loss) if task.log_scale else loss


def scale_loss(task: Task, statistics: LabelStatistics | None = None) -> keras.losses.Loss:
    """A task's loss, of labels and predictions on the scale on which the label is learned.

    Args:
        task: The task.
        statistics: Of a regression task's label.
    """
    if task.kind == "regression":
        return _loss_of_amounts(task, statistics.std if statistics else 1.0)
    return _loss_of_classes(task)


def _loss_of_amounts(task: Task, std: float) -> keras.losses.Loss:
    if task.loss == "huber":
        return keras.losses.Huber(std * (_DELTA if task.huber_delta is None else task.huber_delta))
    losses = {
        "mean_squared_error": keras.losses.MeanSquaredError,
        "mean_absolute_error": keras.losses.MeanAbsoluteError,
        "poisson": keras.losses.Poisson,
    }
    return losses[task.loss]()


def _loss_of_classes(task: Task) -> keras.losses.Loss:
    arguments = {"label_smoothing": task.label_smoothing}
    is_focal = task.loss == "focal"
    if is_focal:
        arguments["gamma"] = _GAMMA if task.focal_gamma is None else task.focal_gamma
    if task.kind == "binary":
        loss = keras.losses.BinaryFocalCrossentropy if is_focal else keras.losses.BinaryCrossentropy
        return loss(**arguments)
    if is_focal:
        # Its alpha is one factor for all classes; `class_weight` has one for each.
        return OfIds(keras.losses.CategoricalFocalCrossentropy(alpha=1.0, **arguments))
    if task.label_smoothing:
        return OfIds(keras.losses.CategoricalCrossentropy(**arguments))
    return keras.losses.SparseCategoricalCrossentropy()


def loss_scale(task: Task, statistics: LabelStatistics | None = None) -> float:
    """The factor that turns a task's loss into that of the standardized label.

    Args:
        task: The task.
        statistics: Of a regression task's label; without them 1.
    """
    if statistics is None:
        return 1.0
    if task.loss == "poisson":
        # It has no unit of a square: its curvature by the logarithm of the mean is the mean.
        return 1 / statistics.mean if statistics.mean > 0 else 1.0
    return float(statistics.std ** (-1 if task.loss == "mean_absolute_error" else -2))
