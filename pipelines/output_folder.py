"""The folder of everything that local runs make: one run at a time, and its metadata in order."""

from __future__ import annotations

import contextlib
import datetime
import os
import pathlib
import sqlite3
from collections.abc import Iterator

import portalocker
from ml_metadata.proto import metadata_store_pb2 as mlmd


class OutputFolderError(OSError):
    """An output folder that cannot be used now; the message says why and what to do."""


METADATA_FILE = "metadata.sqlite"
_LOCK_FILE = ".running"


def metadata_connection(output: pathlib.Path) -> mlmd.ConnectionConfig:
    """How to connect to the ML Metadata of an output folder."""
    config = mlmd.ConnectionConfig()
    config.sqlite.filename_uri = str(output / METADATA_FILE)
    config.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return config


def pipeline_root(output: pathlib.Path) -> pathlib.Path:
    """Where in an output folder the artifacts are."""
    return output / "artifacts"


@contextlib.contextmanager
def claim(output: pathlib.Path) -> Iterator[None]:
    """Keeps other runs out of an output folder; whatever way the process ends, it is free again.

    Two runs at once would reuse each other's half-finished work and delete each other's
    checkpoints.

    Args:
        output: The folder; made if missing.

    Raises:
        OutputFolderError: It cannot be written to, or another run uses it.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
        # Opened for appending: who holds the lock is written there.
        file = (output / _LOCK_FILE).open("a+", encoding="utf-8")
    except OSError as error:
        raise OutputFolderError(
            f"--output: {output}: {error.strerror}; make it writable or choose another folder"
        ) from None
    with file:
        try:
            portalocker.lock(file, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.LockException:
            file.seek(0)
            holder = file.read().strip() or "another run"
            raise OutputFolderError(
                f"--output: {output} is in use by {holder}; wait for it, or choose another folder"
            ) from None
        try:
            file.truncate(0)
            file.write(f"process {os.getpid()}, started {datetime.datetime.now():%Y-%m-%d %H:%M}")
            file.flush()
        except OSError as error:
            raise OutputFolderError(
                f"--output: {output}: {error.strerror}; make room or choose another folder"
            ) from None
        yield


def check_metadata(output: pathlib.Path) -> None:
    """Checks the database of ML Metadata before TFX opens it, whose messages do not name it.

    Raises:
        OutputFolderError: It is damaged, or another program has locked it.
    """
    path = output / METADATA_FILE
    if not path.exists():
        return
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=5.0)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            # Fails if another program is writing, or has it open for writing.
            connection.execute("BEGIN IMMEDIATE")
            connection.rollback()
    except sqlite3.OperationalError as error:
        raise OutputFolderError(
            f"{path}: {error}; close the program that has it open, or make it writable"
        ) from None
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        reason = " ".join(found.split())
        raise OutputFolderError(
            f"{path} is damaged ({reason}); restore it from a backup, or move it away: the next "
            "run then makes a new one and starts from the beginning"
        )
