"""Reads the rows of a SQL query over files or a database, by DuckDB.

A query may come from somebody else. It is one SELECT, and DuckDB is shut in, see `connect`.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import tempfile
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import duckdb
import tensorflow as tf

from pcgrad_tfx.data.reading.database import connect
from pcgrad_tfx.data.reading.sqlite_files import copy_tables, is_sqlite
from pcgrad_tfx.data.reading.typed_files import TypedFile
from pcgrad_tfx.errors import DataError


class QueryTable(TypedFile):
    """The rows of a SELECT statement. It is run anew each time that they are read.

    Args:
        path: What stands for the files in messages.
        files: The files that it may read, or one database of DuckDB's or SQLite's, on any file
            system that TFX can open; remote ones are copied. In the statement their names are
            relative to their folder.
        sql: The statement.
        missing: Texts that stand for a missing value, besides the empty one.
    """

    def __init__(
        self, path: str, files: Sequence[str], sql: str, missing: Collection[str] = ()
    ) -> None:
        super().__init__(path, missing)
        self._files = files
        self._sql = sql

    @contextlib.contextmanager
    def _query(self, select: str) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            with _local_files(self._files) as files, connect() as parser:
                tree = self._parsed(parser)
                with self._connect(files, tree) as connection:
                    sql = _call(parser, "json_deserialize_sql", json.dumps(tree))
                    yield connection.execute(f"{select} FROM ({sql})")
        except duckdb.PermissionException as error:
            raise self._refusal(f"{_first_line(error)}; it may read only what `path` names") from (
                error
            )
        except duckdb.Error as error:
            raise self._refusal(f"{_first_line(error)}; correct the query") from error

    @contextlib.contextmanager
    def _connect(self, files: Sequence[str], tree: Any) -> Iterator[duckdb.DuckDBPyConnection]:
        """Opens what a statement reads; of files it gets the absolute names."""
        with contextlib.ExitStack() as stack:
            file = files[0]
            if is_sqlite(file):
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                copy = os.path.join(folder, "copy.duckdb")
                copy_tables(file, copy, set(_table_names(tree)))
                file = copy
            if _is_duckdb(file):
                # A table may be called like a file beside the database.
                connection = connect(database=file, threads=1)
            else:
                _make_absolute(tree, os.path.dirname(file))
                # DuckDB finds the files of a pattern only where it may read the folder.
                is_folder = os.path.basename(self.path) == "*"
                connection = connect(
                    *files, folder=os.path.dirname(file) if is_folder else None, threads=1
                )
            yield stack.enter_context(connection)

    def _parsed(self, connection: duckdb.DuckDBPyConnection) -> Any:
        """The statement as DuckDB's tree of it."""
        kinds = [statement.type for statement in connection.extract_statements(self._sql)]
        if len(kinds) != 1 or kinds[0] != duckdb.StatementType.SELECT:
            found = ", ".join(kind.name for kind in kinds) or "nothing"
            raise self._refusal(f"holds {found}; write one SELECT statement")
        tree = json.loads(_call(connection, "json_serialize_sql", self._sql))
        if tree["error"]:
            raise self._refusal(f"{tree['error_message']}; write one SELECT statement")
        return tree

    def _refusal(self, reason: str) -> DataError:
        return DataError(f"{self.path}: `sql`: {reason}")


def _is_duckdb(file: str) -> bool:
    with open(file, "rb") as opened:
        opened.seek(8)
        return opened.read(4) == b"DUCK"


def _call(connection: duckdb.DuckDBPyConnection, function: str, text: str) -> str:
    ((found,),) = connection.execute(f"SELECT {function}(?)", [text]).fetchall()
    return str(found)


def _table_names(node: Any) -> Iterator[str]:
    """The names of the tables in a parsed statement."""
    if isinstance(node, dict):
        if node.get("type") == "BASE_TABLE":
            yield node["table_name"]
        node = list(node.values())
    if isinstance(node, list):
        for part in node:
            yield from _table_names(part)


def _make_absolute(node: Any, folder: str, is_argument: bool = False) -> None:
    """Changes the names of files in a parsed statement: tables, and arguments of table functions.

    Args:
        node: A part of it.
        folder: What they are relative to.
        is_argument: Whether the part is one of a table function.
    """
    if isinstance(node, list):
        for part in node:
            _make_absolute(part, folder, is_argument)
    if not isinstance(node, dict):
        return
    kind = node.get("type")
    if kind == "BASE_TABLE":
        node["table_name"] = _found_in(folder, node["table_name"])
        # Since DuckDB 2.0 the name with its schema, if any, stands here, too.
        path = node.get("qualified_name", {}).get("path", [])
        path[-1:] = [node["table_name"]] if path else []
    elif kind == "VALUE_CONSTANT" and is_argument:
        # The latter since DuckDB 2.0.
        value, key = (node["value"], "value") if "value" in node else (node["literal"], "text")
        if isinstance(value.get(key), str):
            value[key] = _found_in(folder, value[key])
    else:
        for part in node.values():
            _make_absolute(part, folder, is_argument or kind == "TABLE_FUNCTION")


def _found_in(folder: str, name: str) -> str:
    """The absolute name of a file or pattern if there is such a file in a folder, else the name."""
    return (
        os.path.join(folder, name) if glob.glob(os.path.join(glob.escape(folder), name)) else name
    )


@contextlib.contextmanager
def _local_files(files: Sequence[str]) -> Iterator[list[str]]:
    """Files on this machine with the content of others, of the same names, or those."""
    if all(map(os.path.isfile, files)):
        yield [os.path.abspath(file) for file in files]
        return
    with tempfile.TemporaryDirectory() as folder:
        copies = [os.path.join(folder, os.path.basename(file)) for file in files]
        for file, copy in zip(files, copies, strict=True):
            tf.io.gfile.copy(file, copy)
        yield copies


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
