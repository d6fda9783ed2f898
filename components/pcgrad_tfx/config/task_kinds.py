"""What all tasks of one kind have in common, for Transform, Trainer and Evaluator alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pcgrad_tfx.config.task_keys import LossName


@dataclass(frozen=True)
class EvaluationMetric:
    """A metric that the Evaluator computes with TFMA.

    Attributes:
        name: The metric's name in TFMA's results.
        class_name: The class that computes it.
        module: Where the class is, for classes that are neither TFMA's nor Keras's own.
    """

    name: str
    class_name: str
    module: str = ""


@dataclass(frozen=True)
class TaskKind:
    """What all tasks of one kind have in common.

    Attributes:
        activation: The head's activation; None is linear.
        losses: The losses that a task may have, the first by default.
        keras_metrics: The metrics shown during training, as Keras names them.
        label_dtype: The dtype of the transformed label, "float32" or "int64".
        primary_metric: What the gate looks at, higher is better.
        constant_value: What `primary_metric` gives a model that always predicts the same.
        detail_metrics: Metrics that are reported beside it.
        per_class: Whether `primary_metric` is computed one class against the rest and averaged
            over the classes.
    """

    activation: str | None
    losses: tuple[LossName, ...]
    keras_metrics: tuple[str, ...]
    label_dtype: str
    primary_metric: EvaluationMetric
    constant_value: float
    detail_metrics: tuple[EvaluationMetric, ...]
    per_class: bool = False


_AUC = EvaluationMetric("auc", "AUC")
LABELLED_ROWS = EvaluationMetric("example_count", "ExampleCount")

KINDS: Mapping[str, TaskKind] = {
    "binary": TaskKind(
        activation="sigmoid",
        losses=("binary_crossentropy", "focal"),
        keras_metrics=("AUC",),
        label_dtype="float32",
        primary_metric=_AUC,
        constant_value=0.5,
        detail_metrics=(
            EvaluationMetric("binary_crossentropy", "BinaryCrossEntropy"),
            EvaluationMetric("binary_accuracy", "BinaryAccuracy"),
            EvaluationMetric("mean_label", "MeanLabel"),
            LABELLED_ROWS,
        ),
    ),
    # The accuracy of a constant prediction depends on the class frequencies, so a gate on it
    # would mean something else for every data set; for the AUC averaged over the classes it is
    # 0.5 for all of them.
    "multiclass": TaskKind(
        activation="softmax",
        losses=("sparse_categorical_crossentropy", "focal"),
        keras_metrics=("SparseCategoricalAccuracy",),
        label_dtype="int64",
        primary_metric=_AUC,
        constant_value=0.5,
        detail_metrics=(
            EvaluationMetric("sparse_categorical_accuracy", "SparseCategoricalAccuracy"),
            LABELLED_ROWS,
        ),
        per_class=True,
    ),
    "regression": TaskKind(
        activation=None,
        losses=("mean_squared_error", "mean_absolute_error", "huber", "poisson"),
        keras_metrics=("MeanAbsoluteError",),
        label_dtype="float32",
        primary_metric=EvaluationMetric("r_squared", "RSquared", "pcgrad_tfx.evaluation.metrics"),
        constant_value=0.0,
        detail_metrics=(
            EvaluationMetric("mean_absolute_error", "MeanAbsoluteError"),
            EvaluationMetric("root_mean_squared_error", "RootMeanSquaredError"),
            EvaluationMetric("mean_label", "MeanLabel"),
            LABELLED_ROWS,
        ),
    ),
}
