"""Multi-gate mixture-of-experts: all tasks share the experts, each has a gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from pcgrad.keras.layers.experts import ExpertMixtures, mixture, positive


@keras.saving.register_keras_serializable(package="pcgrad")
class MMoE(ExpertMixtures):
    """Multi-gate mixture-of-experts (Ma et al., KDD 2018, doi 10.1145/3219819.3220007).

    All tasks share the experts. A gate of each task, a softmax of a linear function of the input,
    says row by row with which weights their outputs are summed for it.

    Gradient surgery concerns the experts and what comes before them; a gate belongs to its task.

    Args:
        tasks: The tasks' names, or their number.
        experts: Number of experts.
        units: Width of an expert's layers, from the first to the last: an integer or several.
        activation: Of an expert's layers, as in Keras.
        dropout: Rate of dropout after each of them.
        **kwargs: As of every Keras layer: `name`, `dtype`, `trainable`.

    Input: [..., N, features].

    Output: one tensor [..., N, units] for each task: a dict by name, a list if `tasks` is a number.

    Raises:
        ValueError: There is no task, a name is no text or is repeated, a number is not positive.

    Example:
        >>> inputs = keras.Input((8,))
        >>> features = MMoE(["price", "sold"], experts=4, units=16)(inputs)
        >>> outputs = {task: keras.layers.Dense(1)(own) for task, own in features.items()}
        >>> model = MultiTaskModel(inputs, outputs)
    """

    def __init__(
        self,
        tasks: int | Sequence[str],
        experts: int,
        units: int | Sequence[int],
        activation: Any = "relu",
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks, units, activation, dropout, **kwargs)
        self.experts = positive("experts", experts)
        self._experts = self.make_experts(self.experts, "experts")
        # By number: not every task's name may be a layer's. One variable each: a task reaches
        # its own gate only.
        self._gates = [self.make_gate(self.experts, f"gate_{t}") for t in range(self.task_count)]

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Makes the variables, for inputs [..., N, features]."""
        for layer in [self._experts, *self._gates]:
            layer.build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Mixes the experts' outputs for each task."""
        outputs = self._experts(inputs, training=training)
        return self.by_task([mixture(gate(inputs), outputs) for gate in self._gates])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "experts": self.experts}
