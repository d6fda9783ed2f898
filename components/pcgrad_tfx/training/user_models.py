"""Models that a user's function builds: made to fit the tasks, or refused in one line."""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from pcgrad.keras import MultiTaskModel
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.training.label_statistics import LabelStatistics
from pcgrad_tfx.training.model import FeatureSpec, outputs_by_task
from pcgrad_tfx.training.network.head_activations import check_head, gives_logits, last_layer

ModelFn: TypeAlias = Callable[[FeatureSpec, Sequence[Task], Mapping[str, Any]], keras.Model]

# Half precision rounds a probability by less than this, and the sum of a thousand of them.
_ROUNDING = 0.02

# How Keras makes a part of its messages bold.
_STYLE = re.compile(r"\x1b\[\d*m")

# Of a `keras.Model`; the layers do not have them.
_LOST_METHODS = ("train_step", "test_step", "compute_loss", "compute_metrics")

# Rows that are not all of one class.
_SEVERAL_ROWS = 8


def load_model_fn(path: str) -> ModelFn:
    """Imports a user's function that builds a model.

    Args:
        path: "package.module.function" of a function `(feature_spec, tasks, hyperparameters) →
            keras.Model` that returns a model from a mapping of transformed features to one output
            for each task, not compiled; see `as_multi_task_model`.

    Returns:
        The function.

    Raises:
        ValueError: There is no such function, or it takes other arguments.
    """
    module, _, name = path.rpartition(".")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"custom_config: model_fn: cannot import {path!r} ({error}); name an installed "
            "function as 'package.module.function'"
        ) from error
    if not callable(function):
        raise ValueError(f"custom_config: model_fn: {path!r} is not a function; name a function")
    _check_arguments(function, path)
    return function


def _check_arguments(function: Callable[..., Any], path: str) -> None:
    try:
        signature = inspect.signature(function)
    except ValueError:  # Some that are not written in Python have none.
        return
    try:
        signature.bind("feature_spec", "tasks", "hyperparameters")
    except TypeError as error:
        raise ValueError(
            f"custom_config: model_fn: {path!r} takes other arguments than it is given ({error}); "
            "let it take feature_spec, tasks and hyperparameters"
        ) from error


def as_multi_task_model(
    model: Any,
    tasks: Sequence[Task],
    path: str,
    feature_spec: FeatureSpec,
    statistics: Mapping[str, LabelStatistics] | None = None,
) -> MultiTaskModel:
    """Checks a user's model and makes it one that trains with gradient surgery.

    A binary or multiclass task's head that ends in a dense layer without an activation gives
    logits: a sigmoid or softmax is put behind it, so that losses, metrics and the served model see
    probabilities. Other heads are taken as they are; `check_outputs` looks at what they give.

    Args:
        model: What the user's function returned: a functional model, a `Sequential` for one task,
            a `MultiTaskModel`, or another subclass of `keras.Model` that takes the mapping of
            features. Its outputs are named like the tasks; that of one task may be named otherwise.
        tasks: The tasks.
        path: The function's import path, for the message.
        feature_spec: The transformed features.
        statistics: Of the regression labels, by task's name.

    Returns:
        The model itself if it is a `MultiTaskModel` without logits, otherwise one of its layers;
        built.

    Raises:
        ValueError: The model is none, is compiled, has steps or losses of its own that the Trainer
            does not use, cannot take the features, or its outputs are not named like the tasks; or
            a task's head cannot give its labels or their probabilities.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"{path} returned {type(model).__name__}; return a functional keras.Model or a "
            "pcgrad.keras.MultiTaskModel"
        )
    if getattr(model, "compiled", False):
        raise ValueError(f"{path} returned a compiled model; leave compiling it to the Trainer")
    _check_methods(model, path)
    is_functional = getattr(model, "inputs", None) and not isinstance(model, keras.Sequential)
    if not isinstance(model, MultiTaskModel) and (not is_functional or _has_own_call(model)):
        model = _as_functional(model, path, feature_spec)
    elif not isinstance(model, MultiTaskModel):
        model = MultiTaskModel(model.input, model.output)
    if not model.named_outputs():
        if not model.built:
            model(_no_rows(feature_spec))
        return model
    outputs = outputs_by_task(model, model.output)
    if len(outputs) == len(tasks) == 1:
        outputs = {tasks[0].name: next(iter(outputs.values()))}
    names = {task.name for task in tasks}
    if set(outputs) != names:
        raise ValueError(
            f"{path} returned a model with outputs {sorted(outputs)}; name them like the tasks, "
            f"{sorted(names)}"
        )
    changed = set(model.named_outputs()) != names
    for task in tasks:
        output = outputs[task.name]
        head = last_layer(model, output)
        try:
            check_head(head, output.shape[-1], task, (statistics or {}).get(task.name))
        except ValueError as error:
            raise ValueError(f"{path}: task {task.name!r}: {error}") from None
        if task.kind != "regression" and gives_logits(head):
            logging.info("%s: task %s: a %s is put behind it", path, task.name, task.activation)
            # In float32, whatever the other layers compute in.
            apply = keras.layers.Activation(task.activation, dtype="float32")
            outputs[task.name] = apply(outputs[task.name])
            changed = True
    if not changed:
        return model
    plain = MultiTaskModel(model.input, outputs)
    # A class of the user's own may do more than its layers.
    return plain if type(model) is type(plain) else model


def check_outputs(
    model: MultiTaskModel, features: Mapping[str, Any], tasks: Sequence[Task], path: str
) -> None:
    """Checks what a user's model gives for a batch.

    Args:
        model: From `as_multi_task_model`.
        features: A batch of transformed features.
        tasks: The tasks.
        path: The function's import path, for the message.

    Raises:
        ValueError: There is not one output for each task, one has another shape than [N, units],
            or those of a binary or multiclass task are no probabilities.
    """
    rows = len(next(iter(features.values())))
    try:
        found = model(features, training=False)
    # Whatever the layers raise.
    except Exception as error:
        raise ValueError(
            f"{path} returned a model that cannot be called: {_said(error)}"
        ) from error
    try:
        outputs = outputs_by_task(model, found)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    names = {task.name for task in tasks}
    if set(outputs) != names:
        raise ValueError(
            f"{path} returned a model with outputs {sorted(map(str, outputs))}; name them like the "
            f"tasks, {sorted(names)}"
        )
    for task in tasks:
        where = f"{path}: task {task.name!r}"
        values = np.asarray(outputs[task.name], np.float64)
        # Of [N] Keras takes the mean over the rows before it could weight them.
        is_weighted = task.weight is not None or task.class_weight is not None
        shapes = [(rows, task.units)] + ([(rows,)] if task.units == 1 and not is_weighted else [])
        if values.shape not in shapes:
            raise ValueError(
                f"{where}: outputs of shape {_shape(values)}, but kind {task.kind!r} needs "
                f"[N, {task.units}]; end its head with Dense({task.units}, {task.activation!r})"
            )
        known = values[np.isfinite(values)]
        if task.loss == "poisson" and known.size and known.min() < 0:
            raise ValueError(
                f"{where}: outputs down to {known.min():.4g}, but loss 'poisson' needs positive "
                f"ones; end its head with Dense({task.units}, {task.activation!r})"
            )
        if task.kind == "regression" or not known.size:
            continue
        found = f"from {known.min():.4g} to {known.max():.4g}"
        if known.min() < -_ROUNDING or known.max() > 1 + _ROUNDING:
            problem = f"outputs {found} are no probabilities"
        elif task.units > 1 and np.nanmax(np.abs(values.sum(axis=1) - 1)) > _ROUNDING:
            problem = "the outputs of a row do not sum to one"
        elif task.units == 1 and known.size >= _SEVERAL_ROWS and known.min() == 1:
            problem = "the outputs are 1 for any row"
        else:
            continue
        raise ValueError(f"{where}: {problem}; apply a {task.activation} to its output")


def _check_methods(model: keras.Model, path: str) -> None:
    """Raises a ValueError if a model's class has methods that would be lost with the class."""
    for method in () if isinstance(model, MultiTaskModel) else _LOST_METHODS:
        if getattr(type(model), method) is not getattr(keras.Model, method):
            raise ValueError(
                f"{path} returned {type(model).__name__}, which has a {method} of its own, but the "
                "Trainer's is used; return a functional keras.Model or a "
                "pcgrad.keras.MultiTaskModel"
            )


def _has_own_call(model: keras.Model) -> bool:
    """Whether it does more than its layers: a class derived from Keras's functional model."""
    owner = next(cls for cls in type(model).__mro__ if "call" in vars(cls))
    return owner.__module__.partition(".")[0] != "keras"


def _as_functional(model: keras.Model, path: str, feature_spec: FeatureSpec) -> MultiTaskModel:
    """A Sequential, or a model with a `call` of its own, as one layer of a functional model."""
    inputs = {}
    for name, feature in feature_spec.items():
        is_dense = isinstance(feature, tf.io.FixedLenFeature)
        shape = feature.shape if is_dense else [None]
        inputs[name] = keras.Input(shape, dtype=feature.dtype.name, sparse=not is_dense)
        # As an argument it could have no slash.
        inputs[name].name = name
    candidates: list[Any] = [inputs]
    if isinstance(model, keras.Sequential) and len(inputs) == 1:
        # Its first layer takes the tensor, or is one of the user's that takes the mapping.
        candidates = [next(iter(inputs.values())), *([] if model.built else [inputs])]
    failed: Exception | None = None
    for given in candidates:
        try:
            return MultiTaskModel(inputs, model(given))
        # Whatever the layers raise.
        except Exception as error:
            failed = failed or error
    raise ValueError(
        f"{path} returned {type(model).__name__}, which cannot take a mapping of the features "
        f"{sorted(inputs)} ({_said(failed)}); return a functional keras.Model or a "
        "pcgrad.keras.MultiTaskModel"
    ) from failed


def _said(error: Exception | None) -> str:
    """What a layer raised, on one line, without the arguments that Keras lists."""
    said = _STYLE.sub("", str(error)).partition("Arguments received")[0]
    return textwrap.shorten(said, 300, placeholder=" …")


def _no_rows(feature_spec: FeatureSpec) -> dict[str, Any]:
    return {
        name: tf.zeros([1, *feature.shape], feature.dtype)
        if isinstance(feature, tf.io.FixedLenFeature)
        else tf.sparse.from_dense(tf.zeros([1, 1], feature.dtype))
        for name, feature in feature_spec.items()
    }


def _shape(values: Any) -> str:
    return "[" + ", ".join(["N", *map(str, values.shape[1:])]) + "]"
