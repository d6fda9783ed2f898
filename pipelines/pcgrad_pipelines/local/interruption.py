"""Ctrl-C and SIGTERM: Beam and TFX may turn them into some other exception on their way."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import types
from collections.abc import Iterator

# What a shell gives a process that Ctrl-C ended.
INTERRUPTED = 128 + signal.SIGINT
# What Kubernetes, systemd and `timeout` send, and what a shell then gives.
TERMINATED = 128 + signal.SIGTERM

_SIGNALS = {signal.SIGINT: "Interrupted.", signal.SIGTERM: "Terminated (SIGTERM)."}


class Interruption:
    """Whether the process has been asked to end.

    Attributes:
        received: What asked it, `None` if nothing has.
    """

    received: signal.Signals | None = None

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as a shell has it; that of Ctrl-C without any."""
        return 128 + (self.received or signal.SIGINT)

    @property
    def message(self) -> str:
        """A word to the person who watches."""
        return _SIGNALS[self.received or signal.SIGINT]

    def _on_signal(self, signum: int, frame: types.FrameType | None) -> None:
        if self.received:
            # Asked twice: nothing is tidied up any more.
            os._exit(self.exit_code)
        self.received = signal.Signals(signum)
        raise KeyboardInterrupt


@contextlib.contextmanager
def catch_interrupt() -> Iterator[Interruption]:
    """Turns Ctrl-C and SIGTERM into KeyboardInterrupt; a second one ends the process at once.

    Yields:
        Which of them it was.
    """
    interruption = Interruption()
    # Only the main thread may say what signals do.
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.signal(number, interruption._on_signal) for number in _SIGNALS}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_on_interrupt() -> None:
    """Lets Ctrl-C and SIGTERM end the process with a word, while nothing is to be tidied up."""

    def leave(signum: int, frame: types.FrameType | None) -> None:
        print(_SIGNALS[signal.Signals(signum)], flush=True)
        os._exit(128 + signum)

    for number in _SIGNALS:
        signal.signal(number, leave)
