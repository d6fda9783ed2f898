"""Reads files of rows into examples: as the checks read them, with the types that TFX infers."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import apache_beam as beam
import tensorflow as tf
from tfx import v1 as tfx
from tfx.types import standard_component_specs
from tfx.utils import proto_utils
from tfx_bsl.coders import csv_decoder

from pcgrad_tfx.config.dialect import Dialect
from pcgrad_tfx.data.reading.tables import find_tables, open_table


@beam.typehints.with_input_types(beam.Pipeline)
@beam.typehints.with_output_types(tf.train.Example)
class ReadCsv(beam.PTransform):
    """Reads the files of one input split into examples.

    TFX's own transform, but for the reading: files may be CSV of another dialect, Parquet or JSON
    lines, and further texts may stand for a missing value. As there, a file is read in one piece,
    because records may hold line breaks, and the type of a column is inferred from all rows; unlike
    there, from the rows of all input splits: whole numbers in one may meet decimal ones in another.

    Args:
        exec_properties: ExampleGen's; `input_base` is the folder.
        split_pattern: Which files to read in it.
        missing: Texts that stand for a missing value.
        dialect: How the files are written.
    """

    def __init__(
        self,
        exec_properties: dict[str, Any],
        split_pattern: str,
        missing: Collection[str],
        dialect: Dialect,
    ) -> None:
        super().__init__()
        self._input_base = exec_properties[standard_component_specs.INPUT_BASE_KEY]
        self._split_pattern = split_pattern
        self._missing = frozenset(missing)
        self._dialect = dialect
        config = exec_properties[standard_component_specs.INPUT_CONFIG_KEY]
        patterns = {
            split.pattern for split in proto_utils.json_to_proto(config, tfx.proto.Input()).splits
        }
        self._other_patterns = sorted(patterns - {split_pattern})

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Adds the steps to a Beam pipeline."""
        files, others = self._find()
        inferrer = self._inferrer([*files, *others])
        read = beam.FlatMap(
            _read_cells, inferrer.columns, self._dialect, self._missing
        ).with_output_types(list[bytes])
        rows = typed = pipeline | "Files" >> beam.Create(files) | "Rows" >> read
        if others:
            more = pipeline | "Other files" >> beam.Create(others) | "Other rows" >> read
            typed = (rows, more) | "All rows" >> beam.Flatten()
        infos = beam.pvalue.AsSingleton(typed | "Types" >> beam.CombineGlobally(inferrer))
        return rows | "Examples" >> beam.Map(to_example, infos)

    def stream(self) -> Iterator[tf.train.Example]:
        """Reads the same examples in this process, one by one: the files are read twice."""
        files, others = self._find()
        inferrer = self._inferrer([*files, *others])
        found = inferrer.create_accumulator()
        for cells in self._cells([*files, *others], inferrer.columns):
            found = inferrer.add_input(found, cells)
        infos = inferrer.extract_output(found)
        for cells in self._cells(files, inferrer.columns):
            yield to_example(cells, infos)

    def _find(self) -> tuple[list[str], list[str]]:
        """The files of the split, and those of the others."""
        files, *others = (
            find_tables(self._input_base, pattern, self._dialect)
            for pattern in (self._split_pattern, *self._other_patterns)
        )
        return files, list(itertools.chain(*others))

    def _inferrer(self, files: Sequence[str]) -> ColumnTypeInferrer:
        columns = open_table(files[0], self._dialect).columns
        texts = (open_table(file, self._dialect).text_columns for file in files)
        return ColumnTypeInferrer(columns, frozenset().union(*texts))

    def _cells(self, files: Sequence[str], columns: Sequence[str]) -> Iterator[list[bytes]]:
        for file in files:
            yield from _read_cells(file, columns, self._dialect, self._missing)


class ColumnTypeInferrer(csv_decoder.ColumnTypeInferrer):
    """TFX's inference of the columns' types, for which 1_000 is a text, as it is for the checks.

    Args:
        columns: The columns' names.
        texts: Those that hold texts, even where these look like numbers.

    Attributes:
        columns: The columns' names.
    """

    def __init__(self, columns: Sequence[str], texts: Collection[str] = ()) -> None:
        super().__init__(columns, skip_blank_lines=True)
        self.columns = columns
        self._is_text = [name in texts for name in columns]

    def add_input(self, accumulator: Any, cells: list[bytes]) -> Any:
        """Takes a row."""
        seen = [
            b"_" if b"_" in cell or (is_text and cell) else cell
            for cell, is_text in zip(cells, self._is_text, strict=True)
        ]
        return super().add_input(accumulator, seen)


def _read_cells(
    path: str, columns: Sequence[str], dialect: Dialect, missing: Collection[str]
) -> Iterator[list[bytes]]:
    file = open_table(path, dialect, missing)
    own = file.columns
    # The columns of another split may come in another order.
    places = [own.index(name) if name in own else None for name in columns]
    for _, cells in file.rows():
        yield [b"" if place is None else cells[place].encode() for place in places]


def to_example(cells: list[bytes], infos: list[csv_decoder.ColumnInfo]) -> tf.train.Example:
    """Makes an example of a row's cells, with the types of the columns."""
    example = tf.train.Example()
    for cell, info in zip(cells, infos, strict=True):
        # A feature without a value says that the column exists.
        feature = example.features.feature[info.name]
        if info.type == csv_decoder.ColumnType.INT:
            feature.int64_list.value.extend([int(cell)] if cell else [])
        elif info.type == csv_decoder.ColumnType.FLOAT:
            feature.float_list.value.extend([float(cell)] if cell else [])
        elif info.type == csv_decoder.ColumnType.STRING:
            feature.bytes_list.value.extend([cell] if cell else [])
    return example
