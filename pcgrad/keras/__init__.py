"""Gradient surgery in `keras.Model.fit`."""

import keras

from pcgrad.keras.conflict_monitor import ConflictMonitor
from pcgrad.keras.conflict_statistics import ConflictStatistics
from pcgrad.keras.distributed_fit import distributed_fit, replica_batches
from pcgrad.keras.divergence import RaiseOnDivergence
from pcgrad.keras.model import MultiTaskModel
from pcgrad.keras.probing.conflict_probe import ConflictProbe
from pcgrad.methods import METHODS

__all__ = [
    "ConflictMonitor",
    "ConflictProbe",
    "ConflictStatistics",
    "MultiTaskModel",
    "RaiseOnDivergence",
    "distributed_fit",
    "replica_batches",
]

# So that a saved model remembers its surgery; `pcgrad` itself does not import Keras.
for _surgery in METHODS.values():
    keras.saving.register_keras_serializable(package="pcgrad")(_surgery)
