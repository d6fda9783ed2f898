"""How a compiled `MultiTaskModel` is saved."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from pcgrad.keras.compiled_training import CompiledTraining
from pcgrad.keras.functional_form import is_functional


class SavedTraining:
    """What Keras saves besides the weights; mixed into `MultiTaskModel`."""

    compiled: bool
    built: bool
    optimizer: Any
    trainable_variables: list[Any]
    compile: Any
    _training: CompiledTraining | None

    def get_compile_config(self) -> dict[str, Any] | None:
        """The arguments of `compile`, serialized."""
        if self._training is None:
            return None
        arguments = self._training.arguments
        weights = keras.tree.map_structure(_as_number, arguments["loss_weights"])
        return keras.saving.serialize_keras_object({**arguments, "loss_weights": weights})

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """As in Keras, but for the HDF5 format, from which it could not be loaded.

        Raises:
            ValueError: `filepath` ends in ".h5" or ".hdf5".
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                f"cannot save a {type(self).__name__} as {str(filepath)!r}: Keras's old HDF5 "
                "format cannot load it again; use a name that ends in .keras, or `save_weights` "
                "and a name that ends in .weights.h5"
            )
        super().save(filepath, *args, **kwargs)  # type: ignore[misc]

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles with the arguments that `get_compile_config` returned."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def __reduce__(self) -> tuple[Any, ...]:
        """As in Keras, but by a class that `pickle` finds by name: a functional form has none."""
        reduced: Any = super().__reduce__()  # Keras's: a class method and its arguments.
        function, arguments = reduced
        named = next(cls for cls in type(self).__mro__ if not is_functional(cls))
        return getattr(named, function.__name__), arguments


def _as_number(weight: Any) -> Any:
    """What a variable holds now; anything else as it is."""
    is_tensor = tf.is_tensor(weight) or isinstance(weight, tf.Variable | keras.Variable)
    return float(tf.convert_to_tensor(weight)) if is_tensor else weight
