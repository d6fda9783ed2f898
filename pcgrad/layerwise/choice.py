"""Whether inner products are taken layer by layer, decided from the shapes while tracing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from pcgrad.layerwise.cost import saving
from pcgrad.layerwise.layers import find_layers, obstacle
from pcgrad.layerwise.vectorized import VECTORIZABLE

# The fraction of the multiplications that has to be saved: handling the factors is some work, too.
_WORTHWHILE = 0.05
_BATCHES = tuple(round(2 ** (exponent / 4)) for exponent in range(65))

# If the size of the batch decides, and is known in each step only, both ways are traced, and a step
# asks which one to go. With networks so small that the answer is yes for small batches only, asking
# costs as much as it saves (measured: 4% of a step of 14 ms).
_SMALLEST_LIMIT = 256

# Understood by the cost model though not vectorizable: attention.
_COUNTED = VECTORIZABLE | {"Einsum", "Softmax", "Placeholder", "Const"}


@dataclasses.dataclass(frozen=True)
class Choice:
    """When to go layer by layer.

    Attributes:
        largest_batch: Up to a batch of this size; 0 for never.
        batch: The size of the batch where it decides and is known in each step only; else `None`.
        why: The reason for never.
    """

    largest_batch: int
    batch: tf.Tensor | None = None
    why: str = ""


def choose(losses: Sequence[tf.Tensor], variables: Sequence[tf.Variable]) -> Choice:
    """Chooses by the number of multiplications.

    Args:
        losses: T floating-point tensors.
        variables: V variables.
    """
    reason = obstacle(losses)
    if reason is not None:
        return Choice(0, why=reason)
    layers = find_layers(losses, variables)
    forward = layers.forward
    readers = [reader for own in layers.readers.values() for reader in own]
    others = {operation.type for operation in forward.differentiated(readers)} - _COUNTED
    if others:
        return Choice(0, why=f"{min(others)} in the common part, of which the cost is not known")
    kernels = layers.kernels()
    worthwhile = [b for b in _BATCHES if saving(kernels, len(losses), b) >= _WORTHWHILE]
    known_late = any(kernel.static_rows is None for kernel in kernels)
    if not worthwhile or (known_late and worthwhile[-1] < _SMALLEST_LIMIT):
        return Choice(0, why=f"little would be saved, or for batches below {_SMALLEST_LIMIT} only")
    # Nor must it be slower in the steps whose inner products are taken twice.
    safe = [b for b in worthwhile if saving(kernels, len(losses), b, opposed=True) >= 0]
    if not safe:
        return Choice(0, why="it would be slower where gradients oppose each other")
    if len(safe) == len(_BATCHES):
        return Choice(_BATCHES[-1])
    batches = [
        tf.shape(product.rows)[0]
        for products in layers.products.values()
        for product in products
        if product.rows.shape[0] is None
    ]
    return Choice(safe[-1], batches[0])
