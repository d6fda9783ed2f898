"""What a person sees of a run: a line for each component, and third-party noise in a log file."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import pathlib
import re
import threading
import time
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, cast

import rich.console

from pcgrad_pipelines.local.failure import DISK_IS_FULL

if TYPE_CHECKING:
    from typing_extensions import Buffer

_NODE = re.compile(r"(?:node|Component) (?P<node>\S+) is (?P<state>running|finished)\.")
_CACHED = re.compile(r"A cached execution \d+ is used\.")


class ComponentLines(logging.Handler):
    """Turns TFX's log messages into one line for each component.

    Args:
        stream: The console.
    """

    def __init__(self, stream: LineStream) -> None:
        super().__init__(logging.INFO)
        self._stream = stream
        self._started: dict[str, float] = {}
        self._cached = False

    @property
    def running(self) -> str | None:
        """The component that has started last and not finished."""
        return next(reversed(self._started), None)

    def emit(self, record: logging.LogRecord) -> None:
        """Prints when a component starts or finishes."""
        message = record.getMessage()
        if _CACHED.match(message):
            self._cached = True
        elif match := _NODE.match(message):
            node = match["node"]
            if match["state"] == "running":
                self._started[node] = time.monotonic()
                self._cached = False
                self._stream.open_line(f"  {node:<20}")
            elif node in self._started:
                seconds = time.monotonic() - self._started.pop(node)
                note = "cached" if self._cached else f"{seconds:6.1f} s"
                self._stream.close_line(f"  {node:<20}", note)


class LineStream(io.TextIOBase):
    """The console, with a line that may be left open and is completed later.

    Args:
        stream: Where the text goes.
    """

    def __init__(self, stream: io.TextIOBase) -> None:
        super().__init__()
        self._stream = stream
        self._open: str | None = None
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Writes text, on a line of its own if one was left open."""
        with self._lock:
            if self._open is not None and text:
                self._stream.write("\n")
                self._open = None
            written = self._stream.write(text)
            self._stream.flush()
        return written

    def open_line(self, text: str) -> None:
        """Writes the beginning of a line."""
        with self._lock:
            self.write(text)
            self._open = text

    def close_line(self, beginning: str, end: str) -> None:
        """Completes the line if nothing came in between; otherwise writes it whole."""
        with self._lock:
            rest = end if self._open == beginning else beginning + end
            self._open = None
            self.write(rest + "\n")

    def flush(self) -> None:
        """Flushes the console."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Whether a person is watching."""
        return self._stream.isatty()


class _LogFile(io.FileIO):
    """Drops what a full disk has no room for: what stopped the run is still to be said."""

    def write(self, data: Buffer, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in DISK_IS_FULL:
                raise
            return memoryview(data).nbytes


@contextlib.contextmanager
def quiet(log_file: pathlib.Path, verbose: bool) -> Iterator[LineStream]:
    """Sends everything but what we print to a log file.

    What goes to standard error, and what libraries write to the descriptors of standard output and
    standard error behind Python's back, goes to the log file; `sys.stdout` stays the console.

    Args:
        log_file: Made with its folder.
        verbose: Leave standard error where it is.

    Yields:
        The console.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        buffer = io.BufferedWriter(_LogFile(log_file, "w"))
        log = stack.enter_context(io.TextIOWrapper(buffer, "utf-8", line_buffering=True))
        terminal = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
        console = stack.enter_context(LineStream(stack.enter_context(terminal)))
        for descriptor in () if verbose else (1, 2):
            saved = os.dup(descriptor)
            stack.callback(os.close, saved)
            stack.callback(os.dup2, saved, descriptor)
            os.dup2(log.fileno(), descriptor)
        stack.enter_context(contextlib.redirect_stdout(console))
        if not verbose:
            stack.enter_context(contextlib.redirect_stderr(log))
        yield console


def rich_console(stream: LineStream) -> rich.console.Console:
    """A console for tables; as wide as the terminal, or wide enough for a table in a file."""
    width = None if stream.isatty() else 110
    return rich.console.Console(file=cast(IO[str], stream), width=width)
