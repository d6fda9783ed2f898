"""Training rows in memory, from which probes draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

# Of a dataset: enough for all probes of a training to differ.
_MOST_ROWS = 2**16

# As in `keras.Model.fit`.
_DEFAULT_BATCH_ROWS = 32


class ProbeRows:
    """Rows of features, labels and, if there are any, weights.

    Args:
        x: Arrays or tensors in any structure, the first axis being the rows; or a `tf.data.Dataset`
            of batches.
        y: Labels, likewise; `None` with a dataset.
        sample_weight: Weights of the rows, likewise.

    Attributes:
        batch_rows: Rows of a batch of the dataset; 32 of arrays, as in `fit`.

    Raises:
        ValueError: There are no labels, or both a dataset and labels.
    """

    def __init__(self, x: Any, y: Any = None, sample_weight: Any = None) -> None:
        self.batch_rows = _DEFAULT_BATCH_ROWS
        if isinstance(x, tf.data.Dataset):
            if y is not None or sample_weight is not None:
                raise ValueError("`x` is a dataset: its elements hold labels and weights, too")
            self._rows, self.batch_rows = _collected(x)
        else:
            if y is None:
                raise ValueError("`y` is missing: the probes take losses, which need labels")
            given = (x, y) if sample_weight is None else (x, y, sample_weight)
            self._rows = tf.nest.map_structure(tf.convert_to_tensor, given)
        sizes = {_size(values) for values in tf.nest.flatten(self._rows)}
        if len(sizes) > 1:
            raise ValueError(
                f"features, labels and weights have {sorted(sizes)} rows: pass as many"
            )
        self._size = sizes.pop()

    def __len__(self) -> int:
        return self._size

    def draw(
        self, generator: np.random.Generator, blocks: Sequence[npt.NDArray[np.int64]], rows: int
    ) -> list[Any]:
        """A chunk of each block of rows.

        Args:
            generator: Of the draw.
            blocks: Numbers of rows, no number in two of them.
            rows: Of each chunk.

        Returns:
            (features, labels) or (features, labels, weights) for each chunk.
        """
        drawn = [generator.choice(block, rows, replace=False) for block in blocks]
        return [
            tf.nest.map_structure(lambda values, chunk=chunk: _taken(values, chunk), self._rows)
            for chunk in drawn
        ]


def _collected(batches: tf.data.Dataset) -> tuple[Any, int]:
    """The first batches in one piece, and the number of rows of the first one."""
    parts: list[Any] = []
    first = rows = 0
    for batch in batches:
        parts.append(batch)
        size = _size(tf.nest.flatten(batch)[0])
        first, rows = first or size, rows + size
        if rows >= _MOST_ROWS:
            break
    if not parts:
        raise ValueError("the dataset is empty: pass one with the training rows")
    if not isinstance(parts[0], tuple) or len(parts[0]) < 2:
        raise ValueError("the dataset has no labels: its elements must be (features, labels)")
    return tf.nest.map_structure(lambda *values: _joined(values), *parts), first


def _joined(values: Sequence[Any]) -> Any:
    if isinstance(values[0], tf.SparseTensor):
        return tf.sparse.concat(0, list(values), expand_nonconcat_dims=True)
    return tf.concat(values, axis=0)


def _taken(values: Any, rows: npt.NDArray[np.int64]) -> Any:
    if isinstance(values, tf.SparseTensor):
        # As rows of values, the form that sparse features have.
        return tf.gather(tf.RaggedTensor.from_sparse(values), rows).to_sparse()
    return tf.gather(values, rows)


def _size(values: Any) -> int:
    if isinstance(values, tf.RaggedTensor):
        return int(values.nrows())
    return int(values.shape[0])
