"""Brings rows into a random order, which is a function of the rows."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import apache_beam as beam
import tensorflow as tf

# So few that a group has rows from all over the data; so many that the rows which are shuffled with
# each other in training (`example_files`) are from several groups.
_GROUPS = 1024


def shuffled(
    splits: dict[str, beam.PCollection[tf.train.Example | bytes]],
) -> dict[str, beam.PCollection[bytes]]:
    """Shuffles each split.

    A file is often sorted, by time for instance, and a training that meets the rows in that order
    forgets the first ones. TFX's ExampleGen shuffles by Beam's `Reshuffle`, which keeps the order
    on the engine that runs in the process.

    Args:
        splits: Rows by the name of their split.

    Returns:
        The rows, serialized.
    """
    return {name: rows | f"Shuffle[{name}]" >> _Shuffle() for name, rows in splits.items()}


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
