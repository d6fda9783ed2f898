"""The arguments of `compile`, by task, whichever way the user gave them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def unique_names(names: Sequence[str]) -> list[str]:
    """Tells outputs of the same layer, or of layers of the same name, apart: "a", "a_1"."""
    unique: list[str] = []
    for name in names:
        candidate, number = name, 0
        while candidate in unique or (number and candidate in names):
            number += 1
            candidate = f"{name}_{number}"
        unique.append(candidate)
    return unique


def losses_by_task(loss: Any, outputs: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Names the losses by task.

    Args:
        loss: What the user passed to `compile`.
        outputs: The names of the model's outputs; empty if they are not known yet.

    Returns:
        Loss by task, in the order of the outputs, without those that have none; and the names of
        the outputs: if they are not known, the places in a list of losses, or a mapping's keys.

    Raises:
        ValueError: There is no loss, or one for an output that the model does not have.
    """
    if isinstance(loss, Mapping):
        by_task = {str(name): value for name, value in loss.items() if value is not None}
    elif isinstance(loss, list | tuple):
        outputs = outputs or [str(i) for i in range(len(loss))]
        if loss and len(loss) != len(outputs):
            raise ValueError(
                f"`loss` is a list of {len(loss)}; the model's outputs are {outputs}: pass one "
                "loss, or None, for each"
            )
        names = outputs[: len(loss)]
        by_task = {n: value for n, value in zip(names, loss, strict=True) if value is not None}
    elif loss is not None and outputs:
        by_task = dict.fromkeys(outputs, loss)
    else:
        by_task = {}
    outputs = outputs or list(by_task)
    unknown = sorted(set(by_task) - set(outputs))
    if unknown:
        raise ValueError(f"`loss` names {unknown[0]!r}; the model's outputs are {outputs}")
    if not by_task:
        raise ValueError(
            f"`loss` is {loss!r}: pass one loss for each task, as a dict by output name or a list"
        )
    return {name: by_task[name] for name in outputs if name in by_task}, outputs


def by_task(
    argument: str, values: Any, tasks: Sequence[str], outputs: Sequence[str]
) -> dict[str, Any]:
    """Names the entries of another argument by task.

    Args:
        argument: Its name, for errors.
        values: What the user passed to `compile`.
        tasks: The names of the tasks.
        outputs: The names of the outputs, those without a loss among them.

    Returns:
        Entry by task, where there is one.

    Raises:
        ValueError: The entries do not match the tasks.
    """
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        if len(tasks) == 1 and argument != "loss_weights":
            return {tasks[0]: values}
        fitting = names_for_list(values, outputs, tasks)
        if fitting is None:
            raise ValueError(
                f"`{argument}` is {values!r}: pass a dict by task or a list with one entry for "
                f"each of the tasks {list(tasks)}"
            )
        values = dict(zip(fitting, values, strict=True))
    values = {name: value for name, value in values.items() if value is not None}
    unknown = sorted(set(values) - set(tasks))
    if unknown:
        raise ValueError(f"`{argument}` names {unknown[0]!r}; the tasks are {list(tasks)}")
    return values


def names_for_list(
    values: Any, outputs: Sequence[str], tasks: Sequence[str]
) -> Sequence[str] | None:
    """What the entries of a list belong to: all outputs, or those that have a loss.

    Returns:
        As many names as there are entries; `None` if it is no list, or of another length.
    """
    if not isinstance(values, list | tuple):
        return None
    return next((names for names in (outputs, tasks) if len(names) == len(values)), None)


def is_weighting(surgery: Any) -> bool:
    """Whether it can be called on a Gram matrix: a class, `PCGrad` for `PCGrad()`, cannot."""
    return callable(surgery) and not isinstance(surgery, type)
