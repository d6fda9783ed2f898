"""The numbered versions of a model at a push destination, as TensorFlow Serving reads them."""

from __future__ import annotations

import os
import time
import uuid

import tensorflow as tf
from tfx.utils import io_utils

from pcgrad_tfx.formatting import one_line

# Servers look at folders that are named by a number only.
_UNFINISHED_PREFIX = "pushing-"
# Servers wait for this file.
_SAVED_MODEL = "saved_model.pb"
_CHUNK_BYTES = 1 << 20


def versions(folder: str) -> list[str]:
    """The versions at a push destination.

    Args:
        folder: The push destination, local or remote; it need not exist.

    Returns:
        Names of the versions, newest first.

    Raises:
        ValueError: The push destination is a file.
    """
    names = [name for name in _names(folder) if name.isascii() and name.isdecimal()]
    return sorted(names, key=int, reverse=True)


def unfinished(folder: str) -> list[str]:
    """The names of what a push that was killed has left at a push destination."""
    return sorted(name for name in _names(folder) if name.startswith(_UNFINISHED_PREFIX))


def push(model: str, folder: str) -> str:
    """Publishes a model as the newest version; a server never sees a part of it.

    The model is copied under another name, checked and renamed; several pushes may do so at once.
    In a bucket, where a folder cannot be renamed at once but no file is ever half written,
    `saved_model.pb` is copied last. A model that is the newest version already is not pushed again.

    Args:
        model: Folder of the model.
        folder: The push destination, local or remote; made if missing.

    Returns:
        Folder of the version.

    Raises:
        OSError: The copy is not complete; nothing of it is left.
        ValueError: The push destination is a file.
    """
    newest = next(iter(versions(folder)), None)
    if newest is not None and _is_same(model, os.path.join(folder, newest)):
        return os.path.join(folder, newest)
    # The time, as TFX's Pusher has it; above all others, whatever numbers these have.
    version = max(int(time.time()), int(newest or 0) + 1)
    is_remote = "://" in folder
    # A name of its own: another push may be on its way.
    name = str(version) if is_remote else _UNFINISHED_PREFIX + uuid.uuid4().hex
    copy = os.path.join(folder, name)
    try:
        io_utils.copy_dir(model, copy, deny_regex_patterns=[rf"/{_SAVED_MODEL}$"])
        if _SAVED_MODEL in tf.io.gfile.listdir(model):
            io_utils.copy_file(os.path.join(model, _SAVED_MODEL), os.path.join(copy, _SAVED_MODEL))
        if _sizes(copy) != _sizes(model):
            raise OSError(f"{copy} is not a whole copy of {model}; make room and push again")
    except BaseException:
        if tf.io.gfile.exists(copy):
            tf.io.gfile.rmtree(copy)
        raise
    return copy if is_remote else _publish(copy, folder, version)


def check_writable(folder: str) -> None:
    """Writes a file to a push destination, made if missing, and removes it.

    Args:
        folder: The push destination, local or remote.

    Raises:
        ValueError: The push destination cannot be written to.
    """
    path = os.path.join(folder, f".{uuid.uuid4().hex}")
    try:
        tf.io.gfile.makedirs(folder)
        with tf.io.gfile.GFile(path, "w") as file:
            file.write("")
        tf.io.gfile.remove(path)
    except tf.errors.OpError as error:
        # The message begins with the path.
        reason = one_line(error.message).rpartition("; ")[2]
        raise ValueError(
            f"push_destination: user {os.geteuid()} cannot write to {folder} ({reason}); give that "
            "user the right to, or name another folder"
        ) from None


def loading_problem(saved_model: str) -> str | None:
    """Says why a SavedModel cannot be served.

    Args:
        saved_model: Its folder.

    Returns:
        The reason, `None` if it loads.
    """
    try:
        tf.saved_model.load(saved_model)
    # Which error it is depends on which byte is missing.
    except Exception as error:
        return one_line(error) or type(error).__name__
    return None


def _publish(copy: str, folder: str, version: int) -> str:
    """Gives a copy the first number from `version` on that is free; returns its folder."""
    while True:
        target = os.path.join(folder, str(version))
        try:
            tf.io.gfile.rename(copy, target)
            return target
        except tf.errors.OpError:
            if not tf.io.gfile.exists(target):
                raise
        # Another push has taken it.
        version += 1


def _names(folder: str) -> list[str]:
    if not tf.io.gfile.exists(folder):
        return []
    if not tf.io.gfile.isdir(folder):
        raise ValueError(f"push_destination: {folder} is no folder; name another one")
    # In a bucket the names of folders end in a slash.
    return [name.rstrip("/") for name in tf.io.gfile.listdir(folder)]


def _sizes(folder: str) -> dict[str, int]:
    """Bytes of each file, by its path in the folder."""
    paths = [
        os.path.join(parent, file)
        for parent, _, files in tf.io.gfile.walk(folder)
        for file in files
    ]
    return {os.path.relpath(path, folder): tf.io.gfile.stat(path).length for path in paths}


def _is_same(one: str, other: str) -> bool:
    """Whether two folders hold the same files."""
    files = _sizes(one)
    return files == _sizes(other) and all(
        _is_same_file(os.path.join(one, file), os.path.join(other, file)) for file in files
    )


def _is_same_file(one: str, other: str) -> bool:
    with tf.io.gfile.GFile(one, "rb") as left, tf.io.gfile.GFile(other, "rb") as right:
        while chunk := left.read(_CHUNK_BYTES):
            if right.read(_CHUNK_BYTES) != chunk:
                return False
    return True
