"""Customized gate control: shared experts, and experts of each task; stacked, it is PLE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from pcgrad.keras.layers.experts import ExpertMixtures, mixture, positive


@keras.saving.register_keras_serializable(package="pcgrad")
class CGC(ExpertMixtures):
    """Customized gate control (Tang et al., RecSys 2020, doi 10.1145/3383313.3412236).

    Each task has experts of its own beside those that all share; its gate mixes both. Several of
    them in a row are progressive layered extraction (PLE): all but the last `return_shared`, a
    mixture of all experts for the shared experts of the next layer.

    Gradient surgery concerns what several tasks reach: the shared experts and what comes before
    them; in a layer with `return_shared` also its shared gate and, through it, each task's experts.
    A task's gate belongs to that task, as do its experts in the last layer.

    Args:
        tasks: The tasks' names, or their number.
        shared_experts: Number of experts that all tasks share.
        task_experts: Number of each task's own experts.
        units: Width of an expert's layers, from the first to the last: an integer or several.
        activation: Of an expert's layers, as in Keras.
        dropout: Rate of dropout after each of them.
        return_shared: Whether to return what the next layer's shared experts take, too.
        **kwargs: As of every Keras layer: `name`, `dtype`, `trainable`.

    Input: [..., N, features], or what a layer of the same tasks with `return_shared` has returned.

    Output: one tensor [..., N, units] for each task: a dict by name, a list if `tasks` is a number.
    With `return_shared` a tuple of these and a tensor of their shape.

    Raises:
        ValueError: There is no task, a name is no text or is repeated, a number is not positive;
            the input is of other tasks.

    Example:
        >>> inputs = keras.Input((8,))
        >>> tasks = ["price", "sold"]
        >>> first = CGC(tasks, shared_experts=2, task_experts=1, units=16, return_shared=True)
        >>> last = CGC(tasks, shared_experts=2, task_experts=1, units=16)
        >>> features = last(first(inputs))
        >>> outputs = {task: keras.layers.Dense(1)(own) for task, own in features.items()}
        >>> model = MultiTaskModel(inputs, outputs)
    """

    def __init__(
        self,
        tasks: int | Sequence[str],
        shared_experts: int,
        task_experts: int,
        units: int | Sequence[int],
        activation: Any = "relu",
        dropout: float = 0.0,
        return_shared: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks, units, activation, dropout, **kwargs)
        self.shared_experts = positive("shared_experts", shared_experts)
        self.task_experts = positive("task_experts", task_experts)
        self.return_shared = return_shared
        self._shared_experts = self.make_experts(self.shared_experts, "shared_experts")
        # By number: not every task's name may be a layer's. Variables of each task's own: in one
        # for all of them, every task would reach the others' experts and gates.
        self._task_experts = [
            self.make_experts(self.task_experts, f"experts_{t}") for t in range(self.task_count)
        ]
        mixed = self.task_experts + self.shared_experts
        self._gates = [self.make_gate(mixed, f"gate_{t}") for t in range(self.task_count)]
        if return_shared:
            every = self.task_count * self.task_experts + self.shared_experts
            self._shared_gate = self.make_gate(every, "shared_gate")

    def build(self, input_shape: Any) -> None:
        """Makes the variables, for inputs as `call` takes them."""
        by_task, shared = self._split(input_shape, _is_shape)
        self._shared_experts.build(shared)
        for experts, gate, shape in zip(self._task_experts, self._gates, by_task, strict=True):
            experts.build(shape)
            gate.build(shape)
        if self.return_shared:
            self._shared_gate.build(shared)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Mixes the experts' outputs for each task, and for the next layer."""
        by_task, shared = self._split(inputs, keras.ops.is_tensor)
        of_shared = self._shared_experts(shared, training=training)
        of_tasks = [
            experts(own, training=training)
            for experts, own in zip(self._task_experts, by_task, strict=True)
        ]
        results = self.by_task(
            [
                mixture(gate(own), keras.ops.concatenate([outputs, of_shared], axis=-3))
                for gate, own, outputs in zip(self._gates, by_task, of_tasks, strict=True)
            ]
        )
        if not self.return_shared:
            return results
        of_all = keras.ops.concatenate([*of_tasks, of_shared], axis=-3)
        return results, mixture(self._shared_gate(shared), of_all)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "shared_experts": self.shared_experts,
            "task_experts": self.task_experts,
            "return_shared": self.return_shared,
        }

    def _split(self, inputs: Any, is_one: Callable[[Any], bool]) -> tuple[list[Any], Any]:
        """The tasks' inputs and the shared experts': one for all, or those of another layer.

        Args:
            inputs: Tensors or shapes.
            is_one: Whether something is a single one.
        """
        if is_one(inputs):
            return [inputs] * self.task_count, inputs
        if isinstance(inputs, list | tuple) and len(inputs) == 2:
            by_task, shared = self.in_order(inputs[0]), inputs[1]
            if by_task is not None and all(map(is_one, [*by_task, shared])):
                return by_task, shared
        raise ValueError(
            f"{self.name}: the input is neither one tensor nor what a CGC of the tasks "
            f"{self.tasks!r} returns with `return_shared=True`: set it in the layer before"
        )


def _is_shape(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(
        size is None or isinstance(size, int) for size in value
    )
