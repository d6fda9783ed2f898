"""Finds what is wrong with CSV files before TFX reads them.

TFX takes anything that looks like a table: a word among the numbers makes the column text, `nan`
becomes a number, another separator makes one column of all. What follows fails far from the cause,
or trains on it. `check_csv` reads a file exactly as TFX will (same header, same records, same
conversions) and refuses what would go wrong, with one line for the person who owns the data.
"""

from __future__ import annotations

import codecs
import csv
import dataclasses
import difflib
import os
import reprlib
import textwrap
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import tensorflow as tf

from pcgrad_tfx.errors import DataError

# With 100 rows split 8:1:1 by hash, a split stays empty in 1 case of 19,000 (2 · 0.9^100).
MIN_ROWS = 100

_INT64 = np.iinfo(np.int64)
_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
_OTHER_SEPARATORS = {";": "';'", "\t": "a tab", "|": "'|'"}


@dataclasses.dataclass(frozen=True)
class CsvSummary:
    """What `check_csv` has read.

    Attributes:
        files: Paths of the files, sorted.
        columns: Names of the columns, in the order of the header.
        rows: Number of data rows in all files together.
    """

    files: tuple[str, ...]
    columns: tuple[str, ...]
    rows: int


def csv_location(path: str) -> tuple[str, str]:
    """Splits a path into folder and file pattern, by its name alone: it need not be reachable.

    Args:
        path: A file if it ends in `.csv`, else a folder.

    Returns:
        `(input_base, pattern)`, as `check_csv` and ExampleGen take them.
    """
    folder, name = os.path.split(path)
    return (folder or ".", name) if name.endswith(".csv") else (path, "*.csv")


def check_csv(
    input_base: str,
    pattern: str,
    *,
    required: Collection[str] = (),
    numeric: Collection[str] = (),
    min_rows: int = MIN_ROWS,
) -> CsvSummary:
    """Reads CSV files once, record by record, and refuses what TFX would get wrong.

    Args:
        input_base: Folder of the files, on any file system that TFX can open.
        pattern: Name or glob pattern of the files in it.
        required: Columns that must exist and have a value in some row.
        numeric: Columns that must exist and hold nothing but numbers and empty cells.
        min_rows: Smallest number of data rows, of all files together.

    Returns:
        What was read.

    Raises:
        DataError: On the first fault, in one line: file, line and column where there is one, and
            the remedy.
    """
    files = _find_files(input_base, pattern)
    columns = _read_header(files[0])
    required = sorted({*required, *numeric})
    _check_columns(files[0], columns, required)
    for file in files[1:]:
        if (other := _read_header(file)) != columns:
            raise DataError(
                f"{file}:1: the header differs from that of {files[0]} "
                f"({_first_difference(columns, other)}); give all files the same columns in the "
                "same order"
            )

    rows = 0
    empty = set(required)
    for file in files:
        rows += _check_rows(file, columns, numeric, empty)
    where = os.path.join(input_base, pattern)
    if rows == 0:
        raise DataError(f"{where}: a header without data rows; add the rows")
    if empty:
        raise DataError(
            f"{where}: column {min(empty)!r}: empty in every row; fill it, or do not use it"
        )
    if rows < min_rows:
        raise DataError(
            f"{where}: too few data rows ({rows}) to be split for training and evaluation; "
            f"at least {min_rows} are needed"
        )
    return CsvSummary(tuple(files), tuple(columns), rows)


def _find_files(input_base: str, pattern: str) -> list[str]:
    gfile = tf.io.gfile
    where = os.path.join(input_base, pattern)
    try:
        files = sorted(gfile.glob(where))
    except tf.errors.OpError as error:
        raise _unreadable(where, error) from error
    for file in files:
        if gfile.isdir(file):
            raise DataError(f"{file}: a folder, but a CSV file is needed; rename or move it")
    if files:
        return files
    if gfile.exists(where) or {*"*?["} & {*input_base}:
        raise DataError(f"{where}: TFX takes '*', '?' and '[' in a path for wildcards; rename it")
    if not gfile.isdir(input_base):
        if gfile.exists(input_base):
            raise DataError(f"{input_base}: not a .csv file; rename it if it holds CSV")
        raise DataError(f"{input_base}: no such folder; correct the path")
    near = difflib.get_close_matches(pattern, gfile.listdir(input_base), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "; correct the path or put the data there"
    raise DataError(f"{input_base}: no file {pattern!r} in this folder{hint}")


def _read_header(file: str) -> list[str]:
    """Names of the columns, as TFX reads them: the first line, cut at the commas."""
    first = next(_lines(file), b"")
    if not first:
        raise DataError(f"{file}: the file is empty; it needs a header line and data rows")
    # TFX would make the mark a part of the first column's name.
    if first.startswith(codecs.BOM_UTF8):
        raise DataError(
            f"{file}:1: starts with a UTF-8 byte order mark; save it as UTF-8 without BOM"
        )
    header = _text(file, 1, first).strip()
    if "\r" in header:
        raise DataError(f"{file}:1: the lines end in a bare carriage return; save it with LF")
    columns = header.split(",")
    if len(columns) == 1:
        for separator, name in _OTHER_SEPARATORS.items():
            if separator in header:
                raise DataError(
                    f"{file}:1: the columns are separated by {name}; save the file with commas "
                    "between the columns and a point in decimal numbers"
                )
    if '"' in header:
        raise DataError(
            f"{file}:1: TFX takes the quotes in the header for a part of the columns' names; "
            "write the names without quotes"
        )
    for position, name in enumerate(columns, start=1):
        if not name.strip():
            raise DataError(
                f"{file}:1: column {position} of {len(columns)} has no name; name or remove it"
            )
        if name in columns[: position - 1]:
            raise DataError(f"{file}:1: column {name!r}: stands twice in the header; rename one")
    return columns


def _check_columns(file: str, columns: Sequence[str], required: Collection[str]) -> None:
    hints = []
    for name in required:
        if name not in columns:
            near = [column for column in columns if column.strip().lower() == name.lower()]
            near = near or difflib.get_close_matches(name, columns, n=1)
            hints.append(f"{name!r} (did you mean {near[0]!r}?)" if near else f"{name!r}")
    if hints:
        raise DataError(
            f"{file}:1: no column {', '.join(hints)}; add it or correct the name; the file has "
            f"{textwrap.shorten(', '.join(columns), 300, placeholder=' …')}"
        )


def _first_difference(columns: Sequence[str], other: Sequence[str]) -> str:
    for position, (here, there) in enumerate(zip(columns, other, strict=False), start=1):
        if here != there:
            return f"column {position} is {there!r} instead of {here!r}"
    return f"{len(other)} columns instead of {len(columns)}"


def _check_rows(
    file: str, columns: Sequence[str], numeric: Collection[str], empty: set[str]
) -> int:
    """Checks the rows of a file and takes the columns that have a value out of `empty`."""
    numeric_positions = [columns.index(name) for name in numeric]
    rows = 0
    for line, record in _records(file):
        try:
            # TFX parses record by record too. `strict`, because it would guess at stray quotes.
            cells = next(csv.reader([record], strict=True))
        except csv.Error as error:
            raise DataError(
                f"{file}:{line}: cannot be read as CSV ({error}); put a cell with quotes, commas "
                "or line breaks in double quotes, and double the quotes in it"
            ) from error
        if not cells:  # TFX skips blank lines.
            continue
        rows += 1
        if len(cells) != len(columns):
            raise DataError(
                f"{file}:{line}: a row of length {len(cells)} below {len(columns)} column names; "
                "complete the row, or put a text with commas in double quotes"
            )
        for position in numeric_positions:
            if (cell := cells[position]) and (fault := _number_fault(cell.encode())):
                raise DataError(
                    f"{file}:{line}: column {columns[position]!r}: {reprlib.repr(cell)} {fault}"
                )
        if empty:
            empty.difference_update(name for name, cell in zip(columns, cells, strict=True) if cell)
    return rows


def _number_fault(cell: bytes) -> str | None:
    """What keeps TFX from reading a cell as a usable number, if anything."""
    try:
        value = float(cell)
    except ValueError:
        return "is not a number; correct it, or leave the cell empty if the value is missing"
    if _INT64.min < value < _INT64.max:
        return None
    if not abs(value) <= _LARGEST_FLOAT32:  # True for nan too.
        return "is not a finite 32-bit number; leave the cell empty if the value is missing"
    try:
        integer = int(cell)
    except ValueError:
        return None
    if _INT64.min <= integer <= _INT64.max:
        return None
    return "is too large for a 64-bit integer; write it as a decimal number, like 1.5e19"


def _records(file: str) -> Iterator[tuple[int, str]]:
    """Records below the header with their first lines' numbers; quotes that are even end one."""
    parts: list[str] = []
    start = quotes = 0
    for line, raw in enumerate(_lines(file), start=1):
        if line == 1:
            continue
        text = _text(file, line, raw)
        if not parts:
            start = line
        parts.append(text)
        quotes += text.count('"')
        if quotes % 2 == 0:
            yield start, "".join(parts)
            parts.clear()
            quotes = 0
    if parts:
        raise DataError(f'{file}:{start}: a quote (") opens here and never closes; close it')


def _text(file: str, line: int, raw: bytes) -> str:
    if b"\0" in raw:
        raise DataError(
            f"{file}:{line}: holds a NUL byte; save the file as plain UTF-8 text, not UTF-16"
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}:{line}: byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8, "
            "uncompressed"
        ) from error


def _lines(file: str) -> Iterator[bytes]:
    try:
        with tf.io.gfile.GFile(file, "rb") as stream:
            # In pieces, because GFile's own lines have lost their carriage returns.
            rest = b""
            while piece := stream.read(1 << 20):
                *lines, rest = (rest + piece).split(b"\n")
                yield from (line + b"\n" for line in lines)
            if rest:
                yield rest
    except (OSError, tf.errors.OpError) as error:
        raise _unreadable(file, error) from error


def _unreadable(path: str, error: Exception) -> DataError:
    reason = str(error).splitlines()[0]
    return DataError(f"{path}: cannot be read ({reason}); correct the path or the access rights")
