"""Splits rows: by TFX where a hash of the row or of its group decides, else by steps of our own."""

from __future__ import annotations

import bisect
import hashlib
import math
from array import array
from collections.abc import Iterable, Mapping

import apache_beam as beam
import numpy as np
import tensorflow as tf
from tfx import v1 as tfx

from pcgrad_tfx.config.splitting import Splitting
from pcgrad_tfx.data.split_checks import SPLITS, TimeBounds, cut


def output_config(splitting: Splitting) -> tfx.proto.Output:
    """TFX's words for the splits: their names and sizes, and the group if there is one."""
    return tfx.proto.Output(
        split_config=tfx.proto.SplitConfig(
            splits=[
                tfx.proto.SplitConfig.Split(name=name, hash_buckets=buckets)
                for name, buckets in zip(SPLITS, splitting.splits.buckets, strict=True)
            ],
            partition_feature_name=splitting.group,
        )
    )


def split_by_time(rows: beam.PCollection, bounds: TimeBounds) -> dict[str, beam.PCollection]:
    """The rows by split; those in a gap are left out."""
    *splits, _ = rows | "SplitByTime" >> beam.Partition(
        lambda row, _, bounds: at_time(row, bounds), len(SPLITS) + 1, bounds
    )
    return dict(zip(SPLITS, splits, strict=True))


def at_time(row: tf.train.Example, bounds: TimeBounds) -> int:
    """The position of a row's split in `SPLITS`; that of none is their number."""
    feature = row.features.feature[bounds.column]
    value = getattr(feature, feature.WhichOneof("kind")).value[0]
    return bounds.place(
        value.decode("utf-8", "replace") if isinstance(value, bytes) else repr(value)
    )


def split_by_stratum(rows: beam.PCollection, splitting: Splitting) -> dict[str, beam.PCollection]:
    """The rows by split, with the same shares in each stratum.

    The rows of a stratum are ordered by a hash of theirs. Equal rows stay together; a stratum
    with fewer than three different rows is in train.
    """
    placed = rows | "Strata" >> beam.Map(_stratum_and_hash, splitting.stratify)
    bounds = placed | "Bounds" >> beam.CombinePerKey(_HashBounds(splitting.splits.buckets))
    splits = rows | "SplitByStratum" >> beam.Partition(
        _in_stratum, len(SPLITS), splitting.stratify, beam.pvalue.AsDict(bounds)
    )
    return dict(zip(SPLITS, splits, strict=True))


def _in_stratum(
    row: tf.train.Example,
    _: int,
    columns: Iterable[str],
    bounds: Mapping[bytes, tuple[float, float]],
) -> int:
    stratum, hashed = _stratum_and_hash(row, columns)
    return bisect.bisect(bounds[stratum], hashed)


def _stratum_and_hash(row: tf.train.Example, columns: Iterable[str]) -> tuple[bytes, int]:
    features = row.features.feature
    values = [
        features[name].SerializeToString(deterministic=True) if name in features else b""
        for name in columns
    ]
    # Their lengths keep the values apart.
    stratum = b"".join(len(value).to_bytes(8, "big") + value for value in values)
    digest = hashlib.sha256(row.SerializeToString(deterministic=True)).digest()
    return stratum, int.from_bytes(digest[:8], "big")


class _HashBounds(beam.CombineFn):
    """The hashes at which eval and test begin, of those of a stratum's rows.

    Args:
        buckets: The sizes of train, eval and test.
    """

    def __init__(self, buckets: tuple[int, int, int]) -> None:
        self._buckets = buckets

    def create_accumulator(self) -> array[int]:
        return array("Q")

    def add_input(self, hashes: array[int], value: int) -> array[int]:
        hashes.append(value)
        return hashes

    def merge_accumulators(self, parts: Iterable[array[int]]) -> array[int]:
        merged = array("Q")
        for part in parts:
            merged.extend(part)
        return merged

    def extract_output(self, hashes: array[int]) -> tuple[float, float]:
        known, counts = np.unique(np.frombuffer(hashes, np.uint64), return_counts=True)
        if len(known) < len(SPLITS):
            return math.inf, math.inf
        first, second = cut(counts, self._buckets)
        return int(known[first]), int(known[second])
