"""DuckDB, shut in: it reads the files that it is given, and reaches nothing else."""

from __future__ import annotations

from typing import Any

import duckdb


def connect(
    *paths: str, folder: str | None = None, database: str | None = None, threads: int = 2
) -> duckdb.DuckDBPyConnection:
    """Opens a database in memory.

    It neither reads other files nor installs or loads extensions nor writes what does not fit into
    the memory to a disk, and no statement can change that.

    Args:
        *paths: The files that it may read, as absolute paths on this machine.
        folder: A folder whose files it may read, too.
        database: A file of DuckDB's whose tables it may read.
        threads: With one, a query has the same rows in the same order each time.
    """
    settings: dict[str, Any] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "memory_limit": "2GB",
        "temp_directory": "",
        "threads": threads,
    }
    connection = duckdb.connect(":memory:", config=settings)
    # In this order: afterwards nothing can be allowed.
    if database is not None:
        quoted = database.replace("'", "''")
        connection.execute(f"ATTACH '{quoted}' AS source (READ_ONLY)")
        connection.execute("USE source")
    connection.execute("SET allowed_paths = ?", [list(paths)])
    connection.execute("SET allowed_directories = ?", [[] if folder is None else [folder]])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    # What a query draws at random is the same each time that it is run.
    connection.execute("SELECT setseed(0)").fetchall()
    return connection
