"""Weightings: functions from the Gram matrix of the task gradients to a weight for each task."""

from __future__ import annotations

import abc
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import tensorflow as tf

from pcgrad.replicas import on_several_replicas, sum_over_replicas


class Weighting(Protocol):
    """Anything that turns a Gram matrix into task weights; `PCGrad` is one, a function may be.

    What it needs it says by attributes, all of them optional:

    - `needs_gramian = False`: its weights do not depend on the Gram matrix. It is then called with
      the identity, of which only the size counts, and its weights are those of the losses: their
      weighted sum is differentiated, in one backward pass.
    - `needs_losses = True`: it is called with a third argument, the losses, [T], float64.
    - a method `name_tasks(names)`: it is told the tasks' names, in order, before it is called.
    - a method `after_step(losses)`: it is called after each step with the T losses that the same
      batch has then.
    - `is_pure = True`: its weights are a function of the Gram matrix and the step alone. Then
      `pcgrad.GradientProbe` asks it what it would make of other gradients.

    One that keeps a state has `build(tasks)`, which makes its variables, and `variables`, in an
    order of their own (those of a `tf.Module` are in one); see `StatefulWeighting`.
    """

    def __call__(self, gramian: tf.Tensor, step: tf.Tensor | int | None) -> tf.Tensor:
        """Weighs the tasks.

        Args:
            gramian: Gram matrix of the task gradients, [T, T], float64.
            step: Number of the training step, for weightings that draw or change over time.

        Returns:
            [T] weights: the shared variables' update is `Σ_t weights[t] · g_t`.
        """


def equal_weights(gramian: tf.Tensor, step: tf.Tensor | int | None = None) -> tf.Tensor:
    """The plain sum of the losses, without surgery: every weight is one.

    Args:
        gramian: Gram matrix, [T, T].
        step: Not used.

    Returns:
        [T] ones of the Gram matrix's dtype.
    """
    del step
    return tf.ones_like(tf.linalg.diag_part(gramian))


equal_weights.needs_gramian = False  # type: ignore[attr-defined]  # of a function


def needs_gramian(weighting: Weighting) -> bool:
    """Whether a weighting depends on the Gram matrix; one that does not say so does."""
    return bool(getattr(weighting, "needs_gramian", True))


def needs_losses(weighting: Weighting) -> bool:
    """Whether a weighting is called with the losses, too."""
    return bool(getattr(weighting, "needs_losses", False))


def after_step(weighting: Weighting) -> Callable[[Sequence[tf.Tensor]], None] | None:
    """What a weighting wants to be told after each step: the losses of the same batch."""
    return getattr(weighting, "after_step", None)


def tell_names(weighting: Weighting | None, names: Sequence[str]) -> None:
    """Tells a weighting the names of the tasks, in order, if it asks for them."""
    told = getattr(weighting, "name_tasks", None)
    if told is not None:
        told(tuple(names))


def state_variables(weighting: Weighting | None) -> list[tf.Variable]:
    """The variables of a weighting that keeps a state."""
    return list(getattr(weighting, "variables", ()))


def weigh(
    weighting: Weighting,
    gramian: tf.Tensor,
    step: tf.Tensor | int | None,
    losses: Mapping[str, tf.Tensor],
) -> tf.Tensor:
    """Calls a weighting with what it needs.

    Args:
        weighting: Any.
        gramian: Gram matrix of all replicas' gradients, [T, T], float64.
        step: Number of the training step.
        losses: The T losses by name, of any shape and dtype; in a replica context the replica's
            parts.

    Returns:
        What it returns. Nothing is differentiated through it.
    """
    tell_names(weighting, tuple(losses))
    if not needs_losses(weighting):
        return tf.stop_gradient(weighting(gramian, step))
    # More than the protocol's arguments, as it says by its attribute.
    with_losses: Callable[..., tf.Tensor] = weighting
    return tf.stop_gradient(with_losses(gramian, step, whole_losses(list(losses.values()))))


def whole_losses(losses: Sequence[tf.Tensor]) -> tf.Tensor:
    """The losses of the global batch, [T], float64: a loss that is not a scalar counts as its sum.

    Args:
        losses: T losses; in a replica context the replica's parts.
    """
    sums = tf.stack([tf.reduce_sum(tf.cast(loss, tf.float64)) for loss in losses])
    if on_several_replicas():
        # As the gradients: TensorFlow takes collectives of two strategies for the same ones, and
        # fails if their dtypes differ.
        sums = tf.cast(sum_over_replicas(tf.cast(sums, tf.float32)), tf.float64)
    return sums


class ConfiguredWeighting(abc.ABC):
    """What the methods of this package have in common: arguments, dtypes and non-finite input.

    A subclass keeps each argument of its constructor in an attribute of that name, and says what it
    needs by the attributes of `pcgrad.Weighting`.
    """

    needs_gramian = True
    needs_losses = False
    is_pure = False

    @abc.abstractmethod
    def _weigh(
        self,
        gramian: tf.Tensor,
        step: tf.Tensor | int | None,
        losses: tf.Tensor | None,
        is_usable: tf.Tensor,
    ) -> tf.Tensor:
        """Weighs the tasks by finite input.

        Args:
            gramian: Gram matrix, [T, T], float64.
            step: Number of the training step.
            losses: [T], float64, if the method needs them.
            is_usable: Whether the input is what was given: something stands in for what was not
                finite, and the step will come to nothing.

        Returns:
            [T], float64.
        """

    @tf.autograph.experimental.do_not_convert
    def __call__(
        self,
        gramian: tf.Tensor,
        step: tf.Tensor | int | None = None,
        losses: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Weighs the tasks.

        Args:
            gramian: Gram matrix of the T task gradients, [T, T], floating.
            step: Number of the training step.
            losses: The T losses, [T], floating.

        Returns:
            [T], float64: the weight of each task's gradient in the update of shared variables; all
            NaN if what they are made of is not finite.

        Raises:
            ValueError: The method needs the losses, and they are not given.
        """
        gramian = tf.cast(tf.convert_to_tensor(gramian), tf.float64)
        if self.needs_losses:
            if losses is None:
                raise ValueError(
                    f"{type(self).__name__} weighs the tasks by their losses: pass `losses`, one "
                    "for each task"
                )
            losses = tf.cast(tf.convert_to_tensor(losses), tf.float64)
        finite = _all_finite(gramian, losses)
        # In place of what is not finite, so that no solver meets it; the result is NaN anyhow.
        safe = tf.where(finite, gramian, tf.eye(gramian.shape[0], dtype=tf.float64))
        safe_losses = None if losses is None else tf.where(finite, losses, tf.ones_like(losses))
        weights = self._weigh(safe, step, safe_losses, finite)
        # √-1: a NaN that exists then only, as `tf.debugging.enable_check_numerics` wants it.
        return weights + tf.sqrt(tf.cast(finite, tf.float64) - 1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ConfiguredWeighting:
        """Makes an instance from `get_config`'s result."""
        return cls(**config)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


class GramWeighting(ConfiguredWeighting):
    """A method that looks at the Gram matrix alone."""

    is_pure = True

    @abc.abstractmethod
    def _weights(self, gramian: tf.Tensor) -> tf.Tensor:
        """[T], float64: the weights, of a finite Gram matrix [T, T], float64."""

    def _weigh(
        self,
        gramian: tf.Tensor,
        step: tf.Tensor | int | None,
        losses: tf.Tensor | None,
        is_usable: tf.Tensor,
    ) -> tf.Tensor:
        del step, losses, is_usable
        return self._weights(gramian)


class LossWeighting(ConfiguredWeighting):
    """A method that looks at the losses alone: one backward pass, of their weighted sum."""

    needs_gramian = False
    needs_losses = True

    @abc.abstractmethod
    def _weights(self, losses: tf.Tensor) -> tf.Tensor:
        """[T], float64: the weights, of finite losses [T], float64."""

    def _weigh(
        self,
        gramian: tf.Tensor,
        step: tf.Tensor | int | None,
        losses: tf.Tensor | None,
        is_usable: tf.Tensor,
    ) -> tf.Tensor:
        del gramian, step, is_usable
        return self._weights(losses)


def _all_finite(gramian: tf.Tensor, losses: tf.Tensor | None) -> tf.Tensor:
    finite = tf.reduce_all(tf.math.is_finite(gramian))
    if losses is None:
        return finite
    return tf.logical_and(finite, tf.reduce_all(tf.math.is_finite(losses)))
