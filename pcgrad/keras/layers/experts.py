"""Experts, and what the layers that mix them for several tasks have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import keras
import numpy as np

Value = TypeVar("Value")


class Experts(keras.layers.Layer):
    """Dense networks of one shape side by side, each with weights of its own.

    One variable holds a layer's kernels of all experts, [E, in, units], and one product uses them
    all.

    Args:
        experts: Number of networks, E.
        units: Width of each of a network's layers.
        activation: Of every layer.
        dropout: Rate of dropout after every layer.
    """

    def __init__(
        self, experts: int, units: Sequence[int], activation: Any, dropout: float, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._experts = experts
        self._units = tuple(units)
        self._activation = keras.activations.get(activation)
        self._dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Makes kernels and biases for inputs [..., N, in]."""
        self._kernels, self._biases = [], []
        inputs = input_shape[-1]
        for index, units in enumerate(self._units):
            # Glorot's uniform for each expert: Keras counts E into both fans. One for each kernel,
            # since an initializer gives the same values in every call.
            initializer = keras.initializers.VarianceScaling(self._experts, "fan_avg", "uniform")
            kernel = self.add_weight(
                (self._experts, inputs, units), initializer, name=f"kernel_{index}"
            )
            bias = self.add_weight((self._experts, 1, units), "zeros", name=f"bias_{index}")
            self._kernels.append(kernel)
            self._biases.append(bias)
            inputs = units

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Each expert's output, [..., E, N, units], for inputs [..., N, in]."""
        # The experts come before the rows: behind them, `einsum` takes many times as long.
        outputs = keras.ops.expand_dims(inputs, -3)
        for kernel, bias in zip(self._kernels, self._biases, strict=True):
            outputs = self._activation(keras.ops.matmul(outputs, kernel) + bias)
            outputs = self._dropout(outputs, training=training)
        return outputs


class ExpertMixtures(keras.layers.Layer):
    """A layer that mixes experts' outputs once for each task.

    Args:
        tasks: The tasks' names, or their number.
        units: Width of an expert's layers, from the first to the last: an integer or several.
        activation: Of an expert's layers, as in Keras.
        dropout: Rate of dropout after each of them.
        **kwargs: As of every Keras layer: `name`, `dtype`, `trainable`.

    Raises:
        ValueError: There is no task, a name is no text or is repeated, `units` is not positive.
    """

    def __init__(
        self,
        tasks: int | Sequence[str],
        units: int | Sequence[int],
        activation: Any,
        dropout: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.tasks = _checked_tasks(tasks)
        widths = [units] if isinstance(units, int | np.integer) else units
        self.units = tuple(positive("units", width) for width in widths)
        if not self.units:
            raise ValueError("`units` is empty: pass the width of one layer or of several")
        self.activation = keras.activations.get(activation)
        self.dropout = dropout

    @property
    def task_count(self) -> int:
        """The number of tasks, T."""
        return self.tasks if isinstance(self.tasks, int) else len(self.tasks)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "tasks": self.tasks if isinstance(self.tasks, int) else list(self.tasks),
            "units": list(self.units),
            "activation": keras.activations.serialize(self.activation),
            "dropout": self.dropout,
        }

    def make_experts(self, count: int, name: str) -> Experts:
        """Makes experts of this layer's widths."""
        return Experts(
            count, self.units, self.activation, self.dropout, dtype=self.dtype_policy, name=name
        )

    def make_gate(self, experts: int, name: str) -> keras.layers.Dense:
        """Makes a gate: a weight for each of some experts, which sum to one, by row."""
        return keras.layers.Dense(
            experts, activation="softmax", use_bias=False, dtype=self.dtype_policy, name=name
        )

    def by_task(self, values: list[Value]) -> list[Value] | dict[str, Value]:
        """A dict of one value for each task if the tasks have names, otherwise the list."""
        return values if isinstance(self.tasks, int) else dict(zip(self.tasks, values, strict=True))

    def in_order(self, values: Any) -> list[Any] | None:
        """The list that `by_task` made this of; `None` if it is of other tasks."""
        if isinstance(self.tasks, int):
            fits = isinstance(values, list | tuple) and len(values) == self.tasks
            return list(values) if fits else None
        fits = isinstance(values, dict) and values.keys() == set(self.tasks)
        return [values[task] for task in self.tasks] if fits else None


def mixture(weights: Any, outputs: Any) -> Any:
    """Sums experts' outputs, weighted.

    Args:
        weights: A gate's weights, [..., N, E].
        outputs: The experts' outputs, [..., E, N, units].

    Returns:
        [..., N, units].
    """
    weights = keras.ops.expand_dims(keras.ops.swapaxes(weights, -1, -2), -1)
    return keras.ops.sum(weights * outputs, axis=-3)


def positive(argument: str, value: Any) -> int:
    """An argument that is a positive integer.

    Raises:
        ValueError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"`{argument}` must be a positive integer, not {value!r}")
    return int(value)


def _checked_tasks(tasks: int | Sequence[str]) -> int | tuple[str, ...]:
    if isinstance(tasks, int | np.integer):
        return positive("tasks", tasks)
    names = () if isinstance(tasks, str) else tuple(tasks)
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"`tasks` is {tasks!r}: pass a list of the tasks' names, or their number")
    if len(set(names)) < len(names):
        raise ValueError(f"`tasks` is {tasks!r}: two tasks have the same name")
    return names
