"""Finds what is wrong with TFRecord files of tf.Example before TFX reads them."""

from __future__ import annotations

import gzip
import itertools
import math
import os
import zlib
from collections.abc import Collection, Iterator, Sequence

import tensorflow as tf

from pcgrad_tfx.config.dialect import PLAIN, Dialect
from pcgrad_tfx.config.splitting import BY_HASH, Splitting
from pcgrad_tfx.data.example_files import read_to_the_end
from pcgrad_tfx.data.reading.tables import find_files, refuse_dialect
from pcgrad_tfx.data.reading.text_files import unreadable
from pcgrad_tfx.data.row_checks import MIN_ROWS, DataSummary, RowChecks, check_columns
from pcgrad_tfx.data.row_sample import RowSample
from pcgrad_tfx.data.split_checks import SplitChecks
from pcgrad_tfx.data.truth_values import is_truth_word
from pcgrad_tfx.errors import DataError, shown

# The columns are those of the first records; of one alone some may be missing.
_FIRST_RECORDS = 1000

# A record's length and two checksums.
_FRAME_BYTES = 16


def check_tfrecord(
    input_base: str,
    pattern: str,
    *,
    required: Collection[str] = (),
    numeric: Collection[str] = (),
    missing: Collection[str] = (),
    dialect: Dialect = PLAIN,
    splitting: Splitting = BY_HASH,
    min_rows: int = MIN_ROWS,
    sample: RowSample | None = None,
) -> DataSummary:
    """Reads TFRecord files of tf.Example once and refuses what TFX would get wrong.

    A file whose name ends in `.gz` is unpacked, as TFX's ImportExampleGen does.

    Args:
        input_base: Folder of the files, on any file system that TFX can open.
        pattern: Name or glob pattern of the files in it.
        required: Features that must exist and have a value in some record.
        numeric: Features that must exist and hold nothing but finite numbers.
        missing: Must be empty: in a tf.Example a missing value is left out.
        dialect: Must be plain: a tf.Example has none.
        splitting: How the records are to be split; its features must exist, too.
        min_rows: Smallest number of records, of all files together.
        sample: Is given every record on the way, as texts.

    Returns:
        What was read; the columns in alphabetical order.

    Raises:
        DataError: On the first fault, in one line: file, record and feature where there is one,
            and the remedy.
    """
    if missing:
        raise DataError(
            f"{input_base}: `missing` is for CSV files; leave missing values out of the examples"
        )
    refuse_dialect(input_base, dialect)
    files = find_files(input_base, pattern, "TFRecord")
    numeric = set(numeric)
    required = {*required, *numeric, *splitting.columns}
    columns = tfrecord_columns(files)
    check_columns(files[0], columns, sorted(required))
    checks = RowChecks(columns, required, numeric)
    texts: set[str] = set()
    split_checks = SplitChecks(splitting, columns, texts)
    kinds: dict[str, str] = {}
    for file in files:
        for number, example in _examples(file):
            where = f"{file}: record {number}"
            cells = [
                _cell(where, example, name, name in numeric, name in required) for name in columns
            ]
            checks.add(where, cells)
            for name in splitting.columns:
                _check_kind(where, example, name, kinds)
            split_checks.add(where, cells)
            texts.update(name for name in columns if _kind(example, name) == "bytes_list")
            if sample is not None:
                sample.add(columns, cells)
    pattern = os.path.join(input_base, pattern)
    checks.finish(pattern, min_rows)
    return DataSummary(
        tuple(files),
        tuple(columns),
        checks.rows,
        frozenset(texts),
        splits=split_checks.finish(pattern),
    )


def tfrecord_columns(files: Sequence[str]) -> list[str]:
    """The names of the features in the first records, sorted.

    Raises:
        DataError: The first file cannot be read.
    """
    examples = itertools.islice(
        (example for file in files for _, example in _examples(file)), _FIRST_RECORDS
    )
    return sorted({name for example in examples for name in example.features.feature})


def _examples(file: str) -> Iterator[tuple[int, tf.train.Example]]:
    compression = "GZIP" if file.endswith(".gz") else ""
    try:
        if compression:
            read_to_the_end(file)
        size = 0
        records = tf.data.TFRecordDataset(file, compression).as_numpy_iterator()
        for number, record in enumerate(records, start=1):
            size += len(record) + _FRAME_BYTES
            try:
                yield number, tf.train.Example.FromString(record)
            except Exception as error:  # protobuf's, which differ between its versions
                raise DataError(
                    f"{file}: record {number}: no tf.train.Example; write the rows as examples"
                ) from error
        if not compression and size != tf.io.gfile.stat(file).length:
            raise EOFError("the last record is cut off")
    except (EOFError, gzip.BadGzipFile, zlib.error, tf.errors.DataLossError) as error:
        hint = "" if compression else " (if it is compressed, its name must end in .gz)"
        raise unreadable(file, error, f"copy it again, or write it anew{hint}") from error
    except (OSError, tf.errors.OpError) as error:
        raise unreadable(file, error) from error


def _cell(where: str, example: tf.train.Example, name: str, is_number: bool, is_used: bool) -> str:
    """A feature as a text, empty where it is missing."""
    kind = _kind(example, name)
    if kind is None:
        return ""
    values = getattr(example.features.feature[name], kind).value
    if len(values) > 1:
        if is_used:
            raise DataError(
                f"{where}: column {shown(name)}: {len(values)} values in one row; only one can be "
                "used"
            )
        return ""
    if not values:
        return ""
    if kind != "bytes_list":
        # Transform takes NaN for a missing value.
        return "" if math.isnan(values[0]) else repr(values[0])
    text = values[0].decode("utf-8", errors="replace")
    if is_number and text and not is_truth_word(text):
        raise DataError(
            f"{where}: column {shown(name)}: a text (bytes_list) is not a number; write it as a "
            "float_list or int64_list"
        )
    return text


def _check_kind(where: str, example: tf.train.Example, name: str, kinds: dict[str, str]) -> None:
    """Refuses 7 beside "7" in a column that says where a row comes: TFX tells them apart."""
    kind = _kind(example, name)
    if kind is None or not getattr(example.features.feature[name], kind).value:
        return
    if (first := kinds.setdefault(name, kind)) != kind:
        raise DataError(
            f"{where}: column {shown(name)}: held as {kind}, but as {first} in records "
            "before; equal values would come into different splits; write all in one way"
        )


def _kind(example: tf.train.Example, name: str) -> str | None:
    """Which list a feature holds, None where it is missing."""
    feature = example.features.feature.get(name)
    return None if feature is None else feature.WhichOneof("kind")
