"""What a task is: the one source of its labels, head, loss, metrics and serving output.

A `Task` is plain data that survives JSON, so it can travel through TFX's `custom_config`. What
the kinds of task have in common stands in `pcgrad_tfx.config.task_kinds`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import (
    BaseModel,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pcgrad_tfx.config.task_checks import check_fields, first_repeated
from pcgrad_tfx.config.task_keys import ClassWeight, Column, LossName, OnlyWhere
from pcgrad_tfx.config.task_kinds import KINDS, EvaluationMetric, TaskKind
from pcgrad_tfx.errors import shown


class Gate(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """When a model may be pushed, judged on the whole test split.

    Attributes:
        min_gain: The primary metric must be at least this much above that of a constant
            prediction.
        max_drop: The primary metric may be at most this much below the last blessed model's.
    """

    min_gain: float = Field(0.0, description="gain over a constant prediction that is required")
    max_drop: float = Field(0.02, ge=0, description="drop from the last blessed model allowed")


class Task(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """One thing that the model learns to predict.

    A label is missing where a column of `only_where` is missing or has none of the values, where
    `column` (or `divide_by`) is missing or not finite, where `divide_by` is not positive, where
    `column` is not above `valid_above`, where a value is not one of `classes`, for a binary task
    without `above` and `positive`, where it is neither 0 nor 1, and, with `log_scale`, where it is
    negative.

    Attributes:
        name: The task's name, and that of the model's serving output.
        kind: "binary", "multiclass" or "regression".
        column: The source column of the label.
        divide_by: The label is `column / divide_by`.
        above: Binary tasks: the label is 1 where the value is greater than this, else 0.
            Without it and `positive` the column itself must be 0 or 1.
        positive: Binary tasks: the label is 1 where `column` has this value, 0 where it has
            another one; numbers and truth values as they stand in the data, "1" or "True".
        valid_above: There is no label where `column` is at or below this.
        only_where: Columns and the values that they must have, one or several for each: of
            conversions after a click `{ click = 1 }`. Numbers and truth values as they stand in the
            data, 1, "1" or "True". Such a column is no feature unless it is listed as one.
        classes: Multiclass tasks: the values of `column` in the order of their ids, integers
            written as decimal text.
        log_scale: Regression tasks: the network learns log(1 + label), and the loss is taken
            there; predictions and metrics are in the label's own unit.
        weight: A column of the rows' weights: they count so much in the task's loss and metrics,
            in training and evaluation. Only their ratios matter. A row without a weight, or with 0
            or less, does not count.
        class_weight: Binary and multiclass tasks: by class a factor of its rows' weights in the
            loss, of a binary task "0" and "1"; 1 for those not named. "balanced" is N / (K · Nₖ),
            with Nₖ of the N labelled rows of train in one of K classes. Metrics do not regard it.
        loss: The loss that is learned by: "binary_crossentropy"; "sparse_categorical_crossentropy";
            "mean_squared_error", "mean_absolute_error", "huber" or, of counts, "poisson", with an
            exponential head; of classes "focal", too. The first of its kind by default.
        huber_delta: The error from which "huber" is linear, in standard deviations of the label;
            1 by default.
        focal_gamma: How little "focal" regards the rows that are right; 2 by default.
        label_smoothing: Binary and multiclass tasks: this share of a label is spread over all
            classes.
        loss_weight: The factor of this task's loss.
        primary: With `surgery = "primary_task"`: the one task that the others shall only help.
        gate: When a model may be pushed.
        label_key: The name of the transformed label, by default the task's with "_label".
    """

    name: str = Field(
        pattern=r"^[A-Za-z][A-Za-z0-9_]*$",
        max_length=64,
        description="a letter, then letters, digits and underscores, 64 at most",
    )
    kind: Literal["binary", "multiclass", "regression"] = Field(description="what is predicted")
    column: Column = Field(description="the source column of the label")
    divide_by: Column | None = Field(None, description="the column to divide the label by")
    above: float | None = Field(None, description="the threshold of a binary label")
    positive: Column | None = Field(None, description="the value that makes the label 1")
    valid_above: float | None = Field(None, description="what a valid value must exceed")
    only_where: OnlyWhere = Field(None, description="the rows that have a label: column = value")
    classes: tuple[Column, ...] | None = Field(
        None, description="the class names in order, integers in quotes"
    )
    log_scale: bool = Field(False, description="whether the logarithm of the label is learned")
    weight: Column | None = Field(None, description="the column of the rows' weights")
    class_weight: ClassWeight = Field(
        None, description='"balanced", or a table of classes and weights'
    )
    loss: LossName = Field(
        default_factory=lambda data: KINDS[data["kind"]].losses[0],
        description="the loss that is learned by",
    )
    huber_delta: float | None = Field(
        None, gt=0, description='the standard deviations from which "huber" is linear'
    )
    focal_gamma: float | None = Field(None, ge=0, description='the exponent of "focal"')
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="the share of a label that is spread over all classes"
    )
    loss_weight: float = Field(1.0, gt=0, description="the factor of the task's loss")
    primary: bool = Field(False, description="whether the other tasks shall only help this one")
    gate: Gate = Field(Gate(), description="when a model may be pushed")
    label_key: str = Field(
        default_factory=lambda data: f"{data['name']}_label",
        pattern=r"^[^/\x00-\x1f\x7f]+$",
        max_length=100,
        description="the transformed label's name, 100 characters at most, without a slash",
    )

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if is_reserved(name):
            raise ValueError(
                f"{name!r} is like Keras's own names for what it logs; choose another name"
            )
        return name

    @model_validator(mode="after")
    def _check_fields(self, info: ValidationInfo) -> Task:
        check_fields(self, may_lack_classes=is_draft(info))
        return self

    @property
    def mask_key(self) -> str:
        """The transformed mask's name: float32, 1 where there is a label, else 0."""
        return f"{self.label_key}_mask"

    @property
    def weight_key(self) -> str:
        """The transformed weight's name, with a `weight`: float32, 0 where there is no label."""
        return f"{self.label_key}_weight"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes in the order of their ids; none if they are not known yet."""
        return ("0", "1") if self.kind == "binary" else self.classes or ()

    @property
    def source_columns(self) -> tuple[str, ...]:
        """The columns the label is derived from."""
        return (self.column,) if self.divide_by is None else (self.column, self.divide_by)

    @property
    def condition_columns(self) -> tuple[str, ...]:
        """The columns that say whether a row has a label: those of `only_where`."""
        return tuple(self.only_where or ())

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that the task needs in the data, none of which a request must have."""
        weights = () if self.weight is None else (self.weight,)
        return tuple(dict.fromkeys((*self.source_columns, *self.condition_columns, *weights)))

    @property
    def number_columns(self) -> tuple[str, ...]:
        """Those of `columns` that must hold numbers."""
        weights = () if self.weight is None else (self.weight,)
        return weights if self.is_text else (*self.source_columns, *weights)

    @property
    def is_text(self) -> bool:
        """Whether the label is a value that is looked up, not a number that is computed with."""
        return self.kind == "multiclass" or self.positive is not None

    @property
    def units(self) -> int:
        """The number of the head's outputs."""
        return len(self.classes) if self.classes is not None else 1

    @property
    def activation(self) -> str | None:
        """The head's activation; None is linear."""
        return "exponential" if self.loss == "poisson" else self._kind.activation

    @property
    def keras_metrics(self) -> tuple[str, ...]:
        """The metrics shown during training, as Keras names them."""
        return self._kind.keras_metrics

    @property
    def label_dtype(self) -> str:
        """The transformed label's dtype, "float32" or "int64"."""
        return self._kind.label_dtype

    @property
    def primary_metric(self) -> EvaluationMetric:
        """The metric that the gate looks at, higher is better."""
        return self._kind.primary_metric

    @property
    def detail_metrics(self) -> tuple[EvaluationMetric, ...]:
        """The metrics that are reported beside the primary one."""
        return self._kind.detail_metrics

    @property
    def constant_value(self) -> float:
        """The primary metric of a model that always predicts the same."""
        return self._kind.constant_value

    @property
    def lowest_value(self) -> float:
        """The least primary metric that the gate lets pass."""
        return self.constant_value + self.gate.min_gain

    @property
    def per_class(self) -> bool:
        """Whether the primary metric is an average over the classes."""
        return self._kind.per_class

    @property
    def _kind(self) -> TaskKind:
        return KINDS[self.kind]


def is_reserved(name: str) -> bool:
    """Whether Keras's logs would be ambiguous with a task of this name.

    There val_fare_loss is of the task fare.
    """
    return name.startswith("val_")


def is_draft(info: ValidationInfo) -> bool:
    """Whether what is validated is yet to be completed from the data.

    A draft may lack what can be found there, the classes of a task and the lists of features;
    whoever validates with the context `{"draft": True}` completes it.
    """
    return bool(info.context and info.context.get("draft"))


def check_tasks(tasks: Sequence[Task]) -> None:
    """Checks a list of tasks as a whole.

    Raises:
        ValueError: If it is empty, or two tasks share a name or a transformed feature.
    """
    if not tasks:
        raise ValueError("there is no task; add one")
    repeated = first_repeated(task.name for task in tasks)
    if repeated is not None:
        raise ValueError(f"two tasks are named {shown(repeated)}; give each its own name")
    repeated = first_repeated(
        key for task in tasks for key in (task.label_key, task.mask_key, task.weight_key)
    )
    if repeated is not None:
        raise ValueError(f"two tasks write {shown(repeated)}; give each its own `label_key`")


def parse_tasks(items: Iterable[Mapping[str, Any]]) -> tuple[Task, ...]:
    """Reads tasks from plain JSON values, as found in `custom_config`.

    Raises:
        ValueError: If a task or the list as a whole is wrong. (pydantic's ValidationError is a
            ValueError.)
    """
    tasks = tuple(Task.model_validate(item) for item in items)
    check_tasks(tasks)
    return tasks
