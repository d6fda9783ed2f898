"""The arguments of `compile`, by task, whichever way the user gave them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def losses_by_task(loss: Any, outputs: list[str]) -> dict[str, Any]:
    """Names the losses by task.

    Args:
        loss: What the user passed to `compile`.
        outputs: The names of the model's outputs; empty if they are not known yet.

    Returns:
        Loss by task, without the outputs that have none.

    Raises:
        ValueError: There is no loss, or one for an output that the model does not have.
    """
    if isinstance(loss, Mapping):
        by_task = {str(name): value for name, value in loss.items() if value is not None}
    elif isinstance(loss, list | tuple):
        names = outputs if len(outputs) == len(loss) else [str(i) for i in range(len(loss))]
        by_task = {n: value for n, value in zip(names, loss, strict=True) if value is not None}
    elif loss is not None and outputs:
        by_task = dict.fromkeys(outputs, loss)
    else:
        by_task = {}
    unknown = sorted(set(by_task) - set(outputs)) if outputs else []
    if unknown:
        raise ValueError(f"`loss` names {unknown[0]!r}; the model's outputs are {outputs}")
    if not by_task:
        raise ValueError(
            f"`loss` is {loss!r}: pass one loss for each task, as a dict by output name or a list"
        )
    return by_task


def by_task(argument: str, values: Any, tasks: tuple[str, ...]) -> dict[str, Any]:
    """Names the entries of another argument by task.

    Args:
        argument: Its name, for errors.
        values: What the user passed to `compile`.
        tasks: The names of the tasks.

    Returns:
        Entry by task; empty if there are none.

    Raises:
        ValueError: The entries do not match the tasks.
    """
    if values is None:
        return {}
    if isinstance(values, Mapping):
        unknown = sorted(set(values) - set(tasks))
        if unknown:
            raise ValueError(f"`{argument}` names {unknown[0]!r}; the tasks are {list(tasks)}")
        return dict(values)
    if len(tasks) == 1 and argument != "loss_weights":
        return {tasks[0]: values}
    if not isinstance(values, list | tuple) or len(values) != len(tasks):
        raise ValueError(
            f"`{argument}` is {values!r}: pass a dict by task or a list with one entry for each of "
            f"the tasks {list(tasks)}"
        )
    return dict(zip(tasks, values, strict=True))
