"""The Trainer's input: batches of transformed features and labels."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from pcgrad.keras import replica_batches
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.data.example_files import example_files, read_batches, read_shuffled_batches


class InputData:
    """Reads the examples that Transform wrote.

    Args:
        tft_output: Transform's output.
        tasks: The tasks; their labels must be among the transformed features.
        batch_size: Rows of a batch.

    Raises:
        ValueError: A task's label is not among the transformed features, or is not one number for
            each row; or there are no others.
    """

    def __init__(
        self,
        tft_output: tft.TFTransformOutput,
        tasks: Sequence[Task],
        batch_size: int,
    ) -> None:
        self._spec = tft_output.transformed_feature_spec()
        self._tasks = tuple(tasks)
        self._batch_size = batch_size
        self._factors: Mapping[str, Sequence[float]] = {}
        of_tasks = {
            key for task in tasks for key in (task.label_key, task.mask_key, task.weight_key)
        }
        self.feature_spec: Mapping[str, tf.io.FixedLenFeature] = {
            name: feature for name, feature in self._spec.items() if name not in of_tasks
        }
        for task in tasks:
            if task.label_key not in self._spec:
                raise ValueError(
                    f"task {task.name!r}: label_key {task.label_key!r} is not among the "
                    f"transformed features {sorted(self._spec)}; name the one that Transform wrote"
                )
            if task.weight is not None and task.weight_key not in self._spec:
                raise ValueError(
                    f"task {task.name!r} has a `weight`, but {task.weight_key!r} is not among the "
                    "transformed features; write the rows' weights there in your preprocessing_fn"
                )
            for key in {task.label_key, task.mask_key, task.weight_key} & set(self._spec):
                if not is_one_number(self._spec[key]):
                    raise ValueError(
                        f"task {task.name!r}: the transformed feature {key!r} is not one number in "
                        "each row; make it a dense float32 or int64 tensor of [N] values in your "
                        "preprocessing_fn"
                    )
        if not self.feature_spec:
            raise ValueError("Transform wrote labels but no features; add some to its output")

    def with_factors(self, factors: Mapping[str, Sequence[float]]) -> InputData:
        """The same data with other weights.

        Args:
            factors: By task the factors of its rows' weights: one for each class, or one for all.
        """
        other = copy.copy(self)
        other._factors = factors
        return other

    def batches(
        self,
        files: Sequence[str],
        context: tf.distribute.InputContext | None = None,
        every: int = 1,
    ) -> tf.data.Dataset:
        """All rows once, in the order of the files.

        Args:
            files: File patterns.
            context: Of a process that reads its replicas' parts of each batch.
            every: Only one of so many successive rows.

        Returns:
            Batches of (features by name, labels by task's name, float or integer [N], NaN where a
            label is missing); if some task has weights also of the weights of all, float32 [N].
        """
        return self._parsed(read_batches(example_files(files), self._batch_size, every), context)

    def epochs(
        self,
        files: Sequence[str],
        seed: int,
        first: int,
        last: int,
        context: tf.distribute.InputContext | None = None,
    ) -> tf.data.Dataset:
        """The batches of several epochs one after the other, each in an order of its own.

        The order is a function of the seed and the epoch's number, whichever epoch is the first:
        an interrupted training that goes on sees what an uninterrupted one sees.

        Args:
            files: File patterns.
            seed: Of the orders.
            first: Number of the first epoch.
            last: Number after the last epoch.
            context: As in `batches`.

        Returns:
            Batches as from `batches`.
        """
        found = example_files(files)

        def epoch(number: tf.Tensor) -> tf.data.Dataset:
            order = tf.stack([tf.cast(seed, tf.int64), number])
            return read_shuffled_batches(found, self._batch_size, order)

        numbers = tf.data.Dataset.range(first, last)
        return self._parsed(numbers.flat_map(epoch), context)

    def _parsed(
        self, batches: tf.data.Dataset, context: tf.distribute.InputContext | None
    ) -> tf.data.Dataset:
        def parsed(records: tf.Tensor) -> tuple[dict[str, tf.Tensor], ...]:
            return self.split(tf.io.parse_example(records, self._spec))

        if context is not None:
            batches = replica_batches(batches, context)
        return batches.map(parsed, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    def split(self, row: Mapping[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], ...]:
        """Features, labels and weights of a batch of transformed rows, as `batches` gives them."""
        features = reshape_features(row, self.feature_spec)
        labels = {}
        for task in self._tasks:
            label = tf.reshape(row[task.label_key], [-1])
            if task.mask_key in self._spec:
                labelled = tf.reshape(row[task.mask_key], [-1]) > 0
                label = tf.where(labelled, tf.cast(label, tf.float32), float("nan"))
            elif label.dtype.is_integer:
                label = tf.cast(label, task.label_dtype)
            labels[task.name] = label
        if not self._factors and all(task.weight is None for task in self._tasks):
            return features, labels
        return (
            features,
            labels,
            {t.name: self._weights(row, t, labels[t.name]) for t in self._tasks},
        )

    def _weights(self, row: Mapping[str, tf.Tensor], task: Task, label: tf.Tensor) -> tf.Tensor:
        weights = tf.ones(tf.shape(label))
        if task.weight is not None:
            weights = tf.cast(tf.reshape(row[task.weight_key], [-1]), tf.float32)
        factors = self._factors.get(task.name, (1.0,))
        if len(factors) == 1:
            return weights * factors[0]
        # A missing label's does not matter, but NaN is no id.
        ids = tf.cast(tf.where(label > 0, label, tf.zeros_like(label)), tf.int32)
        return weights * tf.gather(tf.constant(factors, tf.float32), ids)


def is_one_number(feature: Any) -> bool:
    """Whether a transformed feature is a single number in each row."""
    return (
        isinstance(feature, tf.io.FixedLenFeature)
        and math.prod(feature.shape) == 1
        and feature.dtype != tf.string
    )


def reshape_features(
    row: Mapping[str, tf.Tensor], feature_spec: Mapping[str, tf.io.FixedLenFeature]
) -> dict[str, tf.Tensor]:
    """Brings features to the shapes of their spec: Transform's layer mixes [N] and [N, 1].

    Args:
        row: Tensors by feature name; sparse ones are left as they are.
        feature_spec: The features wanted.

    Returns:
        The features of the spec, [N, *shape].
    """
    return {
        name: tf.reshape(row[name], [-1, *feature.shape])
        if isinstance(feature, tf.io.FixedLenFeature)
        else row[name]
        for name, feature in feature_spec.items()
    }
