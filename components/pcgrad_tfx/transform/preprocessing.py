"""Transform's `preprocessing_fn`: features and labels from raw columns.

It is named in a pipeline as `preprocessing_fn="pcgrad_tfx.preprocessing.preprocessing_fn"`. What
it learns from the training split (means, vocabularies, bucket boundaries) is kept in the
transform graph, so a row is treated alike in training and in serving. No feature depends on a
label's column: without those columns the graph still gives every feature.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from pcgrad_tfx.config.features import Features, check_features, transformed_name
from pcgrad_tfx.config.tasks import parse_tasks
from pcgrad_tfx.data.labels import RawColumn, label, numbers, texts, weight
from pcgrad_tfx.transform.dates import date_parts
from pcgrad_tfx.transform.vocabularies import look_up, read_vocabularies

_QUANTILE_EPSILON = 0.01

_FARTHEST = 1e6


def preprocessing_fn(
    inputs: Mapping[str, RawColumn], custom_config: Mapping[str, Any]
) -> dict[str, tf.Tensor]:
    """Computes the transformed features, labels and masks.

    Args:
        inputs: The raw columns by name, each a SparseTensor with at most one value per row (as
            from `tf.io.VarLenFeature`) or a dense tensor [N] or [N, 1]. A value is missing where
            the SparseTensor has none, where a number is not finite and where a text is empty.
        custom_config: `{"tasks": [...], "features": {...}}`, the JSON of `Task` and `Features`.
            Further keys only make TFX's cache depend on them.

    Returns:
        For each of `Features.transformed_names`: numeric, and the parts of dates, float32 [N] with
        mean 0 and variance 1, 0 where missing; categorical int64 [N], 0 where missing; bucketized
        int64 [N], the median's bucket where missing. For each task its `label_key`, `label_dtype`
        [N], 0 where missing, and its `mask_key`, float32 [N], 1 where there is a label; if it has a
        `weight`, its `weight_key`, float32 [N], 0 where there is no label or no weight.

    Raises:
        ValueError: If a task or feature is wrong, or a column is absent or of an unfit type.
    """
    tasks = parse_tasks(custom_config["tasks"])
    features = Features.model_validate(custom_config["features"])
    check_features(features, tasks)
    outputs = {
        transformed_name(column): values
        for transform in (_scale, _look_up, _bucketize)
        for column, values in transform(inputs, features).items()
    }
    for task in tasks:
        outputs[task.label_key], valid = label(inputs, task)
        outputs[task.mask_key] = tf.cast(valid, tf.float32)
        if task.weight is not None:
            outputs[task.weight_key] = tf.where(valid, weight(inputs, task.weight), 0.0)
    return outputs


def embedding_sizes(features: Features, tft_output: tft.TFTransformOutput) -> dict[str, int]:
    """The number of ids of each transformed feature that holds ids.

    Args:
        features: The features that `tft_output` was made with.
        tft_output: Transform's output.

    Returns:
        The number of ids, which run from 0, by transformed name. Numeric features are not in it.
    """
    sizes = {}
    vocabularies = read_vocabularies(tft_output) if features.categorical else {}
    for column in features.categorical:
        sizes[transformed_name(column)] = 1 + len(vocabularies[column]) + features.oov_buckets
    for column, buckets in features.bucketized.items():
        sizes[transformed_name(column)] = buckets
    return sizes


def _scale(inputs: Mapping[str, RawColumn], features: Features) -> dict[str, tf.Tensor]:
    """float32 [N] of mean 0 and variance 1 for each numeric column and part of a date."""
    raw = {column: numbers(inputs, column) for column in features.numeric}
    for column, written in features.dates.items():
        parts = date_parts(inputs, column, written)
        raw |= {f"{column}_{part}": values for part, values in parts.items()}
    if not raw:
        return {}
    # Together: each column would add some 26 steps to the Beam pipeline, and with hundreds these
    # would take longer than the data do.
    values = tf.stack(list(raw.values()), axis=1)
    # Neither counts what is not finite; where there is nothing else, they are not finite.
    mean = tft.mean(values, reduce_instance_dims=False)
    std = tf.sqrt(tft.var(values, reduce_instance_dims=False))
    scaled = tf.math.divide_no_nan(values - mean, std)
    valid = tf.math.is_finite(values) & tf.math.is_finite(mean)
    # One of N values is at most sqrt(N) standard deviations off, so this limits none of those seen
    # here, but that of a request, which could make the network overflow.
    scaled = tf.clip_by_value(scaled, -_FARTHEST, _FARTHEST)
    scaled = tf.cast(tf.where(valid, scaled, 0.0), tf.float32)
    return dict(zip(raw, tf.unstack(scaled, num=len(raw), axis=1), strict=True))


def _look_up(inputs: Mapping[str, RawColumn], features: Features) -> dict[str, tf.Tensor]:
    """int64 [N] for each categorical column: 0 is missing, then vocabulary, then OOV."""
    if not features.categorical:
        return {}
    columns = {column: texts(inputs, column) for column in features.categorical}
    return look_up(columns, features.vocabulary_size, features.oov_buckets)


def _bucketize(inputs: Mapping[str, RawColumn], features: Features) -> dict[str, tf.Tensor]:
    """int64 [N] in [0, buckets) for each bucketized column, the median's bucket where missing."""
    found = {}
    # Not together, because tft.quantiles then fails where one of the columns is empty.
    for column, buckets in features.bucketized.items():
        values = numbers(inputs, column)
        valid = tf.math.is_finite(values)
        known = tf.boolean_mask(values, valid)
        median = tf.reshape(tft.quantiles(known, 2, _QUANTILE_EPSILON), [])
        boundaries = tft.quantiles(known, buckets, _QUANTILE_EPSILON / buckets)
        filled = tf.where(valid, tf.cast(values, boundaries.dtype), median)
        found[column] = tft.apply_buckets(filled, boundaries)
    return found
