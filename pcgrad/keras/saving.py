"""What of a multi-task model is saved: how it is compiled, and the state of its surgery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pcgrad.kept_weights import KeptWeights
from pcgrad.keras.functional_form import is_functional
from pcgrad.keras.reporting.reporting_model import ReportingModel
from pcgrad.weightings.weighting import Weighting, state_variables, tell_names

# Before the names of a surgery's variables, in files.
_OF_SURGERY = "surgery_"


class SavableModel(ReportingModel):
    """Base of `MultiTaskModel`: saves, loads and pickles it."""

    _surgery: Weighting | None = None
    _kept_weights: KeptWeights | None = None

    def _set_surgery(self, surgery: Weighting | None, every: int, tasks: Sequence[str]) -> None:
        """Keeps a surgery where checkpoints find its state, and makes its variables."""
        self._surgery, self._kept_weights = surgery, None
        tell_names(surgery, tasks)
        build = getattr(surgery, "build", None)
        if build is not None:
            with self.distribute_strategy.scope():
                build(len(tasks))
        if every > 1:
            replicas = self.distribute_strategy.num_replicas_in_sync
            if replicas > 1:
                # TensorFlow cannot exchange gradients within a condition.
                raise ValueError(
                    f"`surgery_every` is {every}: on several replicas, here {replicas}, the Gram "
                    "matrix is taken in every step; leave it out"
                )
            self._kept_weights = KeptWeights(every, len(tasks))

    @property
    def surgery_variables(self) -> list[tf.Variable]:
        """The state of the surgery: saved with the model, but no weights of it."""
        kept = self._kept_weights
        return state_variables(self._surgery) + ([] if kept is None else list(kept.variables))

    def save_own_variables(self, store: Any) -> None:
        """As in Keras, and the state of the surgery."""
        super().save_own_variables(store)
        for index, variable in enumerate(self.surgery_variables):
            store[f"{_OF_SURGERY}{index}"] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        """As in Keras, and the state of the surgery; without one in the file it stays as it is."""
        stored = {name: store[name] for name in list(store.keys())}
        super().load_own_variables(
            {name: values for name, values in stored.items() if not name.startswith(_OF_SURGERY)}
        )
        state = self.surgery_variables
        names = [f"{_OF_SURGERY}{index}" for index in range(len(state))]
        saved = [np.array(stored[name]) for name in names if name in stored]
        # Another method's state has other variables.
        if [values.shape for values in saved] == [tuple(one.shape) for one in state]:
            for variable, values in zip(state, saved, strict=True):
                variable.assign(values)

    def get_compile_config(self) -> dict[str, Any] | None:
        """The arguments of `compile`, serialized."""
        if self._training is None:
            return None
        # Keras takes a variable for the value that it holds.
        return keras.saving.serialize_keras_object(self._training.arguments)

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """As in Keras, but for the HDF5 format, from which it could not be loaded.

        `keras.saving.save_model` does not come here, and writes such a file.

        Raises:
            ValueError: `filepath` ends in ".h5" or ".hdf5".
        """
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                f"cannot save a {type(self).__name__} as {str(filepath)!r}: Keras's old HDF5 "
                "format cannot load it again; use a name that ends in .keras, or `save_weights` "
                "and a name that ends in .weights.h5"
            )
        super().save(filepath, *args, **kwargs)

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
