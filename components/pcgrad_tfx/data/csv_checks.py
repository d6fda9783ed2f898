"""Finds what is wrong with files of rows, CSV and others, before TFX reads them.

TFX takes anything that looks like a table: a word among the numbers makes the column text, `nan`
becomes a number. What follows fails far from the cause, or trains on it. `check_csv` reads a file
exactly as it will be read (same header, same records, same conversions) and refuses what would go
wrong, with one line for the person who owns the data.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence

from pcgrad_tfx.config.dialect import PLAIN, Dialect
from pcgrad_tfx.config.splitting import BY_HASH, Splitting
from pcgrad_tfx.data.reading.csv_files import CsvFile
from pcgrad_tfx.data.reading.number_formats import MarkChecks
from pcgrad_tfx.data.reading.tables import TABLE_ENDINGS, find_tables, open_table
from pcgrad_tfx.data.row_checks import MIN_ROWS, DataSummary, RowChecks, check_columns
from pcgrad_tfx.data.row_sample import RowSample
from pcgrad_tfx.data.split_checks import SplitChecks
from pcgrad_tfx.errors import DataError, shown


def csv_location(path: str, dialect: Dialect = PLAIN) -> tuple[str, str]:
    """Splits a path into folder and file pattern, by its name alone: it need not be reachable.

    Args:
        path: A file, or a pattern of them, if it ends as one of `TABLE_ENDINGS`, else a folder of
            `.csv` files. For a query: a file or a pattern if it has an ending, else a folder.
        dialect: How the files are read.

    Returns:
        `(input_base, pattern)`, as `check_csv` and ExampleGen take them.
    """
    folder, name = os.path.split(path)
    if dialect.sql:
        return (folder or ".", name) if "." in name or "*" in name else (path, "*")
    return (folder or ".", name) if name.endswith(TABLE_ENDINGS) else (path, "*.csv")


def check_csv(
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
    """Reads files once, row by row, and refuses what TFX would get wrong.

    Args:
        input_base: Folder of the files, on any file system that TFX can open.
        pattern: Name or glob pattern of the files in it.
        required: Columns that must exist and have a value in some row.
        numeric: Columns that must exist and hold nothing but numbers and empty cells.
        missing: Texts that stand for a missing value, besides the empty one.
        dialect: How CSV files are written.
        splitting: How the rows are to be split; its columns must exist, too.
        min_rows: Smallest number of data rows, of all files together.
        sample: Is given every row on the way.

    Returns:
        What was read.

    Raises:
        DataError: On the first fault, in one line: file, line and column where there is one, and
            the remedy.
    """
    files = [
        open_table(file, dialect, missing) for file in find_tables(input_base, pattern, dialect)
    ]
    first, columns = files[0].path, files[0].columns
    required = sorted({*required, *numeric, *splitting.columns})
    check_columns(files[0].place(1), columns, required)
    texts = files[0].text_columns
    for file in files[1:]:
        if file.columns != columns:
            raise DataError(
                f"{file.place(1)}: the header differs from that of {first} "
                f"({_first_difference(columns, file.columns)}); give all files the same columns in "
                "the same order"
            )
        texts |= file.text_columns
    checks = RowChecks(columns, required, numeric, {*required} - {*numeric} - texts, texts)
    marks = MarkChecks(dialect, columns, numeric)
    split_checks = SplitChecks(splitting, columns, texts)
    for file in files:
        for line, cells in file.rows():
            where = file.place(line)
            if isinstance(file, CsvFile):
                marks.add(where, file.written)
            checks.add(where, cells)
            split_checks.add(where, cells)
            if sample is not None:
                sample.add(columns, cells)
    where = os.path.join(input_base, pattern)
    checks.finish(where, min_rows)
    return DataSummary(
        tuple(file.path for file in files),
        tuple(columns),
        checks.rows,
        texts,
        repeated_headers=sum(file.repeated_headers for file in files),
        splits=split_checks.finish(where),
    )


def _first_difference(columns: Sequence[str], other: Sequence[str]) -> str:
    for position, (here, there) in enumerate(zip(columns, other, strict=False), start=1):
        if here != there:
            return f"column {position} is {shown(there)} instead of {shown(here)}"
    return f"{len(other)} columns instead of {len(columns)}"
