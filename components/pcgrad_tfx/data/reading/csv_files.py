"""Reads CSV files of any dialect as ExampleGen does: records may hold line breaks.

The checks and our CsvExampleGen read with the same class, so what is checked is what is generated.
Spaces around names and cells do not count, blank lines neither, and a header that is repeated among
the rows, in a file put together from several, is left out.
"""

from __future__ import annotations

import csv
import functools
import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from pcgrad_tfx.config.dialect import PLAIN, Dialect
from pcgrad_tfx.data.reading.number_formats import normalizer
from pcgrad_tfx.data.reading.text_files import read_lines
from pcgrad_tfx.errors import DataError

CSV_ENDINGS = tuple(
    ending + packed
    for ending in (".csv", ".tsv", ".txt", ".data")
    for packed in ("", ".gz", ".zst")
)

_OTHER_SEPARATORS = {";": "';'", "\t": "a tab", "|": "'|'"}


class CsvFile:
    """A CSV file.

    Args:
        path: The file, on any file system that TFX can open.
        dialect: How it is written.
        missing: Texts that stand for a missing value, besides the empty one.

    Attributes:
        path: The file.
        repeated_headers: How many rows of those that `rows` has read repeat the header.
        text_columns: Columns that hold texts even where these look like numbers; there are none.
        written: The cells of the row that `rows` has yielded last, as they are in the file.
    """

    text_columns: frozenset[str] = frozenset()

    def __init__(self, path: str, dialect: Dialect = PLAIN, missing: Collection[str] = ()) -> None:
        self.path = path
        self.repeated_headers = 0
        self.written: Sequence[str] = ()
        self._dialect = dialect
        self._missing = {text.strip() for text in missing}
        self._normalize = normalizer(dialect)

    @functools.cached_property
    def columns(self) -> list[str]:
        """The columns' names; a column without one is `unnamed_` and its place.

        Raises:
            DataError: The file cannot be read, or has other separators.
        """
        line, names = self._first_record
        separator = self._dialect.separator
        if len(names) == 1:
            for other, name in _OTHER_SEPARATORS.items():
                if other in names[0] and other != separator:
                    raise DataError(
                        f"{self.place(line)}: the columns are separated by {name}; write "
                        f"separator = {_toml(other)} under [data] (`tfx-pcgrad init` finds how a "
                        "file is written)"
                    )
        if not self._dialect.header:
            return [f"column_{place}" for place in range(1, len(names) + 1)]
        return _told_apart([name or f"unnamed_{place}" for place, name in enumerate(names, 1)])

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Reads the rows.

        Yields:
            The number of a row's first line, and its cells, one for each column; empty where the
            value is missing.

        Raises:
            DataError: The file cannot be read, or a row has another number of cells.
        """
        columns, (_, header) = self.columns, self._first_record
        records = self._records()
        if self._dialect.header:
            next(records)
        for line, cells in records:
            if len(cells) != len(columns):
                raise DataError(
                    f"{self.path}:{line}: a row of length {len(cells)} below {len(columns)} column "
                    "names; complete the row, or put a text with separators in quotes"
                )
            if cells == header and self._dialect.header:
                self.repeated_headers += 1
                continue
            self.written = cells
            yield line, self._values(cells)

    def place(self, line: int) -> str:
        """Where a row stands, for messages."""
        return f"{self.path}:{line}"

    def _values(self, cells: list[str]) -> list[str]:
        if self._normalize is not None:
            cells = [cell if cell in self._missing else self._normalize(cell) for cell in cells]
        if self._missing:
            cells = ["" if cell in self._missing else cell for cell in cells]
        return cells

    @functools.cached_property
    def _first_record(self) -> tuple[int, list[str]]:
        first = next(self._records(), None)
        if first is None:
            raise DataError(f"{self.path}: the file is empty; it needs a header line and data rows")
        return first

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """All records, with the numbers of their first lines."""
        skip = self._dialect.skip
        lines: Iterator[str] = itertools.islice(
            read_lines(self.path, self._dialect.encoding), skip, None
        )
        separator, quote = self._dialect.separator, self._dialect.quote
        if separator == " ":
            # Columns that are aligned by spaces.
            lines = (" ".join(line.split()) for line in lines)
        options: dict[str, Any] = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
        # `strict`, because it would guess at stray quotes.
        reader = csv.reader(
            lines, delimiter=separator, skipinitialspace=separator != " ", strict=True, **options
        )
        while True:
            line = skip + reader.line_num + 1
            try:
                cells = [cell.strip() for cell in next(reader)]
            except StopIteration:
                return
            except csv.Error as error:
                raise self._broken(line, str(error)) from error
            if len(cells) > 1 or any(cells):
                yield line, cells

    def _broken(self, line: int, reason: str) -> DataError:
        where = f"{self.path}:{line}"
        if "field limit" in reason:
            return DataError(
                f"{where}: a cell of more than {csv.field_size_limit():,} characters; "
                f"shorten it, or close a quote ({self._dialect.quote}) that was left open"
            )
        if "unexpected end of data" in reason:
            return DataError(
                f"{where}: a quote ({self._dialect.quote}) opens here and never closes; close it"
            )
        reason = reason.partition(" - ")[0]  # Without advice for programmers.
        return DataError(
            f"{where}: cannot be read as CSV ({reason}); put a cell with quotes, separators "
            "or line breaks in double quotes, and double the quotes in it"
        )


def _told_apart(names: Iterable[str]) -> list[str]:
    """Names of which those that have occurred before get a number."""
    unique: dict[str, None] = {}
    for name in names:
        numbered = (f"{name}_{number}" for number in itertools.count(2))
        candidates = itertools.chain([name], numbered)
        unique[next(candidate for candidate in candidates if candidate not in unique)] = None
    return list(unique)


def _toml(text: str) -> str:
    return '"\\t"' if text == "\t" else f'"{text}"'
