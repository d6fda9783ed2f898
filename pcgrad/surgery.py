"""PCGrad and PPCGrad: projecting conflicting gradients, for any training loop."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from pcgrad import packing
from pcgrad.gramian import gram_matrix
from pcgrad.replicas import on_several_replicas, sum_over_replicas
from pcgrad.task_gradients import Gradient, Losses, combine, named_losses, task_gradients
from pcgrad.weighted_sum import weighted_sum_backward
from pcgrad.weightings.projection import (
    parallel_projection,
    projection_orders,
    sequential_projection,
    simultaneous_projection,
)
from pcgrad.weightings.weighting import Weighting, needs_gramian, weigh

_REDUCTIONS = ("mean", "sum")
_PROJECTIONS = ("sequential", "simultaneous")
_SEED_LIMIT = 2**31 - 1


def weighted_backward(
    tape: tf.GradientTape,
    losses: Losses,
    variables: Sequence[tf.Variable],
    weighting: Weighting,
    step: tf.Tensor | int | None = None,
) -> list[Gradient | None]:
    """Differentiates several losses and combines them by a weighting of the tasks.

    Args:
        tape: The tape that recorded the losses; persistent if there is more than one.
        losses: T floating-point losses, as a sequence or a mapping from task names. A loss that is
            not a scalar counts as its sum.
        variables: The V variables to differentiate by.
        weighting: Gram matrix → weights: `PCGrad()`, `PPCGrad()` or a function of one's own. One
            that needs no Gram matrix takes one backward pass, see `pcgrad.Weighting`.
        step: Number of the training step, handed to the weighting.

    Returns:
        V gradients, each with its variable's shape and dtype, ready for
        `optimizer.apply_gradients(zip(gradients, variables))`; `None` for a variable that no task
        reaches. In a replica context of a `tf.distribute` strategy they are the replica's part,
        completed by the sum over the replicas that the optimizer takes.

    Raises:
        ValueError: `losses` or `variables` is empty, the tape is not persistent although there are
            several losses, or no loss reaches any variable.
        TypeError: A loss is not a floating-point tensor.
    """
    if not needs_gramian(weighting):
        return weighted_sum_backward(tape, losses, variables, weighting, step)
    named, variables = named_losses(losses, variables)
    gradients = task_gradients(tape, named, variables)
    weights = weigh(weighting, gram_matrix(gradients), step, named)
    return combine(gradients, weights)


class _ProjectingSurgery(abc.ABC):
    """What PCGrad and PPCGrad have in common: all but the way the projections are executed."""

    # Given a step: see `pcgrad.Weighting`.
    is_pure = True

    def __init__(
        self,
        reduction: str = "mean",
        *,
        projection: str = "sequential",
        seed: int | None = None,
    ) -> None:
        self.reduction = _one_of("reduction", reduction, _REDUCTIONS)
        self.projection = _one_of("projection", projection, _PROJECTIONS)
        self.seed = _draw_seed() if seed is None else int(seed)
        self._seed_was_drawn = seed is None
        self._steps: tf.Variable | None = None

    @abc.abstractmethod
    def _project(self, gramian: tf.Tensor, orders: tf.Tensor) -> tf.Tensor:
        """Algorithm 1: coefficients [T, T] of the projected gradients."""

    @tf.autograph.experimental.do_not_convert
    def __call__(self, gramian: tf.Tensor, step: tf.Tensor | int | None = None) -> tf.Tensor:
        """Weighs the tasks: the seam Gram matrix → weights.

        Args:
            gramian: Gram matrix of the T task gradients, [T, T], floating.
            step: Number of the training step; the orders of the projections are a function of it
                and the seed. Counted here if not given, in a variable that is not saved: pass it to
                resume, or to export the step. Required with several replicas.

        Returns:
            [T], float64: the weight of each task's gradient in the update of shared variables; all
            NaN if any inner product is not finite.

        Raises:
            ValueError: `step` is not given with several replicas, or to an instance that is made
                in the `tf.function` that calls it.
        """
        gramian = tf.cast(gramian, tf.float64)
        tasks = gramian.shape[0]
        if self.projection == "simultaneous":
            coefficients = simultaneous_projection(gramian)
        else:
            orders = projection_orders(self._common_seed(), self._next_step(step), tasks)
            coefficients = self._project(gramian, orders)
        weights = tf.reduce_sum(coefficients, axis=0)
        if self.reduction == "mean":
            weights /= tasks
        # A task with a NaN or an infinity must not be weighed away (divided by, or compared with,
        # NaN): the whole update shows it, so that loss scaling and TerminateOnNaN see it.
        finite = tf.reduce_all(tf.math.is_finite(gramian))
        # √-1: a NaN that exists then only, as `tf.debugging.enable_check_numerics` wants it.
        return weights + tf.sqrt(tf.cast(finite, tf.float64) - 1)

    @tf.autograph.experimental.do_not_convert
    def pc_backward(
        self,
        tape: tf.GradientTape,
        losses: Losses,
        variables: Sequence[tf.Variable],
        step: tf.Tensor | int | None = None,
    ) -> list[Gradient | None]:
        """Differentiates the losses and projects conflicting gradients.

        Only variables that at least two tasks reach take part; a variable that one task reaches
        gets exactly that task's gradient, whatever the reduction.

        Args:
            tape: The tape that recorded the losses; persistent if there is more than one.
            losses: T floating-point losses, as a sequence or a mapping from task names. A loss that
                is not a scalar counts as its sum.
            variables: The V variables to differentiate by. One that is listed several times counts
                once; each of its places gets its update, as in `tf.GradientTape.gradient`, and an
                optimizer that is given all of them takes that many steps with it.
            step: Number of the training step; counted here if not given. Required with several
                replicas.

        Returns:
            V gradients, each with its variable's shape and dtype (`tf.IndexedSlices` where every
            task's gradient is sparse), ready for `optimizer.apply_gradients`; `None` for a variable
            that no task reaches.

        Raises:
            ValueError: `losses` or `variables` is empty, the tape is not persistent although there
                are several losses, two losses have the same name, no loss reaches any variable, or
                `step` is not given as in `__call__`.
            TypeError: A loss is not a floating-point tensor.
        """
        return weighted_backward(tape, losses, variables, self, step)

    def pack_grad(
        self, tape: tf.GradientTape, losses: Losses, variables: Sequence[tf.Variable]
    ) -> tuple[list[tf.Tensor], list[tf.TensorShape], list[tf.Tensor]]:
        """Differentiates the losses and lays each task's gradients out in one vector.

        Args:
            tape: The tape that recorded the losses; persistent if there is more than one.
            losses: T floating-point losses, as a sequence or a mapping from task names.
            variables: The V variables to differentiate by, N elements in all.

        Returns:
            For each task its gradient [N] in the widest dtype of the variables, zero where the task
            does not reach the variable; the V variables' shapes; and for each task the mask [N] of
            the same dtype, one where the gradient exists.

        Raises:
            ValueError, TypeError: As in `pc_backward`; also a ValueError if a variable is listed
                several times.
        """
        return packing.pack(task_gradients(tape, losses, variables))

    @tf.autograph.experimental.do_not_convert
    def project_conflicting(
        self,
        grads: Sequence[tf.Tensor] | tf.Tensor,
        has_grads: Sequence[tf.Tensor] | tf.Tensor,
        step: tf.Tensor | int | None = None,
    ) -> tf.Tensor:
        """Projects conflicting packed gradients and merges them.

        Args:
            grads: T gradients [N], as `pack_grad` returns them; or one tensor [T, N].
            has_grads: T masks [N], numeric or bool, non-zero where the task's gradient exists.
            step: Number of the training step; counted here if not given.

        Returns:
            The merged gradient, [N], of the gradients' dtype.

        Raises:
            ValueError: The numbers of gradients and masks differ, or there are none.
        """
        return packing.merge(grads, has_grads, lambda gramian: self(gramian, step))

    def unpack_grad(
        self, merged: tf.Tensor, shapes: Sequence[tf.TensorShape | Sequence[int]]
    ) -> list[tf.Tensor]:
        """Cuts a merged gradient [N] back into one gradient for each variable.

        Args:
            merged: [N], as `project_conflicting` returns it.
            shapes: The V shapes that `pack_grad` returned.

        Returns:
            V tensors of these shapes and of the dtype of `merged`.

        Raises:
            ValueError: The shapes do not have N elements in all.
        """
        return packing.unpack(merged, shapes)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; with the seed that was drawn if none was given."""
        return {"reduction": self.reduction, "projection": self.projection, "seed": self.seed}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> _ProjectingSurgery:
        """Makes an instance from `get_config`'s result."""
        return cls(**config)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return f"{type(self).__name__}({arguments})"

    def _common_seed(self) -> tf.Tensor | int:
        """The seed; of seeds that several processes drew, each its own, the first replica's."""
        if not self._seed_was_drawn or not on_several_replicas():
            return self.seed
        context = tf.distribute.get_replica_context()
        # Replicas in one process use the same object; only a strategy over several has a cluster.
        if context.strategy.cluster_resolver is None:
            return self.seed
        is_first = tf.equal(context.replica_id_in_sync_group, 0)
        seed = tf.where(is_first, tf.constant(self.seed, tf.int64), tf.zeros([], tf.int64))
        return sum_over_replicas(seed)

    def _next_step(self, step: tf.Tensor | int | None) -> tf.Tensor | int:
        if step is not None:
            return step
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync > 1:
            raise ValueError(
                "pass `step` (say, `optimizer.iterations`) when training on several replicas: "
                "steps counted here would differ between them"
            )
        if self._steps is None:
            # Lifted out of any function that is being traced, so that it is created once.
            try:
                with tf.init_scope():
                    self._steps = tf.Variable(
                        0, trainable=False, dtype=tf.int64, name="surgery_steps"
                    )
            except ValueError as error:  # TensorFlow's, of variables made in every tracing
                name = type(self).__name__
                raise ValueError(
                    f"{name}() is made anew whenever this tf.function is traced, so it cannot "
                    f"count steps: make {name}() outside of the function, or pass `step` (say, "
                    "`optimizer.iterations`)"
                ) from error
        return self._steps.assign_add(1) - 1


class PCGrad(_ProjectingSurgery):
    """Projecting conflicting gradients (Yu et al., NeurIPS 2020, arXiv 2001.06782, Algorithm 1).

    Each task's gradient is compared with the others' in random order; where the running vector has
    a negative inner product with another task's original gradient, its component along that
    gradient is removed. The update of the shared variables is the sum or mean of the results.

    An instance is also a weighting: calling it on a Gram matrix gives the tasks' weights.

    Args:
        reduction: "mean" divides the update of the shared variables by the number of tasks, "sum"
            does not. With "sum" a step in which no tasks conflict equals the plain step on the sum
            of the losses.
        projection: "sequential" is Algorithm 1. "simultaneous" takes every inner product with the
            original gradients: deterministic, the same for two tasks, not Algorithm 1 for more.
        seed: The orders are a function of the seed and the step. Drawn once if not given, honouring
            `tf.random.set_seed`.

    Raises:
        ValueError: An unknown reduction or projection.

    Example:
        >>> pcgrad = PCGrad(reduction="mean", seed=0)
        >>> w = tf.Variable([1.0, 1.0])
        >>> with tf.GradientTape(persistent=True) as tape:
        ...     losses = [w[0] + 0.0 * w[1], -w[0] + w[1]]
        >>> pcgrad.pc_backward(tape, losses, [w])[0].numpy().tolist()
        [0.25, 0.75]
    """

    def _project(self, gramian: tf.Tensor, orders: tf.Tensor) -> tf.Tensor:
        return sequential_projection(gramian, orders)


class PPCGrad(_ProjectingSurgery):
    """PCGrad with all tasks' surgeries carried out in parallel by `tf.vectorized_map`.

    The same mathematics, arguments and result (to rounding, for the same seed) as `PCGrad`; only
    the execution differs.
    """

    def _project(self, gramian: tf.Tensor, orders: tf.Tensor) -> tf.Tensor:
        return parallel_projection(gramian, orders)


def _one_of(argument: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        choices = " or ".join(f'"{choice}"' for choice in allowed)
        raise ValueError(f"`{argument}` must be {choices}, not {value!r}")
    return value


def _draw_seed() -> int:
    """A seed from TensorFlow's own stream, which `tf.random.set_seed` makes reproducible."""
    with tf.init_scope():
        drawn = tf.random.uniform([], maxval=_SEED_LIMIT, dtype=tf.int32)
    return int(drawn)
