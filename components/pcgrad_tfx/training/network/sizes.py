"""The number of the default model's parameters, known before memory is taken for them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.training_config import Training

# Scale and shift; in batch normalization also the moving mean and variance.
_OF_NORMALIZATION = {"none": 0, "layer": 2, "batch": 4}


def parameter_count(
    features: Collection[str],
    tasks: Sequence[Task],
    training: Training,
    embedding_sizes: Mapping[str, int],
    boundaries: Mapping[str, Sequence[float]],
) -> int:
    """The number of the default model's parameters.

    Args:
        features: The transformed features.
        tasks: As of `build_model`.
        training: As of `build_model`.
        embedding_sizes: As of `build_model`.
        boundaries: As of `build_model`.
    """
    assert training.hidden_units is not None
    ids = [embedding_sizes[name] for name in features if name in embedding_sizes]
    positions = sum(len(limits) - 1 for limits in boundaries.values() if len(limits) > 2)
    width = len(features) - len(ids) + positions + len(ids) * training.embedding_dim
    bottom = _bottom(training, len(tasks), width, training.hidden_units)
    shared = [width, *training.hidden_units][-1]
    has_layers = bool(training.hidden_units or training.head_units)
    wide = width * sum(task.units for task in tasks) if training.wide and has_layers else 0
    heads = sum(
        _hidden_layers(training, shared, training.head_units)
        + _dense([[shared, *training.head_units][-1], task.units])
        for task in tasks
    )
    return sum(ids) * training.embedding_dim + bottom + wide + heads


def _bottom(training: Training, tasks: int, width: int, units: Sequence[int]) -> int:
    if training.architecture == "separate":
        return tasks * _hidden_layers(training, width, units)
    if training.architecture == "shared_bottom" or not units:
        return _hidden_layers(training, width, units)
    if training.architecture == "mmoe":
        return training.experts * (_dense([width, *units]) + tasks * width)
    total = 0
    for index, layer_units in enumerate(units):
        own, shared = training.task_experts, training.experts
        total += (tasks * own + shared) * _dense([width, layer_units])
        total += tasks * width * (own + shared)
        if index < len(units) - 1:
            total += width * (tasks * own + shared)
        width = layer_units
    return total


def _hidden_layers(training: Training, width: int, units: Sequence[int]) -> int:
    return _dense([width, *units]) + _OF_NORMALIZATION[training.normalization] * sum(units)


def _dense(widths: Sequence[int]) -> int:
    return sum((before + 1) * after for before, after in itertools.pairwise(widths))
