"""Losses whose task gradients are known: each is linear in the variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from pcgrad import PCGrad, PPCGrad

Surgery = PCGrad | PPCGrad


class LinearTasks:
    """T losses Σ ⟨gradients[task][variable], variable⟩.

    Args:
        gradients: By task and variable: an array, `None` where the task's loss does not contain
            the variable, or a pair (indices, rows) for a lookup of rows, whose gradient is sparse.
        shapes: The variables' shapes, needed where a gradient is a pair.
        dtypes: The variables' dtypes.
    """

    def __init__(
        self,
        gradients: Sequence[Sequence[Any]],
        shapes: Sequence[Sequence[int]] | None = None,
        dtypes: Sequence[tf.DType] | tf.DType = tf.float32,
    ) -> None:
        self.gradients = gradients
        columns = list(zip(*gradients, strict=True))
        if shapes is None:
            shapes = [
                next((np.shape(g) for g in column if g is not None), (2,)) for column in columns
            ]
        if isinstance(dtypes, tf.DType):
            dtypes = [dtypes] * len(columns)
        self.variables = [
            tf.Variable(tf.zeros(shape, dtype)) for shape, dtype in zip(shapes, dtypes, strict=True)
        ]

    def losses(self) -> list[tf.Tensor]:
        """The T losses; call it under a tape."""
        return [self._loss(row) for row in self.gradients]

    def tape(self) -> tuple[tf.GradientTape, list[tf.Tensor]]:
        """A persistent tape that recorded the losses, and the losses."""
        with tf.GradientTape(persistent=True) as tape:
            losses = self.losses()
        return tape, losses

    def backward(self, surgery: Surgery, step: tf.Tensor | int | None = None) -> list[Any]:
        """What `pc_backward` makes of them."""
        tape, losses = self.tape()
        return surgery.pc_backward(tape, losses, self.variables, step=step)

    def _loss(self, row: Sequence[Any]) -> tf.Tensor:
        # Summed in float64, as variables of different dtypes may be in one loss.
        terms = [tf.zeros([], tf.float64)]
        for gradient, variable in zip(row, self.variables, strict=True):
            if gradient is None:
                continue
            if isinstance(gradient, tuple):
                indices, rows = gradient
                looked_up = tf.gather(variable, tf.convert_to_tensor(indices))
                product = looked_up * tf.cast(rows, variable.dtype)
            else:
                product = variable * tf.cast(gradient, variable.dtype)
            terms.append(tf.cast(tf.reduce_sum(product), tf.float64))
        return tf.add_n(terms)


def as_arrays(update: Sequence[Any]) -> list[np.ndarray | None]:
    """A returned update as dense float64 arrays."""
    return [
        None if g is None else tf.cast(tf.convert_to_tensor(g), tf.float64).numpy() for g in update
    ]


def assert_update(
    update: Sequence[Any],
    expected: Sequence[np.ndarray | None],
    gradients: Sequence[Sequence[np.ndarray | None]],
    tolerance: float = 1e-5,
) -> None:
    """Asserts an update up to a part of the largest task gradient's norm.

    The right yardstick where the update itself may be (almost) zero.
    """
    assert [g is None for g in update] == [e is None for e in expected]
    largest = max(
        np.sqrt(sum(np.sum(np.square(g, dtype=np.float64)) for g in row if g is not None))
        for row in gradients
    )
    for actual, wanted in zip(as_arrays(update), expected, strict=True):
        if wanted is not None:
            np.testing.assert_allclose(actual, wanted, rtol=0, atol=tolerance * largest)


def distance(update: Sequence[Any], expected: Sequence[np.ndarray | None]) -> float:
    """The error of an update relative to the norm of what is expected, over all variables."""
    pairs = [
        (actual, wanted)
        for actual, wanted in zip(as_arrays(update), expected, strict=True)
        if wanted is not None
    ]
    error = sum(np.sum((actual - wanted) ** 2) for actual, wanted in pairs)
    norm = sum(np.sum(np.square(wanted)) for _, wanted in pairs)
    return float(np.sqrt(error / norm))
