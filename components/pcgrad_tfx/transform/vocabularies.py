"""The vocabularies of all categorical columns, computed together and kept in one file.

`tft.vocabulary` adds some ninety steps to the Beam pipeline for each column, which then takes
more time and memory than the data do: with 250 such columns it does not fit on one machine. Here
the number of steps does not depend on the number of columns.

The file of a column "city" with the values Aix and Bonn, and a column "zone" with the value 7, has
the lines

    0  "city"⇥
    1  "city"⇥Aix
    2  "city"⇥Bonn
    3  "zone"⇥
    4  "zone"⇥7
    5  null⇥

A column's first line is that of a missing value; the last line is where the last column ends. So
the id of a value is the number of its line, counted from its column's first.
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam

FILE_NAME = "vocabularies"
_LAST_LINE = b"null\t"

# The column's number and its most frequent values, each with its count, in descending order.
_Vocabulary: TypeAlias = tuple[int, Sequence[tuple[int, bytes]]]


def look_up(texts: Mapping[str, tf.Tensor], size: int, oov_buckets: int) -> dict[str, tf.Tensor]:
    """Looks texts up in the vocabularies of their columns, of which each holds the most frequent.

    Of values that are equally frequent, the last in the order of their bytes is the first, as in
    `tft.vocabulary`; and as there, texts with a line break are outside of every vocabulary.

    Args:
        texts: String [N] by column, "" where there is no value; at least one column.
        size: How many values a vocabulary holds at most.
        oov_buckets: How many ids the values outside a column's vocabulary share.

    Returns:
        int64 [N] by column: 0 where there is no value, then the vocabulary's by decreasing
        frequency, then `oov_buckets` ids by the value's hash.
    """
    values = tf.stack(list(texts.values()), axis=1)
    (path,) = tft.experimental.ptransform_analyzer(
        [values],
        _WriteMostFrequent(tuple(texts), size),
        output_dtypes=[tf.string],
        output_shapes=[[]],
        output_asset_default_values=[_LAST_LINE],
        name=FILE_NAME,
    )
    starts = [_line(column) for column in texts]
    ends = [*starts[1:], _LAST_LINE]
    # Each key is looked up as a line: the values, and below them where the columns start and end.
    keys = tf.concat([tf.constant(starts) + values, [starts], [ends]], axis=0)
    lines = tft.apply_vocabulary(keys, path)
    lines, start, end = lines[:-2], lines[-2], lines[-1]
    outside = end - start + tf.strings.to_hash_bucket_fast(values, oov_buckets)
    ids = tf.where(lines >= 0, lines - start, outside)
    return dict(zip(texts, tf.unstack(ids, num=len(texts), axis=1), strict=True))


def read_vocabularies(tft_output: tft.TFTransformOutput) -> dict[str, list[bytes]]:
    """The vocabularies that a transform graph holds.

    Args:
        tft_output: Transform's output.

    Returns:
        The values by column, in the order of their ids, of which the first is 1.

    Raises:
        ValueError: If the graph holds no vocabularies of ours.
    """
    path = tft_output.vocabulary_file_by_name(FILE_NAME)
    if path is None:
        raise ValueError(
            f"the transform graph in {tft_output.transform_savedmodel_dir} has no file "
            f"{FILE_NAME!r}: Transform ran another preprocessing_fn, or had no categorical features"
        )
    with tf.io.gfile.GFile(path, "rb") as file:
        lines = file.read().split(b"\n")
    found: dict[str, list[bytes]] = defaultdict(list)
    for line in lines[: lines.index(_LAST_LINE)]:
        name, value = line.split(b"\t", 1)
        values = found[json.loads(name)]
        if value:
            values.append(value)
    return dict(found)


def _line(column: str, value: bytes = b"") -> bytes:
    # As JSON, because a column's name can hold anything, and no tab or line break may be in it.
    return json.dumps(column, ensure_ascii=False).encode() + b"\t" + value


class _WriteMostFrequent(tft_beam.experimental.PTransformAnalyzer):
    """Writes the file: for each column a line without a value, then one for each value."""

    def __init__(self, columns: Sequence[str], size: int) -> None:
        super().__init__()
        self._columns = columns
        self._size = size

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        path = os.path.join(self.base_temp_dir, FILE_NAME)
        return (
            batches
            | "Count" >> beam.FlatMap(_count)
            | "Sum" >> beam.CombinePerKey(sum)
            | "KeyByColumn" >> beam.MapTuple(lambda key, count: (key[0], (count, key[1])))
            | "MostFrequent" >> beam.combiners.Top.LargestPerKey(self._size)
            | "Collect" >> beam.combiners.ToList()
            | "Write" >> beam.Map(_write, self._columns, path)
        )


def _count(batch: tuple[npt.NDArray[np.object_]]) -> Iterator[tuple[tuple[int, bytes], int]]:
    """How often each value is in each column of a batch [N, columns]."""
    for number, column in enumerate(batch[0].T):
        for value, count in Counter(column.tolist()).items():
            if value and b"\n" not in value and b"\r" not in value:
                yield (number, value), count


def _write(found: Iterable[_Vocabulary], columns: Sequence[str], path: str) -> npt.NDArray[np.str_]:
    by_number = dict(found)
    tf.io.gfile.makedirs(os.path.dirname(path))
    with tf.io.gfile.GFile(path, "wb") as file:
        for number, column in enumerate(columns):
            for value in [b"", *(value for _, value in by_number.get(number, ()))]:
                file.write(_line(column, value) + b"\n")
        file.write(_LAST_LINE + b"\n")
    return np.array(path)
