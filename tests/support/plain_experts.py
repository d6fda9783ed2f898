"""MMoE and CGC once more, with an ordinary Dense layer for each expert and each gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


class PlainExperts:
    """Takes its weights from a layer, and remembers which.

    Args:
        layer: A built `MMoE` or `CGC`.

    Attributes:
        sources: For each variable of the Dense layers the layer's own one, and the place in it.
    """

    def __init__(self, layer: keras.layers.Layer) -> None:
        self._layer = layer
        self._variables = {v.path.partition("/")[2]: v for v in layer.weights}
        self.sources: list[tuple[tf.Variable, tf.Variable, Any]] = []

    def mmoe(self, x: tf.Tensor) -> list[tf.Tensor]:
        """Ma et al. 2018, equations 5 to 7."""
        experts = self._experts("experts", x, self._layer.experts)
        return [self._mixed(f"gate_{task}", x, experts) for task in range(self._layer.task_count)]

    def cgc(self, by_task: Sequence[tf.Tensor], shared: tf.Tensor) -> list[tf.Tensor]:
        """Tang et al. 2020, equations 1 to 3 and 5; with `return_shared` its result comes last."""
        of_shared = self._experts("shared_experts", shared, self._layer.shared_experts)
        of_tasks = [
            self._experts(f"experts_{task}", x, self._layer.task_experts)
            for task, x in enumerate(by_task)
        ]
        results = [
            self._mixed(f"gate_{task}", x, [*of_tasks[task], *of_shared])
            for task, x in enumerate(by_task)
        ]
        if self._layer.return_shared:
            every = [output for outputs in of_tasks for output in outputs]
            results.append(self._mixed("shared_gate", shared, [*every, *of_shared]))
        return results

    def _experts(self, name: str, x: tf.Tensor, count: int) -> list[tf.Tensor]:
        outputs = []
        for expert in range(count):
            output = x
            for index in range(len(self._layer.units)):
                kernel, bias = f"{name}/kernel_{index}", f"{name}/bias_{index}"
                places = {kernel: (expert,), bias: (expert, 0)}
                output = self._dense(output, self._layer.activation, places)
            outputs.append(output)
        return outputs

    def _mixed(self, name: str, x: tf.Tensor, outputs: Sequence[tf.Tensor]) -> tf.Tensor:
        weights = tf.nn.softmax(self._dense(x, None, {f"{name}/kernel": ()}))
        return sum(weights[..., e : e + 1] * output for e, output in enumerate(outputs))

    def _dense(self, x: tf.Tensor, activation: Any, places: dict[str, tuple[int, ...]]) -> Any:
        values = {name: self._variables[name].numpy()[place] for name, place in places.items()}
        units = next(iter(values.values())).shape[-1]
        dense = keras.layers.Dense(units, activation, use_bias=len(places) > 1, dtype=x.dtype.name)
        dense.build(x.shape)
        dense.set_weights(list(values.values()))
        for variable, (name, place) in zip(dense.weights, places.items(), strict=True):
            self.sources.append((variable, self._variables[name], place))
        return dense(x)
