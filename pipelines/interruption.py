"""Ctrl-C in a pipeline: Beam and TFX may turn it into some other exception on its way."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import types
from collections.abc import Iterator

# What a shell gives a process that Ctrl-C ended.
INTERRUPTED = 130


class Interruption:
    """Whether the person who watches has pressed Ctrl-C.

    Attributes:
        happened: Whether it was pressed.
    """

    happened = False

    def _on_signal(self, signum: int, frame: types.FrameType | None) -> None:
        if self.happened:
            # Asked twice: nothing is tidied up any more.
            os._exit(INTERRUPTED)
        self.happened = True
        raise KeyboardInterrupt


@contextlib.contextmanager
def noticed() -> Iterator[Interruption]:
    """Notices Ctrl-C; a second one ends the process at once.

    Yields:
        What tells whether it was pressed.
    """
    interruption = Interruption()
    # Only the main thread may say what signals do.
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = signal.signal(signal.SIGINT, interruption._on_signal)
    try:
        yield interruption
    finally:
        signal.signal(signal.SIGINT, before)
