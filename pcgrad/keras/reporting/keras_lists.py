"""What `evaluate` and the like return as a list: Keras's values, in Keras's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras


def as_keras_list(
    logs: Mapping[str, Any],
    metrics: Sequence[keras.metrics.Metric],
    own: Sequence[keras.metrics.Metric],
    have_names: bool = True,
) -> Any:
    """Orders what was reported as Keras does, which goes by the metrics' own names.

    Args:
        logs: Value by name.
        metrics: The model's metrics.
        own: Those among them that Keras does not have.
        have_names: Whether Keras knows names of the outputs.

    Returns:
        A list of values; the value itself if there is only one.
    """
    left_out = {name for metric in own for name in _reported_names(metric)}
    logs = {name: value for name, value in logs.items() if name not in left_out}
    # Of several outputs with names those of `compile` are not found by their own, and come last.
    names_of = _metric_names if have_names else _reported_names
    names = [name for metric in metrics if metric not in own for name in names_of(metric)]
    rest = sorted(logs.keys() - set(names))
    values = [logs[name] for name in [*names, *rest] if name in logs]
    return values[0] if len(values) == 1 else values


def metrics_of_compile(
    metrics: Sequence[keras.metrics.Metric],
) -> keras.metrics.Metric | None:
    """The one in which Keras holds all that `compile` was given; its class is not public."""
    return next((metric for metric in metrics if hasattr(metric, "metrics")), None)


def _metric_names(metric: keras.metrics.Metric) -> list[str]:
    return [one.name for one in getattr(metric, "metrics", [metric])]


def _reported_names(metric: keras.metrics.Metric) -> list[str]:
    result = metric.result()
    return list(result) if isinstance(result, dict) else [metric.name]
