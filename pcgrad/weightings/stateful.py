"""Weightings that learn, or remember what they have seen."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from pcgrad.weightings.weighting import ConfiguredWeighting


class StatefulWeighting(ConfiguredWeighting, tf.Module):
    """A weighting with variables: `tf.train.Checkpoint` saves them, as Keras models do.

    `MultiTaskModel.compile` makes the variables. In a loop of one's own the first call does; under
    a strategy of several replicas call `build(tasks)` in its scope before.

    An instance belongs to one training: two that share it disturb each other.
    """

    def __init__(self) -> None:
        super().__init__()
        self._state: dict[str, tf.Variable] | None = None
        self._tasks = 0

    @abc.abstractmethod
    def _initial_state(self, tasks: int) -> Mapping[str, Any]:
        """Each variable's first value, float64, by its name."""

    @abc.abstractmethod
    def _next(
        self,
        state: Mapping[str, tf.Tensor],
        gramian: tf.Tensor,
        step: tf.Tensor | int | None,
        losses: tf.Tensor | None,
    ) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        """The weights [T], and the state after the step (what is left out stays)."""

    def build(self, tasks: int) -> None:
        """Makes the variables, unless they are there.

        Args:
            tasks: Number of tasks, T.

        Raises:
            ValueError: They are there, for another number of tasks.
        """
        if self._state is not None:
            if self._tasks != tasks:
                raise ValueError(
                    f"this {type(self).__name__} has weighed {self._tasks} tasks and is now given "
                    f"{tasks}: make one for each training"
                )
            return
        self._tasks = tasks
        # Lifted out of any function that is being traced, so that they are created once. All
        # replicas compute the same values, so each keeps its own and nothing is exchanged.
        with tf.init_scope():
            self._state = {
                name: tf.Variable(
                    tf.constant(value, tf.float64),
                    trainable=False,
                    name=name,
                    synchronization=tf.VariableSynchronization.ON_READ,
                    aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
                )
                for name, value in self._initial_state(tasks).items()
            }

    def _weigh(
        self,
        gramian: tf.Tensor,
        step: tf.Tensor | int | None,
        losses: tf.Tensor | None,
        is_usable: tf.Tensor,
    ) -> tf.Tensor:
        self.build(gramian.shape[0])
        weights, after = self._next(self.state, gramian, step, losses)
        self.assign(after, is_usable)
        return weights

    @property
    def state(self) -> dict[str, tf.Tensor]:
        """The variables' values, float64, by name; empty before they are made."""
        return {name: tf.convert_to_tensor(one) for name, one in (self._state or {}).items()}

    def assign(self, values: Mapping[str, tf.Tensor], is_usable: tf.Tensor | bool = True) -> None:
        """Sets some of the variables.

        Args:
            values: By name.
            is_usable: Whether to: what is not finite shall leave no trace.
        """
        for name, value in values.items():
            variable = (self._state or {})[name]
            variable.assign(tf.where(is_usable, value, tf.convert_to_tensor(variable)))
