"""Reads CSV files as ExampleGen does: the first line is the header, records may hold line breaks.

The checks and our CsvExampleGen read with the same functions, so what is checked is what is
generated. A file whose name ends in `.gz` is unpacked on the way.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import gzip
import os
import zlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import tensorflow as tf

from pcgrad_tfx.errors import DataError, shown

CSV_ENDINGS = (".csv", ".csv.gz")

_OTHER_SEPARATORS = {";": "';'", "\t": "a tab", "|": "'|'"}


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


def read_header(file: str) -> list[str]:
    """Reads the names of the columns: the first line, cut at the commas.

    Raises:
        DataError: The file cannot be read, or its first line is no header.
    """
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
    seen: set[str] = set()
    for position, name in enumerate(columns, start=1):
        if not name.strip():
            raise DataError(
                f"{file}:1: column {position} of {len(columns)} has no name; name or remove it"
            )
        if name in seen:
            raise DataError(
                f"{file}:1: column {shown(name)}: stands twice in the header; rename one"
            )
        seen.add(name)
    return columns


def read_rows(
    file: str, columns: Sequence[str], missing: Collection[str] = ()
) -> Iterator[tuple[int, list[str]]]:
    """Reads the rows below the header.

    Args:
        file: The file.
        columns: The names in its header.
        missing: Texts that stand for a missing value, besides the empty one.

    Yields:
        The number of a row's first line, and its cells, one for each column; empty where the value
        is missing.

    Raises:
        DataError: The file cannot be read, or a row has another number of cells.
    """
    for line, record in _records(file):
        try:
            # TFX parses record by record too. `strict`, because it would guess at stray quotes.
            cells = next(csv.reader([record], strict=True))
        except csv.Error as error:
            if "field limit" in str(error):
                raise DataError(
                    f"{file}:{line}: a cell of more than {csv.field_size_limit():,} characters; "
                    'shorten it, or close a quote (") that was left open'
                ) from error
            reason = str(error).partition(" - ")[0]  # Without advice for programmers.
            raise DataError(
                f"{file}:{line}: cannot be read as CSV ({reason}); put a cell with quotes, commas "
                "or line breaks in double quotes, and double the quotes in it"
            ) from error
        if not cells:  # TFX skips blank lines.
            continue
        if len(cells) != len(columns):
            raise DataError(
                f"{file}:{line}: a row of length {len(cells)} below {len(columns)} column names; "
                "complete the row, or put a text with commas in double quotes"
            )
        if missing:
            cells = ["" if cell.strip() in missing else cell for cell in cells]
        yield line, cells


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
            f"{file}:{line}: byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8 "
            "(if it is compressed, name it .csv.gz)"
        ) from error


def _lines(file: str) -> Iterator[bytes]:
    try:
        with tf.io.gfile.GFile(file, "rb") as raw:
            stream: Any = gzip.GzipFile(fileobj=raw) if file.endswith(".gz") else raw
            # In pieces, because GFile's own lines have lost their carriage returns.
            rest = b""
            while piece := stream.read(1 << 20):
                *lines, rest = (rest + piece).split(b"\n")
                yield from (line + b"\n" for line in lines)
            if rest:
                yield rest
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{file}: no whole gzip file ({error}); copy it again, or compress it again"
        ) from error
    except (OSError, tf.errors.OpError) as error:
        raise unreadable(file, error) from error


def unreadable(
    path: str, error: Exception, remedy: str = "correct the path or the access rights"
) -> DataError:
    """The error for a file or folder that cannot be read."""
    # Without the node of the graph, which TensorFlow names first.
    reason = str(error).splitlines()[0].rpartition("}} ")[2]
    return DataError(f"{path}: cannot be read ({reason}); {remedy}")
