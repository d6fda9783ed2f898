"""The arguments of `compile`, by task, whichever way the user gave them."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pcgrad.keras.output_names import OutputNames, add_named
from pcgrad.methods import make_weighting
from pcgrad.weightings.weighting import Weighting, needs_gramian


def losses_by_task(loss: Any, outputs: OutputNames) -> tuple[dict[str, Any], OutputNames]:
    """Names the losses by task.

    Args:
        loss: What the user passed to `compile`.
        outputs: The model's outputs; without names if they are not known yet.

    Returns:
        Loss by task, in the order of the outputs, without those that have none; and the outputs: if
        they are not known, the places in a list of losses, or a mapping's keys.

    Raises:
        ValueError: There is no loss, one for an output that the model does not have, or several for
            one output.
    """
    given: dict[str, Any] = {}
    loss = _without_lists_of_one(loss, outputs)
    if isinstance(loss, list | tuple) and outputs.names and not _is_nested_within(loss):
        if loss and len(loss) != len(outputs.listed):
            raise ValueError(
                f"`loss` is a list of {len(loss)}; the model's outputs are "
                f"{list(outputs.listed)}: pass one loss, or None, for each"
            )
        given = dict(zip(outputs.listed[: len(loss)], loss, strict=True))
    elif isinstance(loss, Mapping | list | tuple):
        given = outputs.of(loss, "loss")
        if not outputs.names:
            is_mapped = isinstance(loss, Mapping)
            names = outputs.as_given(loss)
            if is_mapped:
                names = [name for name in names if given[name] is not None]
            listed = tuple(name for name in given if name in names)
            outputs = OutputNames(tuple(names), listed, outputs.by_path, is_mapped)
    elif loss is not None:
        given = dict.fromkeys(outputs.names, loss)
    by_task = {name: value for name, value in given.items() if value is not None}
    unknown = sorted(set(by_task) - set(outputs.names))
    if unknown:
        raise ValueError(
            f"`loss` names {unknown[0]!r}; the model's outputs are {list(outputs.names)}"
        )
    if not by_task:
        raise ValueError(
            f"`loss` is {loss!r}: pass one loss for each task, as a dict by output name or a list"
        )
    return {name: by_task[name] for name in outputs.names if name in by_task}, outputs


def reporting_order(loss: Any, tasks: Sequence[str], outputs: OutputNames) -> list[str]:
    """The tasks in the order in which Keras reports their losses: that of a mapping of losses."""
    if not (isinstance(loss, Mapping) and outputs.are_mapped):
        return list(tasks)
    given = outputs.as_given(_without_lists_of_one(loss, outputs))
    return [name for name in given if name in tasks]


def by_task(
    argument: str, values: Any, tasks: Sequence[str], outputs: OutputNames
) -> dict[str, Any]:
    """Names the entries of another argument by task.

    Args:
        argument: Its name, for errors.
        values: What the user passed to `compile`.
        tasks: The names of the tasks.
        outputs: The outputs, those without a loss among them.

    Returns:
        Entry by task, where there is one.

    Raises:
        ValueError: The entries do not match the tasks.
    """
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        is_list = isinstance(values, list | tuple)
        if len(tasks) == 1 and (argument != "loss_weights" or not is_list):
            return {tasks[0]: values}
        fitting = names_for_list(values, outputs.listed, tasks)
        if fitting is None:
            raise ValueError(
                f"`{argument}` is {values!r}: pass a dict by task or a list with one entry for "
                f"each of the tasks {list(tasks)}"
            )
        values = dict(zip(fitting, values, strict=True))
    named = {name: value for name, value in _flat(argument, values).items() if value is not None}
    unknown = sorted(set(named) - set(tasks))
    if unknown:
        raise ValueError(f"`{argument}` names {unknown[0]!r}; the tasks are {list(tasks)}")
    return named


def checked_weight(task: str, weight: Any) -> Any:
    """A loss weight: a float, or the variable or tensor that holds it, read in every step.

    Raises:
        ValueError: It is no finite number.
    """
    if isinstance(weight, tf.Tensor) and hasattr(weight, "numpy"):
        weight = weight.numpy()  # Of an eager tensor, which stays as it is.
    if isinstance(weight, tf.Variable | keras.Variable) or tf.is_tensor(weight):
        is_number = tf.as_dtype(weight.dtype) != tf.bool and len(weight.shape) == 0
        if is_number and tf.as_dtype(weight.dtype) != tf.string:
            return weight
    elif isinstance(weight, np.ndarray | numbers.Real):
        array = np.asarray(weight)  # of bool, for a bool
        if array.shape == () and array.dtype.kind in "iuf" and math.isfinite(array):
            return float(array)
    raise ValueError(
        f"`loss_weights`: that of task {task!r} is {weight!r}; pass a finite number, or a variable "
        "that holds one"
    )


def names_for_list(
    values: Any, outputs: Sequence[str], tasks: Sequence[str]
) -> Sequence[str] | None:
    """What the entries of a list belong to: all outputs, or those that have a loss.

    Args:
        values: The list.
        outputs: The names of the outputs, in the order of lists.
        tasks: The names of those that have a loss, in any order.

    Returns:
        As many names as there are entries; `None` if it is no list, or of another length.
    """
    if not isinstance(values, list | tuple):
        return None
    with_loss = [name for name in outputs if name in tasks]
    return next((names for names in (outputs, with_loss) if len(names) == len(values)), None)


def as_weighting(surgery: Any) -> Weighting | None:
    """The weighting that `compile` was given, or told the name of.

    Raises:
        ValueError: The name, or an argument of its method, is unknown.
        TypeError: It cannot be called on a Gram matrix: a class, `PCGrad` for `PCGrad()`, cannot.
    """
    if isinstance(surgery, str):
        return make_weighting(surgery)
    if isinstance(surgery, Mapping) and "method" in surgery:
        return make_weighting(**surgery)
    if surgery is not None and (not callable(surgery) or isinstance(surgery, type)):
        raise TypeError(
            f"`surgery` is {surgery!r}: pass PCGrad(), another function from the Gram matrix to "
            'weights, the name of a method ("pcgrad"), or None'
        )
    return surgery


def check_surgery_every(every: Any, surgery: Weighting | None, gramian: str) -> None:
    """Checks how often the Gram matrix shall be taken.

    Raises:
        ValueError: It is no integer of 1 or more, or the surgery takes no Gram matrix, or one that
            costs little.
    """
    if not isinstance(every, int | np.integer) or every < 1:
        raise ValueError(f"`surgery_every` must be an integer of 1 or more, not {every!r}")
    if every > 1 and (surgery is None or not needs_gramian(surgery)):
        raise ValueError(
            f"`surgery_every` is {every}, but no Gram matrix is taken with surgery={surgery!r}: "
            "leave it out"
        )
    if every > 1 and gramian == "features":
        raise ValueError(
            f'`surgery_every` is {every}, with gramian="features": that matrix costs little, and '
            "each is an approximation by itself; leave one of them out"
        )


def _without_lists_of_one(loss: Any, outputs: OutputNames) -> Any:
    """A mapping of losses, some in a list of one, as Keras takes them, too."""
    if not isinstance(loss, Mapping):
        return loss
    found = dict(loss)
    for key, value in loss.items():
        if isinstance(value, list | tuple) and str(key) in outputs.names:
            if len(value) != 1:
                raise ValueError(
                    f"`loss` of output {str(key)!r} is a list of {len(value)}: pass one loss, for "
                    "several a function that adds them"
                )
            found[key] = value[0]
    return found


def _is_nested_within(values: Sequence[Any]) -> bool:
    return any(isinstance(value, Mapping | list | tuple) for value in values)


def _flat(
    argument: str, values: Mapping[Any, Any], parents: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The entries of a mapping of mappings by the whole way to them."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        way = (*parents, str(key))
        is_inner = isinstance(value, Mapping)
        entries = _flat(argument, value, way) if is_inner else {"/".join(way): value}
        for name, entry in entries.items():
            add_named(found, argument, name, entry)
    return found
