"""The default model: features in, a shared bottom, one head for each task."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from pcgrad.keras import MultiTaskModel
from pcgrad_tfx.label_statistics import LabelStatistics
from pcgrad_tfx.tasks import Task
from pcgrad_tfx.training_config import Training

FeatureSpec: TypeAlias = Mapping[str, tf.io.FixedLenFeature]
ModelFn: TypeAlias = Callable[[FeatureSpec, Sequence[Task], Mapping[str, Any]], keras.Model]


def build_model(
    feature_spec: FeatureSpec,
    tasks: Sequence[Task],
    training: Training,
    embedding_sizes: Mapping[str, int],
    label_statistics: Mapping[str, LabelStatistics],
) -> MultiTaskModel:
    """Builds the default multi-task model.

    Args:
        feature_spec: The transformed features, each a scalar of a row.
        tasks: The tasks; each becomes an output [N, units] of its name.
        training: The sizes of the layers.
        embedding_sizes: For each feature that holds ids their number; the others are numbers.
        label_statistics: Mean and deviation of each regression task's label: its head learns a
            standardized value and gives the label's own unit.

    Returns:
        The model, from a mapping of features [N] to a mapping of outputs; not compiled.
    """
    inputs = {
        name: keras.Input((), name=name, dtype=feature.dtype.name)
        for name, feature in feature_spec.items()
    }
    columns = []
    for name, column in inputs.items():
        if name in embedding_sizes:
            embedding = keras.layers.Embedding(
                embedding_sizes[name], training.embedding_dim, name=f"{name}_embedding"
            )
            columns.append(embedding(column))
        else:
            columns.append(keras.layers.Reshape((1,), name=f"{name}_column")(column))
    shared = columns[0] if len(columns) == 1 else keras.layers.Concatenate()(columns)
    for index, units in enumerate(training.hidden_units):
        shared = keras.layers.Dense(units, activation="relu", name=f"shared_{index}")(shared)
    outputs = {
        task.name: _head(task, shared, training, label_statistics.get(task.name)) for task in tasks
    }
    return MultiTaskModel(inputs, outputs)


def load_model_fn(path: str) -> ModelFn:
    """Imports a user's function that builds a model.

    Args:
        path: "package.module.function" of a function `(feature_spec, tasks, hyperparameters) →
            keras.Model` that returns a model from a mapping of transformed features to one output
            for each task (named like the tasks), not compiled.

    Returns:
        The function.

    Raises:
        ValueError: There is no such function.
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
    return function


def as_multi_task_model(model: keras.Model, tasks: Sequence[Task], path: str) -> MultiTaskModel:
    """Checks a user's model and makes it one that trains with gradient surgery.

    Args:
        model: What the user's function returned.
        tasks: The tasks.
        path: The function's import path, for the message.

    Returns:
        The model itself if it is a `MultiTaskModel`, otherwise one of the same layers.

    Raises:
        ValueError: The model is compiled, is neither functional nor a `MultiTaskModel`, or its
            outputs are not named like the tasks.
    """
    if getattr(model, "compiled", False):
        raise ValueError(f"{path} returned a compiled model; leave compiling it to the Trainer")
    if not isinstance(model, MultiTaskModel):
        if not getattr(model, "inputs", None):
            raise ValueError(
                f"{path} returned {type(model).__name__}; return a functional keras.Model or a "
                "pcgrad.keras.MultiTaskModel"
            )
        model = MultiTaskModel(model.input, model.output)
    names = {task.name for task in tasks}
    outputs = set(model.named_outputs() or names)
    if outputs != names:
        raise ValueError(
            f"{path} returned a model with outputs {sorted(outputs)}; name them like the tasks, "
            f"{sorted(names)}"
        )
    return model


def _head(task: Task, shared: Any, training: Training, statistics: LabelStatistics | None) -> Any:
    own = shared
    for index, units in enumerate(training.head_units):
        layer = keras.layers.Dense(units, activation="relu", name=f"{task.name}_hidden_{index}")
        own = layer(own)
    if statistics is None:
        return keras.layers.Dense(task.units, activation=task.activation, name=task.name)(own)
    standardized = keras.layers.Dense(task.units, name=f"{task.name}_standardized")(own)
    unit = keras.layers.Rescaling(statistics.deviation, statistics.mean, name=task.name)
    return unit(standardized)
