"""Copies tables of a SQLite database into one of DuckDB's, which reads the former by an extension.

A column of SQLite has no type, its values have: whole numbers make a BIGINT, other numbers a
DOUBLE, blobs a BLOB, and texts, or values of several kinds, a VARCHAR.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import sqlite3
from collections.abc import Collection

import duckdb
import pyarrow
import pyarrow.dataset

from pcgrad_tfx.errors import DataError

_ROWS = 10_000
_TYPES = {
    "BIGINT": pyarrow.int64(),
    "DOUBLE": pyarrow.float64(),
    "BLOB": pyarrow.binary(),
    "VARCHAR": pyarrow.string(),
}


def is_sqlite(file: str) -> bool:
    """Whether a file on this machine is a SQLite database."""
    begin = b"SQLite format 3\0"
    with open(file, "rb") as opened:
        return opened.read(len(begin)) == begin


def copy_tables(file: str, copy: str, names: Collection[str]) -> None:
    """Copies tables and views.

    Args:
        file: The SQLite database; it is not changed.
        copy: The DuckDB database that is made.
        names: Of the tables, whatever their case; one that there is not is left out.

    Raises:
        DataError: The database cannot be read.
    """
    wanted = {name.lower() for name in names}
    try:
        with (
            contextlib.closing(sqlite3.connect(_address(file), uri=True)) as source,
            duckdb.connect(config={"memory_limit": "2GB"}) as target,
        ):
            # Under a name of its own, a table may be called like what is registered.
            escaped = copy.replace("'", "''")
            target.execute(f"ATTACH '{escaped}' AS copy")
            source.execute("PRAGMA trusted_schema = OFF")
            found = source.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
            for (name,) in found.fetchall():
                if name.lower() in wanted:
                    _copy_table(source, target, name)
    except sqlite3.Error as error:
        raise DataError(
            f"{file}: this SQLite database cannot be read ({error}); close what uses it, or copy "
            "it again"
        ) from error


def _address(file: str) -> str:
    """The database for reading only; one that nobody writes to gets no files beside it either."""
    is_written_to = any(os.path.exists(file + ending) for ending in ("-wal", "-journal"))
    return f"{pathlib.Path(file).as_uri()}?mode=ro{'' if is_written_to else '&immutable=1'}"


def _copy_table(source: sqlite3.Connection, target: duckdb.DuckDBPyConnection, name: str) -> None:
    table = _quoted(name)
    description = source.execute(f"SELECT * FROM {table}").description
    columns = [_quoted(column) for column, *_ in description]
    types = [_type(source, table, column) for column in columns]
    typed = list(zip(columns, types, strict=True))
    target.execute(f"CREATE TABLE copy.{table} ({', '.join(map(' '.join, typed))})")
    cells = ", ".join(
        f"CAST({column} AS TEXT)" if kind == "VARCHAR" else column for column, kind in typed
    )
    schema = pyarrow.schema([(str(i), _TYPES[kind]) for i, kind in enumerate(types)])
    rows = source.execute(f"SELECT {cells} FROM {table}")
    while batch := rows.fetchmany(_ROWS):
        arrays = map(pyarrow.array, zip(*batch, strict=True), schema.types)
        arrow = pyarrow.Table.from_arrays(list(arrays), schema=schema)
        # Of PyArrow 10 DuckDB takes datasets only.
        target.register("batch", pyarrow.dataset.dataset(arrow))
        target.execute(f"INSERT INTO copy.{table} FROM batch")


def _type(source: sqlite3.Connection, table: str, column: str) -> str:
    """DuckDB's type for the values of a column; without any it is that of numbers."""
    kinds = {kind for (kind,) in source.execute(f"SELECT DISTINCT typeof({column}) FROM {table}")}
    kinds.discard("null")
    if kinds <= {"integer"}:
        return "BIGINT"
    if kinds <= {"integer", "real"}:
        return "DOUBLE"
    return "BLOB" if kinds == {"blob"} else "VARCHAR"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
