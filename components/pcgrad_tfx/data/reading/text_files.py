"""Opens files of text: on any file system of TFX, compressed or not, in any encoding."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import tensorflow as tf

from pcgrad_tfx.errors import DataError

_BUFFER_BYTES = 1 << 20
# What `surrogateescape` makes of bytes that the encoding does not know.
_UNREADABLE = re.compile("[\0\udc80-\udcff]")


class _GFileBytes(io.RawIOBase):
    """A file of `tf.io.gfile`, as Python's other readers expect one."""

    def __init__(self, file: tf.io.gfile.GFile) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._file.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


@contextlib.contextmanager
def open_bytes(file: str) -> Iterator[Any]:
    """Opens a file for reading bytes; one that ends in `.gz` or `.zst` is unpacked on the way.

    Raises:
        DataError: While it is open, too: it cannot be read, or is no whole compressed file.
    """
    kind = "zstd" if file.endswith(".zst") else "gzip"
    try:
        with tf.io.gfile.GFile(file, "rb") as raw:
            stream: Any = io.BufferedReader(_GFileBytes(raw), _BUFFER_BYTES)
            if file.endswith(".gz"):
                stream = gzip.GzipFile(fileobj=stream)
            elif file.endswith(".zst"):
                stream = pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd")
            yield stream
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(file, kind, error) from error
    except (OSError, tf.errors.OpError) as error:
        # Arrow's errors about what is in a file are no errors of the system.
        if kind == "zstd" and isinstance(error, OSError) and error.errno is None:
            raise _damaged(file, kind, error) from error
        raise unreadable(file, error) from error


def read_lines(file: str, encoding: str) -> Iterator[str]:
    """Reads the lines of a file, with their ends: LF, CRLF or CR.

    Args:
        file: The file.
        encoding: Of the text; a byte order mark of UTF-8 or UTF-16 is left out.

    Raises:
        DataError: The file cannot be read, or a line is not in this encoding.
    """
    codec = codecs.lookup(encoding).name
    # UTF-8 that is read byte by byte is wrong, but never an error.
    mistaken = Utf8Count() if _has_single_bytes(codec) else None
    first = 0
    with open_bytes(file) as stream:
        text = io.TextIOWrapper(
            stream,
            encoding="utf-8-sig" if codec == "utf-8" else codec,
            errors="surrogateescape",
            newline="",
        )
        try:
            for number, line in enumerate(text, start=1):
                if (not line.isascii() or "\0" in line) and (found := _UNREADABLE.search(line)):
                    raise _not_encoded(f"{file}:{number}", found[0], codec)
                if mistaken and not line.isascii():
                    mistaken.add(line.encode(codec, "replace"))
                    first = first or number
                yield line
        except UnicodeError as error:
            raise DataError(f"{file}: not {codec} ({error}); correct `encoding`") from error
    if mistaken and mistaken.is_likely:
        raise DataError(
            f'{file}:{first}: is UTF-8, but read as {codec}; write encoding = "utf-8" under '
            "[data], or save all files in the same encoding"
        )


class Utf8Count:
    """Counts what bytes would be as UTF-8.

    Attributes:
        good: Characters of several bytes.
        bad: What is no character.
    """

    def __init__(self) -> None:
        self.good = self.bad = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, piece: bytes) -> None:
        """Takes the next bytes."""
        text = self._decoder.decode(piece)
        bad = text.count("\ufffd")
        self.good += len(text) - len(text.encode("ascii", "ignore")) - bad
        self.bad += bad

    @property
    def is_likely(self) -> bool:
        """Whether most of what is not ASCII is UTF-8: a few bytes may be damaged."""
        return self.good > self.bad


def _has_single_bytes(codec: str) -> bool:
    """Whether each byte beyond ASCII is a character: of one of the ISO 8859s or Windows' pages."""
    return codec != "utf-8" and len(bytes(range(0xA1, 0x100)).decode(codec, "replace")) == 0x5F


def unreadable(
    path: str, error: Exception, remedy: str = "correct the path or the access rights"
) -> DataError:
    """The error for a file or folder that cannot be read."""
    # Without the node of the graph, which TensorFlow names first.
    reason = str(error).splitlines()[0].rpartition("}} ")[2]
    return DataError(f"{path}: cannot be read ({reason}); {remedy}")


def _damaged(file: str, kind: str, error: Exception) -> DataError:
    return DataError(f"{file}: no whole {kind} file ({error}); copy it again, or compress it again")


def _not_encoded(where: str, found: str, codec: str) -> DataError:
    if found == "\0":
        return DataError(
            f'{where}: holds a NUL byte; if the file is UTF-16, write encoding = "utf-16" under '
            "[data]; else save it without"
        )
    name = "UTF-8" if codec == "utf-8" else codec
    return DataError(
        f"{where}: byte 0x{ord(found) - 0xDC00:02x} is not {name}; write the encoding that the "
        'file is in under [data], as in encoding = "cp1252" (if it is compressed, name it .csv.gz)'
    )
