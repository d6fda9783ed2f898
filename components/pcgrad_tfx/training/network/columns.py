"""A row's columns as one tensor: however many there are, one lookup and one stack.

A layer for each column would take most of a step with hundreds of them, and seconds to trace.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from pcgrad_tfx.config.training_config import Training
from pcgrad_tfx.training.network.names import Named

_PACKAGE = "pcgrad_tfx"


@keras.saving.register_keras_serializable(_PACKAGE)
class StackedColumns(keras.layers.Layer):
    """Columns side by side.

    Args:
        columns: Their names, in their order.
    """

    def __init__(self, columns: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._columns = tuple(columns)

    def call(self, inputs: Mapping[str, Any]) -> Any:
        """From columns by name, [N] or [N, 1] of one dtype, to [N, columns]."""
        return ops.stack([ops.reshape(inputs[name], [-1]) for name in self._columns], axis=1)

    def compute_output_spec(self, inputs: Mapping[str, Any]) -> keras.KerasTensor:
        """The dtype of the columns."""
        first = inputs[self._columns[0]]
        return keras.KerasTensor((first.shape[0], len(self._columns)), first.dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "columns": self._columns}


@keras.saving.register_keras_serializable(_PACKAGE)
class PackedEmbedding(keras.layers.Layer):
    """The vectors of several columns of ids, which lie in one table, one column below the other.

    Args:
        sizes: Of each column the number of its ids, which run from 0.
        width: Length of a vector.
    """

    def __init__(self, sizes: Sequence[int], width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._sizes = tuple(sizes)
        self._width = width
        self._table = keras.layers.Embedding(sum(self._sizes), width, name="table")

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Makes the table, [ids of all columns, width]."""
        self._table.build(input_shape)

    def call(self, inputs: Any) -> Any:
        """From ids, integers [N, columns], to their vectors side by side, [N, columns · width].

        On a CPU an id that its column does not have is an error.
        """
        ids = ops.cast(inputs, "int32")
        sizes = ops.convert_to_tensor(self._sizes, "int32")
        starts = [0, *itertools.accumulate(self._sizes)][:-1]
        rows = ids + ops.convert_to_tensor(starts, "int32")
        # Not the row of another column, but none: -1 would be the last one for Keras.
        rows = ops.where((ids >= 0) & (ids < sizes), rows, sum(self._sizes))
        return ops.reshape(self._table(rows), [-1, len(self._sizes) * self._width])

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, int]:
        """[N, columns · width]."""
        return input_shape[0], len(self._sizes) * self._width

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "sizes": self._sizes, "width": self._width}


@keras.saving.register_keras_serializable(_PACKAGE)
class PiecewiseLinear(keras.layers.Layer):
    """Numbers as positions in the intervals between quantiles: a network then learns steps easily.

    A number becomes one value for each interval: 0 if it lies below, 1 above, in between its
    position (Gorishniy et al., "On Embeddings for Numerical Features in Tabular Deep Learning",
    NeurIPS 2022, arXiv 2203.05556, equation 1; but limited to [0, 1] in the outer intervals, too).

    Args:
        boundaries: Of each column the ascending limits of its intervals; without a value between
            the least and the greatest it gets none.
    """

    def __init__(self, boundaries: Sequence[Sequence[float]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._boundaries = [list(limits) for limits in boundaries]
        intervals = [
            (column, low, high)
            for column, limits in enumerate(self._boundaries)
            if len(limits) > 2
            for low, high in itertools.pairwise(limits)
        ]
        self._columns = np.array([column for column, _, _ in intervals], np.int32)
        self._starts = np.array([low for _, low, _ in intervals], np.float32)
        self._widths = np.array([high - low for _, low, high in intervals], np.float32)

    @property
    def units(self) -> int:
        """The number of values of a row."""
        return len(self._columns)

    def call(self, inputs: Any) -> Any:
        """From numbers [N, columns] to [N, units]."""
        values = ops.take(inputs, self._columns, axis=1)
        starts = ops.cast(self._starts, values.dtype)
        return ops.clip((values - starts) / ops.cast(self._widths, values.dtype), 0, 1)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, int]:
        """[N, units]."""
        return input_shape[0], self.units

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "boundaries": self._boundaries}


def feature_row(
    inputs: Mapping[str, Any],
    training: Training,
    embedding_sizes: Mapping[str, int],
    boundaries: Mapping[str, Sequence[float]],
    named: Named,
) -> Any:
    """All columns of a row side by side: numbers, their positions, and the vectors of the ids.

    Args:
        inputs: The columns by name, [N] or [N, 1].
        training: The length of the vectors.
        embedding_sizes: Of the columns that hold ids, their number.
        boundaries: Of the numbers that are also given as positions in intervals, the ascending
            limits of these.
        named: A free name for a layer.

    Returns:
        [N, width].
    """
    numbers = [name for name in inputs if name not in embedding_sizes]
    ids = [name for name in inputs if name in embedding_sizes]
    parts = []
    if numbers:
        values = StackedColumns(numbers, name=named("numbers"))({n: inputs[n] for n in numbers})
        parts.append(values)
        limits = [boundaries.get(name, ()) for name in numbers]
        encoding = PiecewiseLinear(limits, name=named("positions"))
        if encoding.units:
            parts.append(encoding(values))
    if ids:
        stacked = StackedColumns(ids, name=named("ids"))({n: inputs[n] for n in ids})
        sizes = [embedding_sizes[name] for name in ids]
        table = PackedEmbedding(sizes, training.embedding_dim, name=named("vectors"))
        parts.append(table(stacked))
    if len(parts) == 1:
        return parts[0]
    return keras.layers.Concatenate(name=named("features"))(parts)
