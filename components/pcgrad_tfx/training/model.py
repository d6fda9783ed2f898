"""The default model: features in, a shared bottom, one head for each task."""

from __future__ import annotations

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
from pcgrad_tfx.training.network.bottom import bottoms, hidden_layers
from pcgrad_tfx.training.network.columns import feature_row
from pcgrad_tfx.training.network.log_scale import FromLog
from pcgrad_tfx.training.network.names import LayerNames, Named

_LAYER_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.-]{,199}")

FeatureSpec: TypeAlias = Mapping[str, tf.io.FixedLenFeature]


def build_model(
    feature_spec: FeatureSpec,
    tasks: Sequence[Task],
    training: Training,
    embedding_sizes: Mapping[str, int],
    label_statistics: Mapping[str, LabelStatistics],
    boundaries: Mapping[str, Sequence[float]] | None = None,
) -> MultiTaskModel:
    """Builds the default multi-task model.

    Args:
        feature_spec: The transformed features, each one value of a row, [] or [1].
        tasks: The tasks; each becomes an output [N, units] of its name.
        training: The kind and the sizes of the layers.
        embedding_sizes: For each feature that holds ids their number; the others are numbers.
        label_statistics: Mean and deviation of each regression task's label, on its logarithmic
            scale if it has one: its head learns a standardized value and gives the label's own
            unit.
        boundaries: Of the features that are also given as positions in intervals: the intervals'
            ascending limits.

    Returns:
        The model, from a mapping of features, [N] or [N, 1], to a mapping of outputs; not compiled.
    """
    assert training.hidden_units is not None  # chosen by the rule, if it was left open
    named = LayerNames(task.name for task in tasks).free
    inputs = {}
    for position, (name, feature) in enumerate(feature_spec.items()):
        # Keras allows no slash in a layer's name, TensorFlow not much but letters and digits.
        layer = name if _LAYER_NAME.fullmatch(name) else f"feature_{position}"
        value = keras.Input(feature.shape, name=named(layer), dtype=feature.dtype.name)
        # Keras compares it with the key, and the key must be the feature's name.
        value.name = name
        inputs[name] = value
    features = feature_row(inputs, training, embedding_sizes, boundaries or {}, named)
    names = [task.name for task in tasks]
    shared = bottoms(features, names, training, training.hidden_units, named)
    outputs = {
        task.name: _head(
            task, shared[task.name], features, training, label_statistics.get(task.name), named
        )
        for task in tasks
    }
    return MultiTaskModel(inputs, outputs)


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


def _head(
    task: Task,
    shared: Any,
    features: Any,
    training: Training,
    statistics: LabelStatistics | None,
    named: Named,
) -> Any:
    own = hidden_layers(shared, training, training.head_units, named, f"{task.name}_hidden")
    value = keras.layers.Dense(task.units, name=named(f"{task.name}_deep"))(own)
    if training.wide and own is not features:
        # It begins as nothing, so that the network learns from here what is linear.
        wide = keras.layers.Dense(
            task.units,
            use_bias=False,
            kernel_initializer="zeros",
            name=named(f"{task.name}_wide"),
        )
        value = keras.layers.Add(name=named(f"{task.name}_sum"))([value, wide(features)])
    if statistics is None:
        return keras.layers.Activation(task.activation or "linear", name=task.name)(value)
    if task.loss == "poisson":
        # A multiple of the mean label.
        multiple = keras.layers.Activation(task.activation, name=named(f"{task.name}_multiple"))
        return keras.layers.Rescaling(statistics.mean or 1.0, name=task.name)(multiple(value))
    if not task.log_scale:
        unit = keras.layers.Rescaling(statistics.std, statistics.mean, name=task.name)
        return unit(value)
    scaled = keras.layers.Rescaling(statistics.std, statistics.mean, name=named(f"{task.name}_log"))
    return FromLog(name=task.name)(scaled(value))
