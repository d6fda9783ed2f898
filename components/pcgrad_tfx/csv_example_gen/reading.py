"""How the executor reads: as the checks do, and with the types that TFX infers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import apache_beam as beam
import tensorflow as tf
from tfx.types import standard_component_specs
from tfx_bsl.coders import csv_decoder

from pcgrad_tfx.csv_reading import find_files, read_header, read_rows


@beam.typehints.with_input_types(beam.Pipeline)
@beam.typehints.with_output_types(tf.train.Example)
class ReadCsv(beam.PTransform):
    """Reads the CSV files of one input split into examples.

    TFX's own transform, but for the reading: files may be compressed, and texts other than the
    empty one may stand for a missing value. As there, a file is read in one piece, because records
    may hold line breaks, and the type of a column is inferred from all rows.

    Args:
        exec_properties: ExampleGen's; `input_base` is the folder.
        split_pattern: Which files to read in it.
        missing: Texts that stand for a missing value.
    """

    def __init__(
        self, exec_properties: dict[str, Any], split_pattern: str, missing: Collection[str]
    ) -> None:
        super().__init__()
        self._input_base = exec_properties[standard_component_specs.INPUT_BASE_KEY]
        self._split_pattern = split_pattern
        self._missing = frozenset(missing)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Adds the steps to a Beam pipeline."""
        files = find_files(self._input_base, self._split_pattern)
        columns = read_header(files[0])
        rows = (
            pipeline
            | "Files" >> beam.Create(files)
            | "Rows"
            >> beam.FlatMap(_read_cells, columns, self._missing).with_output_types(list[bytes])
        )
        inferrer = csv_decoder.ColumnTypeInferrer(columns, skip_blank_lines=True)
        infos = beam.pvalue.AsSingleton(rows | "Types" >> beam.CombineGlobally(inferrer))
        return rows | "Examples" >> beam.Map(_to_example, infos)


def _read_cells(
    file: str, columns: Sequence[str], missing: Collection[str]
) -> Iterator[list[bytes]]:
    for _, cells in read_rows(file, columns, missing):
        yield [cell.encode() for cell in cells]


def _to_example(cells: list[bytes], infos: list[csv_decoder.ColumnInfo]) -> tf.train.Example:
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
