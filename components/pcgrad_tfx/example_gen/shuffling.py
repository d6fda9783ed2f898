"""Writes rows in a random order, which is a function of the rows."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator

import apache_beam as beam
import tensorflow as tf
from tfx import v1 as tfx
from tfx.components.example_gen import write_split
from tfx.types import artifact_utils

# So few that a group has rows from all over the data; so many that the rows which are shuffled with
# each other in training (`example_files`) are from several groups.
_GROUPS = 1024


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
