"""Errors that a person should see: what went wrong, in one line."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable


class DataError(ValueError):
    """Data that must not be trained on.

    The message's first line stands alone: it names the file or split, the line and column where
    there is one, and the remedy. Nobody has to read a traceback to act on it.
    """


_MAX_SHOWN = 60

_RAISED = re.compile(r"^ *[\w.]*(?:Error|Exception): ", re.MULTILINE)


def shown(text: str) -> str:
    """A name or value from outside as a message shows it: in quotes, on one line, not too long."""
    if len(text) <= _MAX_SHOWN:
        return repr(text)
    return f"{text[:_MAX_SHOWN] + '…'!r} ({len(text):,} characters)"


def brief(text: str, width: int = _MAX_SHOWN) -> str:
    """A name as it stands in a list: like `shown`, without the quotes where it needs none."""
    cut = text if len(text) <= width else f"{text[:width]}…"
    return cut if cut.isprintable() else repr(cut)


def brief_list(names: Iterable[str]) -> str:
    """Names in a list that is not too long."""
    return textwrap.shorten(", ".join(map(brief, names)), 300, placeholder=" …")


def root_message(error: BaseException) -> str:
    """What went wrong at the root, without what the runners wrap around it."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(error)
    if "Traceback (most recent call last)" in text or text.startswith("in user code:"):
        # Beam may carry a worker's exception as the text of its traceback, and TensorFlow puts one
        # before the message of what a traced function, say a user's model, raised.
        text = _RAISED.split(text)[-1]
    text = re.sub(r" *\[while running '[^']*'\]", "", text).strip()
    # These errors' texts say nothing alone.
    bare = isinstance(error, LookupError) or not text
    return f"{type(error).__name__}: {text}".removesuffix(": ") if bare else text
