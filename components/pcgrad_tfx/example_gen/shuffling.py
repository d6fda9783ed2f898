"""Writes rows in a random order, which is a function of the rows."""

from __future__ import annotations

import collections
import contextlib
import os
import random
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from typing import IO

import apache_beam as beam
import tensorflow as tf
from tfx import v1 as tfx
from tfx.components.example_gen import write_split
from tfx.types import artifact_utils

# So few that a group has rows from all over the data; so many that the rows which are shuffled with
# each other in training (`example_files`) are from several groups.
_GROUPS = 1024
# At a time a split's share of so many is in memory. All splits' files are open at once.
_FILES = 32
_LENGTH_BYTES = 8


def write_shuffled(
    splits: dict[str, beam.PCollection[tf.train.Example | bytes]], examples: tfx.dsl.Artifact
) -> None:
    """Shuffles each split of an ExampleGen and writes it.

    A file is often sorted, by time for instance, and a training that meets the rows in that order
    forgets the first ones. TFX's `WriteSplit` shuffles by Beam's `Reshuffle`, which on the engine
    that runs in the process keeps the order, but for the rows that draw the same one of 2^32 random
    keys: of 100,000 rows about one, another one each time. Here such an engine always writes the
    same rows in the same order; others meet the rows in an order of their own.

    Args:
        splits: Rows by the name of their split.
        examples: Artifact that knows these names. The files are named as TFX names them.
    """
    for name, rows in splits.items():
        folder = artifact_utils.get_split_uri([examples], name)
        _ = (
            rows
            | f"Shuffle[{name}]" >> _Shuffle()
            # The rows are serialized; it is TFX's counter of them.
            | f"Count[{name}]" >> beam.ParDo(write_split.MaybeSerialize())
            | f"Write[{name}]"
            >> beam.io.WriteToTFRecord(
                os.path.join(folder, write_split.DEFAULT_TF_RECORD_FILE_NAME),
                file_name_suffix=".gz",
            )
        )


def write_streamed(rows: Iterable[tuple[str, bytes]], examples: tfx.dsl.Artifact) -> None:
    """Shuffles the rows of each split and writes it, without Beam and in bounded memory.

    The rows are dealt to temporary files at random, which are shuffled one by one. The same rows
    are always written in the same order.

    Args:
        rows: Serialized rows, each with the name of its split.
        examples: Artifact that knows these names. The files are named as TFX names them.
    """
    splits = artifact_utils.decode_split_names(examples.split_names)
    with contextlib.ExitStack() as stack:
        dealt = {
            name: [stack.enter_context(tempfile.TemporaryFile()) for _ in range(_FILES)]
            for name in splits
        }
        numbers: collections.Counter[str] = collections.Counter()
        for name, row in rows:
            # Without the number, equal rows would all be in one file.
            numbers[name] += 1
            file = dealt[name][zlib.crc32(row, numbers[name]) % _FILES]
            file.write(len(row).to_bytes(_LENGTH_BYTES, "little") + row)
        for name, files in dealt.items():
            folder = artifact_utils.get_split_uri([examples], name)
            tf.io.gfile.makedirs(folder)
            path = os.path.join(
                folder, f"{write_split.DEFAULT_TF_RECORD_FILE_NAME}-00000-of-00001.gz"
            )
            with tf.io.TFRecordWriter(path, "GZIP") as writer:
                for number, file in enumerate(files):
                    shuffled = list(_dealt_rows(file))
                    random.Random(number).shuffle(shuffled)
                    for row in shuffled:
                        writer.write(row)


def _dealt_rows(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while length := file.read(_LENGTH_BYTES):
        yield file.read(int.from_bytes(length, "little"))


class _Shuffle(beam.PTransform):
    """Writes the rows of one random group after those of another."""

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        return (
            rows
            | "Draw" >> beam.ParDo(_DrawGroup())
            | "Group" >> beam.GroupByKey()
            | "Rows" >> beam.FlatMap(lambda group: group[1]).with_output_types(bytes)
        )


@beam.typehints.with_output_types(tuple[int, bytes])
class _DrawGroup(beam.DoFn):
    """Draws a group for each row, by what is in it and how many came before."""

    def start_bundle(self) -> None:
        self._number = 0

    def process(self, row: tf.train.Example | bytes) -> Iterator[tuple[int, bytes]]:
        serialized = row if isinstance(row, bytes) else row.SerializeToString(deterministic=True)
        # Without the number, equal rows would all be in one group.
        self._number += 1
        yield zlib.crc32(serialized, self._number) % _GROUPS, serialized
