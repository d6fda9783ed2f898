"""How many steps an optimizer has taken."""

from __future__ import annotations

from typing import Any

import keras


def steps_taken(optimizer: keras.optimizers.Optimizer) -> Any:
    """The number of batches an optimizer has been given gradients of, an integer variable.

    It is not `iterations`, the number of updates, where gradients of several batches are
    accumulated for one.
    """
    return getattr(optimizer, "inner_optimizer", optimizer).variables[0]
