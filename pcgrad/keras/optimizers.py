"""What a training step has to know of an optimizer."""

from __future__ import annotations

from typing import Any

import keras


def steps_taken(optimizer: keras.optimizers.Optimizer) -> Any:
    """The number of batches an optimizer has been given gradients of, an integer variable.

    It is not `iterations`, the number of updates, where gradients of several batches are
    accumulated for one.
    """
    return _inner(optimizer).variables[0]


def adds_up_rows(optimizer: keras.optimizers.Optimizer) -> bool:
    """Whether the repeated rows of a sparse gradient certainly have the effect of their sum.

    Keras's clipping looks at each of them by itself, and so do optimizers that take squares.
    """
    inner = _inner(optimizer)
    clipping = (inner.clipnorm, inner.global_clipnorm, inner.clipvalue)
    return type(inner) is keras.optimizers.SGD and clipping == (None, None, None)


def _inner(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    return getattr(optimizer, "inner_optimizer", optimizer)
