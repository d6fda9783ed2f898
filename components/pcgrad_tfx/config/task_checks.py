"""Whether the fields of a task fit each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pcgrad_tfx.config.task_kinds import KINDS
from pcgrad_tfx.config.validation_messages import nearest
from pcgrad_tfx.errors import shown

if TYPE_CHECKING:
    from pcgrad_tfx.config.tasks import Task


def check_fields(task: Task, may_lack_classes: bool = False) -> None:
    """Checks a task whose fields are right each alone.

    Args:
        task: The task.
        may_lack_classes: Whether `classes` may be left to be found in the data.

    Raises:
        ValueError: Two of them do not fit each other; in one line.
    """
    _check_kind(task)
    if task.positive is not None:
        _check_positive(task)
    if task.kind == "multiclass":
        _check_classes(task, may_lack_classes)
    _check_loss(task)
    if task.class_weight is not None:
        _check_class_weight(task)
    if task.divide_by == task.column:
        raise ValueError(f"`divide_by` is `column` itself ({shown(task.column)}); name another")
    if task.kind == "binary" and task.divide_by and task.above is None:
        raise ValueError("a binary label made with `divide_by` needs a threshold; add `above`")


def first_repeated(values: Iterable[str]) -> str | None:
    """The first value that stands there for the second time, if any."""
    seen: set[str] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None


def _check_kind(task: Task) -> None:
    if task.above is not None and task.kind != "binary":
        raise ValueError(f"`above` makes a binary label, but kind is {task.kind!r}; remove it")
    if task.positive is not None and task.kind != "binary":
        raise ValueError(f"`positive` makes a binary label, but kind is {task.kind!r}; remove it")
    if task.classes is not None and task.kind != "multiclass":
        raise ValueError(f"`classes` is for kind 'multiclass', not {task.kind!r}; remove it")
    if task.log_scale and task.kind != "regression":
        raise ValueError(f"`log_scale` is for kind 'regression', not {task.kind!r}; remove it")
    for key in ("class_weight", "label_smoothing"):
        if getattr(task, key) and task.kind == "regression":
            raise ValueError(f"`{key}` is for classes, not for kind 'regression'; remove it")


def _check_positive(task: Task) -> None:
    for key in ("above", "divide_by", "valid_above"):
        if getattr(task, key) is not None:
            raise ValueError(f"`positive` names a value, `{key}` is for numbers; remove one")


def _check_classes(task: Task, may_be_missing: bool) -> None:
    if task.classes is None and may_be_missing:
        pass
    elif task.classes is None or len(task.classes) < 3:
        raise ValueError(
            "kind 'multiclass' needs `classes` with at least 3 names; with 2 use 'binary'"
        )
    elif (repeated := first_repeated(task.classes)) is not None:
        raise ValueError(f"`classes` names {shown(repeated)} twice; name each class once")
    for key in ("divide_by", "valid_above"):
        if getattr(task, key) is not None:
            raise ValueError(f"`{key}` is for numbers, not for kind 'multiclass'; remove it")


def _check_loss(task: Task) -> None:
    losses = KINDS[task.kind].losses
    if task.loss not in losses:
        raise ValueError(
            f"`loss` {task.loss!r} is not for kind {task.kind!r}; there are: {', '.join(losses)}"
        )
    for key, of_loss in (("huber_delta", "huber"), ("focal_gamma", "focal")):
        if getattr(task, key) is not None and task.loss != of_loss:
            raise ValueError(f"`{key}` is for loss {of_loss!r}, not {task.loss!r}; remove it")
    if task.loss == "poisson" and task.log_scale:
        raise ValueError(
            "loss 'poisson' learns the logarithm of the mean already; remove `log_scale`"
        )


def _check_class_weight(task: Task) -> None:
    names = task.class_names
    if not names or not isinstance(task.class_weight, dict):
        return
    for name in task.class_weight:
        if name not in names:
            raise ValueError(
                f"`class_weight` names {shown(name)}, which is no class; {nearest(name, names)}"
            )
