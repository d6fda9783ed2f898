"""The default model: features in, a shared bottom, one head for each task."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from pcgrad.keras import MultiTaskModel
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.training_config import Training
from pcgrad_tfx.config.validation_messages import nearest
from pcgrad_tfx.training.label_statistics import LabelStatistics
from pcgrad_tfx.training.log_scale import FromLog

_LAYER_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.-]{,199}")

FeatureSpec: TypeAlias = Mapping[str, tf.io.FixedLenFeature]


def build_model(
    feature_spec: FeatureSpec,
    tasks: Sequence[Task],
    training: Training,
    embedding_sizes: Mapping[str, int],
    label_statistics: Mapping[str, LabelStatistics],
) -> MultiTaskModel:
    """Builds the default multi-task model.

    Args:
        feature_spec: The transformed features, each one value of a row, [] or [1].
        tasks: The tasks; each becomes an output [N, units] of its name.
        training: The sizes of the layers.
        embedding_sizes: For each feature that holds ids their number; the others are numbers.
        label_statistics: Mean and deviation of each regression task's label, on its logarithmic
            scale if it has one: its head learns a standardized value and gives the label's own
            unit.

    Returns:
        The model, from a mapping of features, [N] or [N, 1], to a mapping of outputs; not compiled.
    """
    names = _LayerNames(tasks)
    inputs, columns = {}, []
    for position, (name, feature) in enumerate(feature_spec.items()):
        # Keras allows no slash in a layer's name, TensorFlow not much but letters and digits.
        layer = name if _LAYER_NAME.fullmatch(name) else f"feature_{position}"
        value = keras.Input(feature.shape, name=names.free(layer), dtype=feature.dtype.name)
        # Keras compares it with the key, and the key must be the feature's name.
        value.name = name
        inputs[name] = value
        ids = embedding_sizes.get(name)
        columns.append(_column(value, layer, ids, training.embedding_dim, names))
    if len(columns) == 1:
        shared = columns[0]
    else:
        shared = keras.layers.Concatenate(name=names.free("concatenate"))(columns)
    for index, units in enumerate(training.hidden_units):
        name = names.free(f"shared_{index}")
        shared = keras.layers.Dense(units, activation="relu", name=name)(shared)
    outputs = {
        task.name: _head(task, shared, training, label_statistics.get(task.name), names)
        for task in tasks
    }
    return MultiTaskModel(inputs, outputs)


def parameter_count(
    feature_spec: FeatureSpec,
    tasks: Sequence[Task],
    training: Training,
    embedding_sizes: Mapping[str, int],
) -> int:
    """The number of the default model's parameters, without building it.

    Args:
        feature_spec: As of `build_model`.
        tasks: As of `build_model`.
        training: As of `build_model`.
        embedding_sizes: As of `build_model`.
    """
    ids = [embedding_sizes[name] for name in feature_spec if name in embedding_sizes]
    width = len(feature_spec) - len(ids) + len(ids) * training.embedding_dim
    bottom = _dense_parameters([width, *training.hidden_units])
    shared = [width, *training.hidden_units][-1]
    heads = (_dense_parameters([shared, *training.head_units, task.units]) for task in tasks)
    return sum(ids) * training.embedding_dim + bottom + sum(heads)


def _dense_parameters(widths: Sequence[int]) -> int:
    return sum((before + 1) * after for before, after in itertools.pairwise(widths))


def check_feature_spec(feature_spec: FeatureSpec, embedding_sizes: Mapping[str, int]) -> None:
    """Checks that our model can take what somebody else's preprocessing wrote.

    Args:
        feature_spec: The transformed features.
        embedding_sizes: The features that hold ids, and how many.

    Raises:
        ValueError: A feature that `embedding_sizes` names does not exist or holds no integers, or
            one is neither a number nor such an id, one in each row.
    """
    for name in embedding_sizes:
        if name not in feature_spec:
            raise ValueError(
                f"custom_config: embedding_sizes: {name!r} is not among the transformed features; "
                f"{nearest(name, feature_spec)}"
            )
    for name, feature in feature_spec.items():
        has_ids = name in embedding_sizes
        if not isinstance(feature, tf.io.FixedLenFeature) or math.prod(feature.shape) != 1:
            problem = "has not just one value in each row; make it a dense tensor of [N] values"
        elif feature.dtype == tf.string:
            problem = "holds text; look it up in a vocabulary"
        elif has_ids and not feature.dtype.is_integer:
            problem = f"is in `embedding_sizes`, but holds {feature.dtype.name}; cast it to int64"
        elif not has_ids and not feature.dtype.is_floating:
            problem = (
                f"holds {feature.dtype.name}; if these are ids, name it in `embedding_sizes`, else "
                "cast it to float32"
            )
        else:
            continue
        raise ValueError(
            f"the transformed feature {name!r} {problem} in your preprocessing_fn, or bring your "
            "own model by `model_fn`"
        )


def outputs_by_task(model: MultiTaskModel, outputs: Any) -> dict[str, Any]:
    """Names a model's outputs by task.

    Args:
        model: The model.
        outputs: What it returned: a mapping by task or, of a functional model, a sequence.

    Returns:
        Output by task.

    Raises:
        ValueError: A subclassed model returned no mapping.
    """
    if isinstance(outputs, Mapping):
        return dict(outputs)
    names = model.named_outputs()
    if not names:
        raise ValueError(
            f"{type(model).__name__} returns its outputs without names; let its `call` return a "
            "mapping from the tasks' names to outputs"
        )
    return dict(zip(names, tf.nest.flatten(outputs), strict=True))


class _LayerNames:
    """Names for layers, each given once; those of the outputs are the tasks' names."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._taken = {task.name for task in tasks}

    def free(self, wanted: str) -> str:
        """The name that is wanted, with a number if a layer has it."""
        name = wanted
        for number in itertools.count(1):
            if name not in self._taken:
                break
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name


def _column(
    value: keras.KerasTensor, name: str, ids: int | None, width: int, names: _LayerNames
) -> keras.KerasTensor:
    """A number as [N, 1], an id as its vector [N, width]."""
    if ids is None:
        return keras.layers.Reshape((1,), name=names.free(f"{name}_column"))(value)
    vector = keras.layers.Embedding(ids, width, name=names.free(f"{name}_embedding"))(value)
    if len(vector.shape) == 2:
        return vector
    return keras.layers.Reshape((width,), name=names.free(f"{name}_vector"))(vector)


def _head(
    task: Task,
    shared: Any,
    training: Training,
    statistics: LabelStatistics | None,
    names: _LayerNames,
) -> Any:
    own = shared
    for index, units in enumerate(training.head_units):
        name = names.free(f"{task.name}_hidden_{index}")
        own = keras.layers.Dense(units, activation="relu", name=name)(own)
    if statistics is None:
        return keras.layers.Dense(task.units, activation=task.activation, name=task.name)(own)
    if task.loss == "poisson":
        # A multiple of the mean label.
        name = names.free(f"{task.name}_multiple")
        multiple = keras.layers.Dense(task.units, activation=task.activation, name=name)(own)
        return keras.layers.Rescaling(statistics.mean or 1.0, name=task.name)(multiple)
    value = keras.layers.Dense(task.units, name=names.free(f"{task.name}_standardized"))(own)
    if not task.log_scale:
        unit = keras.layers.Rescaling(statistics.std, statistics.mean, name=task.name)
        return unit(value)
    scaled = keras.layers.Rescaling(
        statistics.std, statistics.mean, name=names.free(f"{task.name}_log")
    )
    return FromLog(name=task.name)(scaled(value))
