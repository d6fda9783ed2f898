"""Reads times, so that rows can be put into their order."""

from __future__ import annotations

import datetime
import functools
import itertools
import re
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from pcgrad_tfx.config.features import ISO, MILLISECONDS, SECONDS
from pcgrad_tfx.data.row_checks import number_fault

NUMBER = "number"
# From 1990 to 2100, in seconds since 1970.
UNIX_RANGE = (631_152_000, 4_102_444_800)

_DAYS = (
    "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y",
    "%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%y", "%m-%d-%y",
    "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d %B %Y", "%b %d, %Y", "%b %d %Y", "%B %d, %Y",
)  # fmt: skip
_HOURS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", ", %H:%M", "T%H:%M:%S")
COMPACT = "%Y%m%d"
# Times of a day: there is no order of rows in them.
_CLOCKS = ("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p")
FORMATS = (NUMBER, ISO, *map("".join, itertools.product(_DAYS, _HOURS)), "%Y-%m", "%b %Y")

_ISO = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})"
    r"(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?"
    r"(?: ?(?:Z|UTC|([+-]\d{2})(?::?(\d{2}))?))?)?"
)


def as_time(text: str, written: str) -> float | None:
    """Reads a time.

    Args:
        text: The time.
        written: How it is written, one of `FORMATS`.

    Returns:
        A number as it is; of a date the days since 1970, in UTC unless it says otherwise. None if
        it is written in another way.
    """
    if written == NUMBER:
        return None if number_fault(text) else float(text)
    return _days(text.strip(), written)


@functools.lru_cache(1 << 16)
def _days(text: str, written: str) -> float | None:
    try:
        if written == ISO:
            return _iso_days(text)
        time = datetime.datetime.strptime(text, written).replace(tzinfo=datetime.timezone.utc)
    except ValueError:
        return None
    return time.timestamp() / 86_400


def _iso_days(text: str) -> float | None:
    """Of the years 1 to 9999: pandas knows those of nanoseconds in 64 bits only."""
    found = _ISO.fullmatch(text)
    if not found:
        return None
    *fields, fraction, ahead, minutes = found.groups("0")
    offset = datetime.timedelta(hours=int(ahead), minutes=int(ahead[0] + minutes))
    year, month, day, hour, minute, second = map(int, fields)
    zone = datetime.timezone(offset)
    time = datetime.datetime(year, month, day, hour, minute, second, tzinfo=zone)
    return (time.timestamp() + float(f"0.{fraction}")) / 86_400


def narrowed(formats: Sequence[str], text: str) -> tuple[str, ...]:
    """Those of the formats that a time may be written in."""
    return tuple(written for written in formats if as_time(text, written) is not None)


def date_format(values: Collection[str]) -> str | None:
    """How dates are written, as `Features.dates` says it; None if that is not clear.

    Args:
        values: Different dates, at least one.
    """
    formats: tuple[str, ...] = (*FORMATS, *_CLOCKS)
    for value in values:
        formats = narrowed(formats, value)
    if len({tuple(as_time(value, written) for value in values) for written in formats}) != 1:
        return None
    if formats[0] != NUMBER:
        return formats[0]
    if are_days(np.array([*map(float, values)])):
        return COMPACT
    return SECONDS if max(map(float, values)) <= UNIX_RANGE[1] else MILLISECONDS


def are_days(numbers: NDArray[np.float64]) -> bool:
    """Whether all numbers are days without marks between their parts, as 20130131."""
    month, day = numbers // 100 % 100, numbers % 100
    is_day = (numbers >= 19_000_101) & (numbers <= 21_001_231) & (month >= 1) & (month <= 12)
    return bool(np.all(is_day & (day >= 1) & (day <= 31)))
