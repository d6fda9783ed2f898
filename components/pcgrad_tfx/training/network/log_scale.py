"""Regression on a logarithmic scale: the network learns log(1 + label), it answers in dollars.

The scale is log(1 + y) for y ≥ 0 and goes on as a straight line below 0, where no label is but a
prediction may be. So it has an inverse everywhere, with a continuous derivative: nothing is
clipped, and no gradient is lost.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

_PACKAGE = "pcgrad_tfx"


def to_log(values: Any) -> Any:
    """From the label's own unit to the logarithmic scale; any shape, a floating dtype."""
    # Each branch is given what the other is for, too: an infinite gradient there would make NaN.
    return ops.where(values >= 0, ops.log1p(ops.maximum(values, 0)), values)


def from_log(values: Any) -> Any:
    """From the logarithmic scale to the label's own unit; any shape, a floating dtype."""
    return ops.where(values >= 0, ops.expm1(ops.maximum(values, 0)), values)


@keras.saving.register_keras_serializable(_PACKAGE)
class FromLog(keras.layers.Layer):
    """`from_log` as a layer: the last one of a head."""

    def call(self, inputs: Any) -> Any:
        """Converts a tensor of any shape."""
        return from_log(inputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape
