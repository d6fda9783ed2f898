"""How a compiled `MultiTaskModel` is saved."""

from __future__ import annotations

from typing import Any

import keras

from pcgrad.keras.compiled_training import CompiledTraining
from pcgrad.keras.functional_form import is_functional


class SavedTraining:
    """What Keras saves besides the weights; mixed into `MultiTaskModel`."""

    compiled: bool
    built: bool
    optimizer: Any
    trainable_variables: list[Any]
    compile: Any
    _training: CompiledTraining

    def get_compile_config(self) -> dict[str, Any] | None:
        """The arguments of `compile`, serialized."""
        if not self.compiled:
            return None
        return keras.saving.serialize_keras_object(self._training.arguments)

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
