"""How the tasks' gradients are combined, as configurations say it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.validation_messages import nearest
from pcgrad_tfx.errors import brief, shown

# The names of `pcgrad.methods`, which imports TensorFlow, and "none".
SURGERIES = (
    "pcgrad", "ppcgrad", "none", "aligned_mtl", "cagrad", "config", "dual_balancing", "dual_proj",
    "dwa", "fairgrad", "famo", "geometric_mean", "gradnorm", "gradvac", "imtl_g", "log_losses",
    "mgda", "nash_mtl", "normalized", "primary_task", "random", "smooth_tchebycheff",
    "uncertainty", "upgrad",
)  # fmt: skip

# Those of them that take no Gram matrix.
ONE_PASS = (
    "none", "dwa", "famo", "geometric_mean", "log_losses", "random", "smooth_tchebycheff",
    "uncertainty",
)  # fmt: skip

# Takes its argument from the tasks.
PRIMARY_TASK = "primary_task"


def check_surgery(value: Any) -> str:
    """Reads a method: its name, or a table of it and its arguments.

    Args:
        value: "cagrad", `{"method": "cagrad", "c": 0.4}`, or the latter as JSON text, as runtime
            parameters and hyperparameters are no tables.

    Returns:
        The name, or with arguments JSON text.

    Raises:
        ValueError: There is no such method, or it has no such argument; or a value is wrong.
    """
    table = value
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            table = json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"{shown(value)} is no JSON object: {error}") from None
    if not isinstance(table, Mapping):
        table = {"method": value}
    if "method" not in table:
        raise ValueError(f'{shown(value)} names no method; add method = "pcgrad", say')
    method, arguments = table["method"], {k: v for k, v in table.items() if k != "method"}
    if method not in SURGERIES:
        given = brief(json.dumps(method, default=str))
        raise ValueError(
            f"{given} is not one of {', '.join(SURGERIES)}; {nearest(method, SURGERIES)}"
        )
    if not arguments:
        return method
    if method in ("none", PRIMARY_TASK):
        raise ValueError(f'"{method}" takes no arguments; remove {shown(next(iter(arguments)))}')
    # What TensorFlow's packages warn of on the way is not about the configuration.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pcgrad.methods import make_weighting

    make_weighting(method, **arguments)
    return json.dumps({"method": method, **arguments})


Surgery = Annotated[str, BeforeValidator(check_surgery), Field(description="a method's name")]


def method_and_arguments(surgery: str) -> tuple[str, dict[str, Any]]:
    """The name of a checked method, and its arguments."""
    table = json.loads(surgery) if surgery.startswith("{") else {"method": surgery}
    return table.pop("method"), table


def surgery_text(surgery: str) -> str:
    """A checked method as people read it: "cagrad (c = 0.4)"."""
    method, arguments = method_and_arguments(surgery)
    return method + arguments_text(arguments)


def arguments_text(arguments: Mapping[str, Any]) -> str:
    """A method's arguments behind its name: " (c = 0.4)"."""
    said = ", ".join(f"{name} = {json.dumps(value)}" for name, value in arguments.items())
    return f" ({said})" if said else ""


def check_method(surgery: str, every: int, gramian: str | None, tasks: Sequence[Task]) -> None:
    """Checks that a method fits the rest of a configuration.

    Args:
        surgery: As `check_surgery` returns it.
        every: `surgery_every`.
        gramian: How the Gram matrix is taken; None if that is open.
        tasks: Those of the model; none if they are not known.

    Raises:
        ValueError: It wants a primary task, and none is, or several are; or there is no Gram matrix
            that could be taken now and then to save time.
    """
    method, _ = method_and_arguments(surgery)
    if method == PRIMARY_TASK and tasks:
        primary_task(tasks)
    if every > 1 and method in ONE_PASS:
        raise ValueError(
            f'surgery_every: surgery = "{method}" takes no Gram matrix, in no step; leave it out'
        )
    if every > 1 and gramian == "features":
        raise ValueError(
            'surgery_every: with gramian = "features" the Gram matrix costs little; leave it out'
        )


def primary_task(tasks: Sequence[Task]) -> int:
    """The place of the task that the others shall only help.

    Raises:
        ValueError: None is primary, or several are.
    """
    primary = [index for index, task in enumerate(tasks) if task.primary]
    if len(primary) != 1:
        found = "no task is" if not primary else f"{len(primary)} tasks are"
        raise ValueError(f'surgery: "{PRIMARY_TASK}" wants one task with primary = true; {found}')
    return primary[0]
