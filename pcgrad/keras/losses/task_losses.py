"""The losses of several tasks: by name, with missing labels masked."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from pcgrad.keras.compile_arguments import checked_weight, names_for_list
from pcgrad.keras.losses.label_tensors import label_tensor
from pcgrad.keras.losses.label_units import (
    Labelled,
    Units,
    labelled,
    mask_of,
    may_be_incomplete,
)
from pcgrad.keras.losses.loss_forms import TaskLoss
from pcgrad.keras.losses.unit_trials import (
    averages_values,
    sums_over_rows,
    units_of_loss,
    units_of_metrics,
)
from pcgrad.keras.output_names import OutputNames
from pcgrad.replicas import sum_over_replicas

_MEANS = ("sum_over_batch_size", "mean", "mean_with_sample_weight")


@dataclasses.dataclass(frozen=True)
class TaskBatch:
    """One task's part of a batch.

    Rows (or values) without a label are left out rather than weighted with zero: whatever stood in
    for the label might make the loss, and zero times it, NaN.

    Attributes:
        for_loss: What the loss is taken of.
        for_metrics: What the metrics are taken of.
        replica_weight: This replica's part of what a mean over the global batch divides by (the
            units, the positions that are not masked, or the weights), float64 scalar: 1 on a single
            replica.
        sum_factor: What a loss that is summed over single values is multiplied by.
        count: Number of the loss's units on all replicas together, float64 scalar.
        metrics_count: That of the metrics.
    """

    for_loss: Labelled
    for_metrics: Labelled
    replica_weight: tf.Tensor
    sum_factor: tf.Tensor | float
    count: tf.Tensor
    metrics_count: tf.Tensor


class TaskLosses:
    """The compiled losses of a multi-task model.

    Args:
        losses: Keras loss (name, function or `keras.losses.Loss`) by task.
        loss_weights: Weight by task, a number or a variable; 1 where missing.
        metrics: By task, all that its labels are handed to.
        outputs: The model's outputs.

    Attributes:
        names: The tasks.
        weights: Weight by task.

    Raises:
        ValueError: A loss cannot be combined with gradient surgery; a weight is no finite number.
    """

    def __init__(
        self,
        losses: Mapping[str, Any],
        loss_weights: Mapping[str, Any],
        metrics: Mapping[str, Sequence[Any]],
        outputs: OutputNames,
    ) -> None:
        self.names = tuple(losses)
        self.weights = {name: checked_weight(name, loss_weights.get(name, 1.0)) for name in losses}
        self._losses = {name: TaskLoss(loss, name) for name, loss in losses.items()}
        self._metrics = metrics
        self._outputs = outputs
        # By task and shape: finding them out takes calls of the loss and the metrics.
        self._units: dict[Any, tuple[Units, Units]] = {}

    @property
    def outputs_have_names(self) -> bool:
        """Whether the model's outputs have names, and are not those of a subclass in a list."""
        return self._outputs.are_mapped or bool(self._outputs.by_path)

    def split(self, y: Any, y_pred: Any, sample_weight: Any) -> dict[str, TaskBatch]:
        """Splits a batch by task and finds the missing labels.

        A label is missing where it is NaN; labels of an integer dtype are never missing.

        Args:
            y: Labels: a mapping by task, a sequence in Keras's order of the outputs, or one tensor.
            y_pred: The model's outputs, likewise.
            sample_weight: Weights, likewise; one tensor counts for every task.

        Returns:
            A task's batch by name.

        Raises:
            ValueError: A task's labels or outputs are missing, or there are too many, or they do
                not fit each other.
        """
        outputs = self._outputs_by_name(y_pred)
        labels = self._by_task(y, "labels", list(outputs))
        weights = dict.fromkeys(self.names, sample_weight)
        if isinstance(sample_weight, Mapping | list | tuple):
            weights = self._by_task(sample_weight, "sample weights", list(outputs), True)
        parts, sizes = {}, {}
        for name in self.names:
            tensor = label_tensor(name, labels[name], outputs[name])
            units, of_metrics = self._units_of(name, tensor, outputs[name])
            part = labelled(units, tensor, outputs[name], weights[name])
            same = units == of_metrics
            other = part if same else labelled(of_metrics, tensor, outputs[name], weights[name])
            parts[name] = part, other, self._sum_factor(name, units, tensor)
            # In float64, for models in float64; the numbers of rows are exact.
            divisor = _divisor(self._losses[name].reduction, part)
            sizes[name] = [_count(part), divisor, *([] if same else [_count(other)])]
        batches = {}
        for name, (count, divisor, *others) in sum_over_replicas(sizes).items():
            for_loss, for_metrics, factor = parts[name]
            weight = tf.math.divide_no_nan(sizes[name][1], divisor)
            metrics_count = others[0] if others else count
            batches[name] = TaskBatch(for_loss, for_metrics, weight, factor, count, metrics_count)
        return batches

    def __call__(self, batches: Mapping[str, TaskBatch]) -> dict[str, tf.Tensor]:
        """Computes each task's loss, without its loss weight.

        With a mean reduction it is the mean over the labelled rows; a task without any has a loss
        of zero. On several replicas the mean is over the global batch, of the positions that are
        not masked if there is a mask: the replicas' losses add up to it.

        Args:
            batches: What `split` returned.

        Returns:
            Scalar loss by task.

        Raises:
            ValueError: A loss cannot be taken of its labels and predictions; or, on several
                replicas, it returns one number that cannot be put together.
        """
        return {name: self._task_loss(name, batch) for name, batch in batches.items()}

    def weighted(self, losses: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Each task's loss times its weight, as a variable holds it in this step."""
        return {
            name: loss
            if isinstance(self.weights[name], float) and self.weights[name] == 1
            else loss * keras.ops.convert_to_tensor(self.weights[name], loss.dtype)
            for name, loss in losses.items()
        }

    def _task_loss(self, name: str, batch: TaskBatch) -> tf.Tensor:
        loss, part = self._losses[name], batch.for_loss
        # Keras leaves the values unreduced if there are no rows.
        try:
            value = tf.reduce_sum(loss(part.labels, part.predictions, part.sample_weight))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"the loss of task {name!r} fails for labels of shape {part.labels.shape} and "
                f"predictions of shape {part.predictions.shape}: {error}{_hint(part)}"
            ) from error
        if loss.reduction not in _MEANS:
            return value * tf.cast(batch.sum_factor, value.dtype)
        # Keras has divided by this replica's part and by the number of replicas.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if replicas == 1:
            return value
        if loss.returns_one_number and self._is_sum(name, part):
            return value * replicas
        return value * tf.cast(batch.replica_weight * replicas, value.dtype)

    def _is_sum(self, name: str, part: Labelled) -> bool:
        try:
            return sums_over_rows(self._losses[name], part.labels, part.predictions)
        except Exception as error:
            raise ValueError(
                f"the loss of task {name!r} returns one number for a batch, and it is neither a "
                "mean nor a sum over its rows: on several replicas let it return one value for "
                "each row"
            ) from error

    def _units_of(
        self, name: str, labels: tf.Tensor, predictions: tf.Tensor
    ) -> tuple[Units, Units]:
        """Those of the loss, and those of the metrics."""
        loss = self._losses[name]
        if not may_be_incomplete(labels):
            return Units(0 if loss.sees_all else 1), Units()
        key = name, tuple(labels.shape[1:]), tuple(predictions.shape[1:])
        if key not in self._units:
            units = Units(0) if loss.sees_all else units_of_loss(loss, labels, predictions)
            metrics = self._metrics.get(name, ())
            of_metrics = units_of_metrics(metrics, labels, predictions) if metrics else units
            self._units[key] = units, of_metrics
        return self._units[key]

    def _sum_factor(self, name: str, units: Units, labels: tf.Tensor) -> tf.Tensor | float:
        """A sum over rows of means over values, as a sum over values."""
        loss = self._losses[name]
        is_summed = loss.reduction not in _MEANS and 1 < units.axes == labels.shape.rank
        if not is_summed or not averages_values(loss, labels):
            return 1.0
        return 1 / tf.shape(labels)[-1]

    def _outputs_by_name(self, y_pred: Any) -> dict[str, Any]:
        """The model's outputs, in Keras's order.

        Raises:
            ValueError: One that has a loss is missing, or they have no names and the losses have.
        """
        if not keras.tree.is_nested(y_pred):
            found = {self.names[0]: y_pred}
        else:
            found = self._outputs.of(y_pred, "outputs")
        known, missing = self._outputs, [name for name in self.names if name not in found]
        is_sequence = isinstance(y_pred, list | tuple)
        if is_sequence and not known.are_mapped and len(found) != len(known.names):
            raise ValueError(
                f"a list of {len(found)} outputs: the model's outputs are {list(known.names)}; use "
                "a list of as many, or a dict by task"
            )
        if missing and is_sequence and known.are_mapped:
            raise ValueError(
                f"the model returns a {type(y_pred).__name__} of {len(found)} outputs, which have "
                f"no names, and `loss` names {sorted(self.names)}: pass `loss` as a list in the "
                "order of the outputs, or let the model return a dict"
            )
        if missing and isinstance(y_pred, Mapping) and not known.are_mapped:
            raise ValueError(
                f"the model returns outputs with the names {sorted(found)}, and `loss` is a list: "
                "pass `loss` as a dict by these names"
            )
        self._check_found(missing, found, "outputs")
        return found

    def _by_task(
        self, values: Any, what: str, outputs: Sequence[str], may_be_none: bool = False
    ) -> dict[str, Any]:
        is_list = isinstance(values, list | tuple)
        if is_list and not any(map(keras.tree.is_nested, values)):
            names = names_for_list(values, outputs, self.names)
            if names is None:
                raise ValueError(
                    f"a list of {len(values)} {what}: the model's outputs are "
                    f"{list(outputs)}; use a list of as many, or a dict by task"
                )
            named = dict(zip(names, values, strict=True))
        elif is_list or isinstance(values, Mapping):
            named = self._outputs.of(values, what)
        else:
            named = {self.names[0]: values}
        found = [name for name in named if may_be_none or named[name] is not None]
        self._check_found([name for name in self.names if name not in found], found, what)
        return {name: named[name] for name in self.names}

    def _check_found(self, missing: Sequence[str], found: Any, what: str) -> None:
        if missing:
            raise ValueError(
                f"no {what} for task {missing[0]!r}: found {what} for {sorted(found)}, and "
                f"`compile` was given losses for {sorted(self.names)}"
            )


def _hint(part: Labelled) -> str:
    """What to do where a loss needs the number of rows while it is traced."""
    if not part.hides_rows:
        return ""
    return (
        " (rows without a label are left out, so their number is not known before the step runs: "
        "take `tf.shape(y_pred)[0]`, or have the whole batch by an attribute of the loss, "
        "`supports_nan_labels = True`)"
    )


def _count(part: Labelled) -> tf.Tensor:
    return tf.cast(tf.shape(part.labels)[0], tf.float64)


def _divisor(reduction: str | None, part: Labelled) -> tf.Tensor:
    """What the mean over a replica's labelled rows divides by, to a factor common to replicas."""
    factors = [mask_of(part.predictions)]
    if reduction == "mean_with_sample_weight":
        factors.append(part.sample_weight)
    factors = [tf.cast(factor, tf.float64) for factor in factors if factor is not None]
    if not factors:
        return _count(part)
    return tf.reduce_sum(functools.reduce(tf.multiply, factors))
