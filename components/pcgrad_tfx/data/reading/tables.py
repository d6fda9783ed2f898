"""Finds files of rows, and opens one by the ending of its name."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection

import tensorflow as tf

from pcgrad_tfx.config.dialect import PLAIN, Dialect
from pcgrad_tfx.data.reading.csv_files import CSV_ENDINGS, CsvFile
from pcgrad_tfx.data.reading.queries import QueryTable
from pcgrad_tfx.data.reading.text_files import unreadable
from pcgrad_tfx.data.reading.typed_files import TYPED_ENDINGS, TypedFile
from pcgrad_tfx.errors import DataError

TABLE_ENDINGS = CSV_ENDINGS + TYPED_ENDINGS


def find_files(input_base: str, pattern: str, kind: str = "CSV") -> list[str]:
    """Finds the files that ExampleGen would read.

    Args:
        input_base: Folder of the files, on any file system that TFX can open.
        pattern: Name or glob pattern of the files in it.
        kind: What they should hold, for the message.

    Returns:
        Their paths, sorted; at least one.

    Raises:
        DataError: There is none, or one cannot be opened as a file.
    """
    gfile = tf.io.gfile
    where = os.path.join(input_base, pattern)
    try:
        files = sorted(gfile.glob(where))
    except tf.errors.OpError as error:
        raise unreadable(where, error) from error
    for file in files:
        if gfile.isdir(file):
            raise DataError(f"{file}: a folder, but a {kind} file is needed; rename or move it")
    if files:
        return files
    if gfile.exists(where) or {*"*?["} & {*input_base}:
        raise DataError(f"{where}: TFX takes '*', '?' and '[' in a path for wildcards; rename it")
    if not gfile.isdir(input_base):
        if gfile.exists(input_base):
            raise DataError(
                f"{input_base}: not a .{kind.lower()} file; rename it if it holds {kind}"
            )
        raise DataError(f"{input_base}: no such folder; correct the path")
    near = difflib.get_close_matches(pattern, gfile.listdir(input_base), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "; correct the path or put the data there"
    raise DataError(f"{input_base}: no file {pattern!r} in this folder{hint}")


def find_tables(input_base: str, pattern: str, dialect: Dialect) -> list[str]:
    """Finds what `open_table` can open: files, or the files of a query, together.

    Args:
        input_base: Folder of the files, on any file system that TFX can open.
        pattern: Name or glob pattern of the files in it.
        dialect: How they are read.

    Raises:
        DataError: There is no file, or one cannot be opened as a file.
    """
    if dialect.sql:
        return [os.path.join(input_base, pattern)]
    return find_files(input_base, pattern)


def open_table(
    path: str, dialect: Dialect = PLAIN, missing: Collection[str] = ()
) -> CsvFile | TypedFile:
    """Opens a file with types if its name ends so, else a CSV file; or the rows of a query.

    Args:
        path: The file, on any file system that TFX can open; of a query a pattern of files.
        dialect: How a CSV file is written, or the query.
        missing: Texts that stand for a missing value, besides the empty one.

    Raises:
        DataError: A dialect is given for another file than CSV.
    """
    if dialect.sql:
        files = find_files(*os.path.split(path), "data")
        return QueryTable(path, files, dialect.sql, missing)
    if not path.endswith(TYPED_ENDINGS):
        return CsvFile(path, dialect, missing)
    refuse_dialect(path, dialect)
    return TypedFile(path, missing)


def refuse_dialect(where: str, dialect: Dialect) -> None:
    """Raises DataError if a dialect, which is for CSV files, is not the plain one."""
    if keys := sorted(dialect.model_dump(exclude_defaults=True)):
        raise DataError(f"{where}: `{keys[0]}` is for CSV files; remove it")
