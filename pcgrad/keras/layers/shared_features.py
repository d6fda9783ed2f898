"""A layer that marks the features that the tasks share."""

from __future__ import annotations

from typing import Any

import keras

from pcgrad.layerwise.features import mark_as_features


@keras.saving.register_keras_serializable(package="pcgrad")
class SharedFeatures(keras.layers.Layer):
    """Passes its input on, and marks it for `compile(gramian="features")`.

    Needed only where the features are not found by themselves: where the tasks' heads are slices of
    one layer's output (its gradients never conflict), where only groups of tasks have features in
    common, or where a `tf.function` within the model hides them. All paths from the shared weights
    to the losses should lead through marked features.

    Input: any tensor.

    Output: the same.

    Example:
        >>> inputs = keras.Input((8,))
        >>> features = SharedFeatures()(keras.layers.Dense(16, activation="relu")(inputs))
        >>> both = keras.layers.Dense(2)(features)
        >>> model = MultiTaskModel(inputs, {"price": both[:, :1], "rent": both[:, 1:]})
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: Any) -> Any:
        """Marks the input."""
        return mark_as_features(inputs)
