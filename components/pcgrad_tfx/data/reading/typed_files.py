"""Reads files whose columns have types, Parquet, JSON lines and Arrow, by DuckDB.

A row comes as texts, like one of a CSV file, so that all that follows is the same. What is a text
in the file stays one: the 01 of a Parquet file is no number. Truth values are 1 and 0.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence

import duckdb
import pyarrow
import pyarrow.dataset

from pcgrad_tfx.data.reading.database import connect
from pcgrad_tfx.data.reading.text_files import open_bytes
from pcgrad_tfx.errors import DataError

_ARROW_ENDINGS = (".arrow", ".feather")
TYPED_ENDINGS = (".parquet", ".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz", *_ARROW_ENDINGS)

_ROWS = 10_000
_BUFFER_BYTES = 1 << 20
# Of JSON's own type are columns of several types, or of nothing.
_NOT_TEXT = re.compile(
    r"BOOLEAN|JSON|\"NULL\"|U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(.*\)"
)


class TypedFile:
    """A file of Parquet, JSON lines or Arrow (its IPC file format, which is Feather's version 2).

    Args:
        path: The file, on any file system that TFX can open; a remote one is copied.
        missing: Texts that stand for a missing value, besides the empty one.

    Attributes:
        path: The file.
        repeated_headers: 0, as there is no header.
    """

    def __init__(self, path: str, missing: Collection[str] = ()) -> None:
        self.path = path
        self.repeated_headers = 0
        self._files: Sequence[str] = [path]
        self._missing = {text.strip() for text in missing}

    @property
    def columns(self) -> list[str]:
        """The columns' names.

        Raises:
            DataError: The file cannot be read.
        """
        return list(self._types)

    @property
    def text_columns(self) -> frozenset[str]:
        """The columns that hold texts, even where these look like numbers."""
        return frozenset(
            name for name, kind in self._types.items() if not _NOT_TEXT.fullmatch(kind)
        )

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Reads the rows.

        Yields:
            A row's number, from 1, and its cells, one for each column; empty where the value is
            missing.

        Raises:
            DataError: The file cannot be read.
        """
        cells = ", ".join(_as_text(name, kind) for name, kind in self._types.items())
        with self._query(f"SELECT {cells}") as rows:
            number = 0
            while found := rows.fetchmany(_ROWS):
                for row in found:
                    number += 1
                    yield number, ["" if cell.strip() in self._missing else cell for cell in row]

    def place(self, number: int) -> str:
        """Where a row stands, for messages."""
        return f"{self.path}: row {number}"

    @functools.cached_property
    def _types(self) -> dict[str, str]:
        """DuckDB's types by column."""
        for file in self._files:
            if file.endswith(".gz"):
                _check_whole(file)
        with self._query("DESCRIBE SELECT *") as rows:
            return {name: kind for name, kind, *_ in rows.fetchall()}

    @contextlib.contextmanager
    def _query(self, select: str) -> Iterator[duckdb.DuckDBPyConnection]:
        function = "read_parquet(?)"
        if not self.path.endswith(".parquet"):
            # Types are inferred from all rows.
            function = "read_json(?, format = 'newline_delimited', sample_size = -1)"
        try:
            with _local_copy(self.path) as path, connect(path) as connection:
                if path.endswith(_ARROW_ENDINGS):
                    connection.register("arrow_file", pyarrow.dataset.dataset(path, format="ipc"))
                    yield connection.execute(f"{select} FROM arrow_file")
                else:
                    yield connection.execute(f"{select} FROM {function}", [path])
        except (duckdb.Error, pyarrow.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise DataError(
                f"{self.path}: cannot be read ({reason}); copy it again, or write it anew"
            ) from error


def _check_whole(path: str) -> None:
    """Reads a gzip file to its end: DuckDB takes one that is cut off for a shorter one."""
    with open_bytes(path) as stream:
        while stream.read(_BUFFER_BYTES):
            pass


@contextlib.contextmanager
def _local_copy(path: str) -> Iterator[str]:
    """A file on this machine with the content of another one, or that one."""
    if os.path.isfile(path):
        yield os.path.abspath(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, os.path.basename(path).removesuffix(".gz"))
        with open_bytes(path) as stream, open(copy, "wb") as file:
            shutil.copyfileobj(stream, file)
        yield copy


def _as_text(name: str, kind: str) -> str:
    column = '"' + name.replace('"', '""') + '"'
    value = column
    if kind == "BOOLEAN":
        value = f"{column}::INTEGER"
    elif kind == "JSON":
        # Texts without their quotes.
        value = f"{column} ->> '$'"
    elif kind in ("FLOAT", "DOUBLE"):
        value = f"CASE WHEN NOT isnan({column}) THEN {column} END"
    return f"coalesce(({value})::VARCHAR, '')"
