"""Finds out how CSV files are written."""

from __future__ import annotations

import codecs
import contextlib
import itertools
import os
import re
import tempfile
from collections.abc import Iterator, Sequence

import duckdb

from pcgrad_tfx.config.dialect import PLAIN, Dialect
from pcgrad_tfx.data.reading.csv_files import CsvFile
from pcgrad_tfx.data.reading.database import connect
from pcgrad_tfx.data.reading.text_files import Utf8Count, open_bytes, read_lines
from pcgrad_tfx.data.row_checks import number_fault
from pcgrad_tfx.errors import DataError

_BUFFER_BYTES = 1 << 20
_FIRST_LINES = 10_000
_FIRST_ROWS = 100

# As $1,234.50 or 12%.
_MARKED_NUMBER = re.compile(r"[+$€£¥₹-]*\s?\d[\d.,' ]*\s?[$€£¥₹%]?")

_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def find_dialect(files: Sequence[str]) -> Dialect:
    """Finds separator, quote, encoding and lines above the table of files that are written alike.

    Whether there is a header, `lacks_header` judges; how numbers are written,
    `pcgrad_tfx.data.reading.number_formats.find_number_format`.

    Args:
        files: Paths, at least one. The encoding is found in all bytes of all of them, the rest in
            the first lines of the first one.

    Raises:
        DataError: A file cannot be read, or is in another encoding than the first one.
    """
    file, encoding = files[0], _common_encoding(files)
    with _first_lines(file, encoding) as sample:
        dialect = _sniff(sample, encoding)
        if not _is_table(file, dialect):
            # Where a row is longer than others, DuckDB takes the separator for none.
            dialect = _sniff(sample, encoding, "sample_size = -1, ignore_errors = true")
    if not _are_above(file, dialect):
        dialect = dialect.model_copy(update={"skip": 0})
    aligned = dialect.model_copy(update={"separator": " "})
    # DuckDB does not look for columns that are aligned by spaces.
    if _has_aligned_cells(file, dialect) and _is_table(file, aligned):
        return aligned
    return dialect


def lacks_header(file: str, dialect: Dialect) -> bool:
    """Whether the first line of a file looks like data.

    That is one with a number that is not one of a series (as of years), or in which most names are
    missing or occur twice.
    """
    columns = CsvFile(file, dialect.model_copy(update={"header": True})).columns
    first = CsvFile(file, dialect.model_copy(update={"header": False}))
    _, cells = next(first.rows())
    if any(_MARKED_NUMBER.fullmatch(cell) and number_fault(cell) for cell in cells):
        return True
    numbers = [float(cell) for cell in cells if cell and not number_fault(cell)]
    steps = {after - before for before, after in itertools.pairwise(numbers)}
    is_series = len(numbers) > 2 and len(steps) == 1 and steps != {0.0}
    repeated = len(set(columns) - set(cells))
    return bool(numbers and not is_series) or 2 * repeated > len(columns)


def _common_encoding(files: Sequence[str]) -> str:
    encodings = {file: _encoding(file) for file in files}
    # ASCII is a part of all of them.
    found = {encoding: file for file, encoding in encodings.items() if encoding != "ascii"}
    if len(found) > 1:
        (one, file), (other, second), *_ = found.items()
        raise DataError(
            f"{second}: is {other}, but {file} is {one}; save all files in the same encoding"
        )
    return next(iter(found), PLAIN.encoding)


def _encoding(file: str) -> str:
    """The encoding of a file: UTF-8 if most of what is not ASCII is, else one of the West's.

    Where a few bytes are not UTF-8, they are damaged, and reading the file tells their line.
    """
    with open_bytes(file) as stream:
        piece = stream.read(_BUFFER_BYTES)
        for mark, encoding in _MARKS.items():
            if piece.startswith(mark):
                return encoding
        zeros = [piece[place:1000:2].count(0) for place in (0, 1)]
        if max(zeros) > len(piece[:1000]) / 4:
            return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
        left = {name: codecs.getincrementaldecoder(name)() for name in ("ascii", "utf-8", "cp1252")}
        universal = Utf8Count()
        while piece:
            universal.add(piece)
            for name, decoder in [*left.items()]:
                try:
                    decoder.decode(piece)
                except UnicodeDecodeError:
                    del left[name]
            piece = stream.read(_BUFFER_BYTES)
    if universal.is_likely:
        return "utf-8"
    for name, decoder in left.items():
        with contextlib.suppress(UnicodeDecodeError):
            decoder.decode(b"", final=True)
            return name
    return "latin-1"


@contextlib.contextmanager
def _first_lines(file: str, encoding: str) -> Iterator[str]:
    """A file with the first lines of another one, in UTF-8."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "sample.csv")
        with open(path, "w", encoding="utf-8", newline="") as sample:
            sample.writelines(itertools.islice(read_lines(file, encoding), _FIRST_LINES))
        yield path


def _sniff(path: str, encoding: str, options: str = "sample_size = -1") -> Dialect:
    """What DuckDB finds in a file."""
    query = f"SELECT Delimiter, Quote, SkipRows FROM sniff_csv(?, {options})"
    with connect(path) as connection:
        try:
            found = connection.execute(query, [path]).fetchone()
        except duckdb.Error:
            # What is wrong with the file, reading it will tell.
            found = None
    separator, quote, skip = found or (PLAIN.separator, PLAIN.quote, 0)
    # Without any quote in the sample there may be some below.
    quote = quote if quote == "'" else PLAIN.quote
    return Dialect(separator=separator, quote=quote, encoding=encoding, skip=skip)


def _are_above(file: str, dialect: Dialect) -> bool:
    """Whether the lines that a dialect skips stand above the table.

    Each is Excel's `sep=;` or has half as many cells as a row; a header that lacks a name has more.
    """
    skipped = itertools.islice(read_lines(file, dialect.encoding), dialect.skip)
    lines = [line for line in skipped if line.strip()]
    rows = _first_rows(file, dialect)
    return bool(lines and rows) and all(
        line.startswith("sep=") or 2 * (line.count(dialect.separator) + 1) <= len(rows[0])
        for line in lines
    )


def _has_aligned_cells(file: str, dialect: Dialect) -> bool:
    """Whether the first rows are of one cell, or each has a cell with several spaces on end."""
    rows = _first_rows(file, dialect)
    return all(len(cells) == 1 or any("  " in cell for cell in cells) for cells in rows)


def _is_table(file: str, dialect: Dialect) -> bool:
    """Whether the first rows have several cells, all as many."""
    rows = _first_rows(file, dialect)
    return bool(rows) and len(rows[0]) > 1


def _first_rows(file: str, dialect: Dialect) -> list[list[str]]:
    """The first rows; none if they are of different lengths."""
    try:
        return [cells for _, cells in itertools.islice(CsvFile(file, dialect).rows(), _FIRST_ROWS)]
    except DataError:
        return []
