"""The folder of everything that local runs make: one run at a time, and its metadata in order."""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import pathlib
import re
import sqlite3
from collections.abc import Iterator

import portalocker
from ml_metadata import errors, metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pcgrad_tfx.formatting import one_line


class OutputFolderError(OSError):
    """An output folder that cannot be used now; the message says why and what to do."""


METADATA_FILE = "metadata.sqlite"
# What the database raises; the latter while it is opened.
METADATA_ERRORS = (errors.StatusError, RuntimeError)
# The type of an execution that stands for nothing but its number.
USED_NUMBER = "pcgrad_tfx.UsedNumber"
_LOCK_FILE = ".running"
# The one that every version of ML Metadata makes.
_TABLE = "MLMDEnv"
# An execution's number; what is longer is something else, a time for instance.
_NUMBER = re.compile("[0-9]{1,6}")


def metadata_connection(output: pathlib.Path, read_only: bool = False) -> mlmd.ConnectionConfig:
    """How to connect to the ML Metadata of an output folder.

    Args:
        output: The folder.
        read_only: Whether nothing is written, which works on a full disk, too.
    """
    modes = mlmd.SqliteMetadataSourceConfig
    config = mlmd.ConnectionConfig()
    config.sqlite.filename_uri = str(output / METADATA_FILE)
    config.sqlite.connection_mode = modes.READONLY if read_only else modes.READWRITE_OPENCREATE
    return config


def pipeline_root(output: pathlib.Path) -> pathlib.Path:
    """Where in an output folder the artifacts are."""
    return output / "artifacts"


def checkpoint_root(output: pathlib.Path) -> pathlib.Path:
    """Where in an output folder unfinished trainings are."""
    return output / "checkpoints"


def push_folder(output: pathlib.Path) -> pathlib.Path:
    """Where in an output folder models are pushed to."""
    return output / "pushed_model"


@contextlib.contextmanager
def lock_output(output: pathlib.Path, new_work: bool = True) -> Iterator[None]:
    """Keeps other runs out of an output folder; whatever way the process ends, it is free again.

    Two runs at once would reuse each other's half-finished work and delete each other's
    checkpoints.

    Args:
        output: The folder.
        new_work: Whether something is going to be made in it: then the folder is made if missing,
            and a full disk is an error. Otherwise a folder that cannot be written to is not locked.

    Raises:
        OutputFolderError: It cannot be written to, or another run uses it.
    """
    if output.exists() and not output.is_dir():
        raise OutputFolderError(f"--output: {output} is a file; name a folder")
    if not (new_work or output.is_dir()):
        raise OutputFolderError(f"--output: there is no folder {output}; name that of earlier runs")
    try:
        output.mkdir(parents=True, exist_ok=True)
        # Opened for appending: who holds the lock is written there. Without a buffer, which would
        # fail once more on a full disk when it is closed.
        file = (output / _LOCK_FILE).open("ab+", buffering=0)
    except OSError as error:
        if not new_work and error.errno in (errno.EROFS, errno.EACCES):
            yield
            return
        raise OutputFolderError(
            f"--output: {output}: {error.strerror}; make it writable or choose another folder"
        ) from None
    with file:
        try:
            portalocker.lock(file, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.LockException:
            file.seek(0)
            holder = file.read().decode().strip() or "another run"
            raise OutputFolderError(
                f"--output: {output} is in use by {holder}; wait for it, or choose another folder"
            ) from None
        try:
            file.truncate(0)
            now = f"{datetime.datetime.now():%Y-%m-%d %H:%M}"
            file.write(f"process {os.getpid()}, started {now}".encode())
        except OSError as error:
            if new_work:
                raise OutputFolderError(
                    f"--output: {output}: {error.strerror}; make room or choose another folder"
                ) from None
        yield


def check_metadata(output: pathlib.Path, for_writing: bool = True) -> None:
    """Checks the database of ML Metadata before TFX opens it, whose messages do not name it.

    Args:
        output: The folder.
        for_writing: Whether it must be possible to write to it.

    Raises:
        OutputFolderError: It is damaged, of another program, or locked by one.
    """
    path = output / METADATA_FILE
    if not path.exists():
        return
    if path.is_dir():
        raise OutputFolderError(f"{path} is a folder, no database; move it away")
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=5.0)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            if for_writing:
                # Fails if another program is writing, or has it open for writing.
                connection.execute("BEGIN IMMEDIATE")
                connection.rollback()
    except sqlite3.OperationalError as error:
        raise OutputFolderError(
            f"{path}: {error}; close the program that has it open, or make it writable"
        ) from None
    except sqlite3.DatabaseError as error:
        found, tables = str(error), set()
    if tables and _TABLE not in tables:
        raise OutputFolderError(f"{path} is no database of ML Metadata; move it away")
    if found != "ok":
        reason = one_line(found)
        raise OutputFolderError(
            f"{path} is damaged ({reason}); restore it from a backup, or move it away: the next "
            "run then makes a new one and starts from the beginning"
        )


def reserve_used_numbers(output: pathlib.Path) -> int:
    """Keeps the folders of artifacts that ML Metadata does not know from being used again.

    TFX names an artifact's folder by its execution's number. A database that is new, or older than
    the artifacts, would give the numbers of theirs once more.

    Args:
        output: The folder, which is locked.

    Returns:
        The highest number that the database did not know; 0 if it knew all.

    Raises:
        OutputFolderError: The database is another version's, or cannot be written.
    """
    root = pipeline_root(output)
    folders = [*root.glob("*/*/*"), *root.glob("*/.system/*/*")]
    numbers = (int(folder.name) for folder in folders if _NUMBER.fullmatch(folder.name))
    highest = max(numbers, default=0)
    if not highest:
        return 0
    try:
        store = metadata_store.MetadataStore(metadata_connection(output))
        known = max((execution.id for execution in store.get_executions()), default=0)
        if highest <= known:
            return 0
        kind = store.put_execution_type(mlmd.ExecutionType(name=USED_NUMBER))
        used = mlmd.Execution(type_id=kind, last_known_state=mlmd.Execution.State.CANCELED)
        store.put_executions([used] * (highest - known))
    except METADATA_ERRORS as error:
        reason = one_line(error)
        path = output / METADATA_FILE
        raise OutputFolderError(
            f"{path} cannot be used ({reason}); move it away, or choose another folder"
        ) from None
    return highest
