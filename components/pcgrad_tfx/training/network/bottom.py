"""What lies between the features and the heads: shared by all tasks, in part, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from pcgrad.keras.layers import CGC, MMoE
from pcgrad_tfx.config.training_config import Training
from pcgrad_tfx.training.network.names import Named


def bottoms(
    features: Any, tasks: Sequence[str], training: Training, widths: Sequence[int], named: Named
) -> dict[str, Any]:
    """The input of each task's head.

    Args:
        features: [N, width].
        tasks: The tasks' names.
        training: The architecture and the kind of its layers.
        widths: Of its layers.
        named: A free name for a layer.

    Returns:
        By task [N, units]: one tensor for all with a shared bottom.
    """
    if not widths:
        return dict.fromkeys(tasks, features)
    if training.architecture == "separate":
        return {
            task: hidden_layers(features, training, widths, named, f"{task}_own") for task in tasks
        }
    if training.architecture == "shared_bottom":
        return dict.fromkeys(tasks, hidden_layers(features, training, widths, named))
    activation, dropout = training.activation, training.dropout
    if training.architecture == "mmoe":
        experts = MMoE(tasks, training.experts, widths, activation, dropout, name=named("mmoe"))
        return experts(features)
    mixed: Any = features
    for index, units in enumerate(widths):
        layer = CGC(
            tasks,
            shared_experts=training.experts,
            task_experts=training.task_experts,
            units=units,
            activation=activation,
            dropout=dropout,
            return_shared=index < len(widths) - 1,
            name=named(f"cgc_{index}"),
        )
        mixed = layer(mixed)
    return mixed


def hidden_layers(
    value: Any, training: Training, widths: Sequence[int], named: Named, prefix: str = "shared"
) -> Any:
    """Layers one after the other.

    Args:
        value: [N, width].
        training: The kind of the layers.
        widths: Of the layers.
        named: A free name for a layer.
        prefix: What their names begin with.

    Returns:
        [N, the last width]; `value` itself without layers.
    """
    for index, units in enumerate(widths):
        name = f"{prefix}_{index}"
        before = value
        value = keras.layers.Dense(units, name=named(name))(value)
        value = _normalized(value, training, named(f"{name}_normalized"))
        value = keras.layers.Activation(training.activation, name=named(f"{name}_activation"))(
            value
        )
        if training.dropout:
            value = keras.layers.Dropout(training.dropout, name=named(f"{name}_dropout"))(value)
        if training.residual and before.shape[-1] == units:
            value = keras.layers.Add(name=named(f"{name}_residual"))([before, value])
    return value


def _normalized(value: Any, training: Training, name: str) -> Any:
    if training.normalization == "none":
        return value
    layers = {"layer": keras.layers.LayerNormalization, "batch": keras.layers.BatchNormalization}
    return layers[training.normalization](name=name)(value)
