"""Parts of dates, computed in TensorFlow: a request of the served model holds the date itself."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import tensorflow as tf

from pcgrad_tfx.config.features import ISO, MILLISECONDS, SECONDS, parts_of
from pcgrad_tfx.data.labels import RawColumn, numbers, texts

_SECONDS_OF_A_DAY = 86_400
# As Python reads years of two digits.
_FIRST_YEAR_OF_1900 = 69

_LONG_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
_MONTHS = tuple(name[:3] for name in _LONG_MONTHS)
_PATTERNS = {
    "Y": r"(\d{4})", "y": r"(\d{2})", "b": r"([A-Za-z]{3})",
    "B": f"((?i:{'|'.join(_LONG_MONTHS)}))", "p": r"([AaPp])[Mm]",
}  # fmt: skip
_NUMBER = r"(\d{1,2})"
_ISO_FIELDS = "YmdHMSz"
_ISO_PATTERN = (
    r"(\d{4})-(\d{2})-(\d{2})"
    r"(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,]\d{1,9})?)?(?: ?(Z|UTC|[+-]\d{2}(?::?\d{2})?))?)?"
)


def date_parts(inputs: Mapping[str, RawColumn], column: str, written: str) -> dict[str, tf.Tensor]:
    """Splits a column of dates.

    Args:
        inputs: The raw columns by name; see `preprocessing_fn`.
        column: The column.
        written: How the dates are written, as `Features.dates` says it.

    Returns:
        For each of `parts_of(written)` float64 [N], in UTC unless a date says otherwise; NaN where
        it is missing, written in another way, or a day or time that does not exist.
    """
    if written in (SECONDS, MILLISECONDS):
        seconds = numbers(inputs, column) / (1 if written == SECONDS else 1000)
    else:
        seconds = _seconds(tf.strings.strip(texts(inputs, column)), written)
    valid = tf.math.is_finite(seconds)
    whole = tf.cast(tf.math.floor(tf.where(valid, seconds, 0.0)), tf.int64)
    days = whole // _SECONDS_OF_A_DAY
    year, month = _year_and_month(days)
    angles = {
        "month": (month - 1, 12),
        # The first of January 1970 was a Thursday.
        "weekday": ((days + 3) % 7, 7),
        "hour": (whole % _SECONDS_OF_A_DAY, _SECONDS_OF_A_DAY),
    }
    parts = {"year": tf.cast(year, tf.float64), "days": seconds / _SECONDS_OF_A_DAY}
    for name, (place, length) in angles.items():
        angle = tf.cast(place, tf.float64) * (2 * math.pi / length)
        parts |= {f"{name}_sin": tf.sin(angle), f"{name}_cos": tf.cos(angle)}
    missing = tf.constant(math.nan, tf.float64)
    return {part: tf.where(valid, parts[part], missing) for part in parts_of(written)}


def _seconds(text: tf.Tensor, written: str) -> tf.Tensor:
    """Seconds since 1970, float64 [N], NaN where a text is no date that is written so."""
    fields, pattern = (_ISO_FIELDS, _ISO_PATTERN) if written == ISO else _pattern(written)
    matches = tf.strings.regex_full_match(text, pattern)
    found = {
        field: tf.strings.regex_replace(tf.where(matches, text, ""), f"^{pattern}$", rf"\{place}")
        for place, field in enumerate(fields, start=1)
    }

    def number(field: str, otherwise: int = 0) -> tf.Tensor:
        if field not in found:
            return tf.fill(tf.shape(text), tf.constant(otherwise, tf.int64))
        digits = tf.where(found[field] == "", str(otherwise), found[field])
        return tf.strings.to_number(digits, tf.int64)

    # Times without a day are of the first one.
    year = number("Y", 1970)
    if "y" in found:
        short = number("y")
        year = tf.where(short < _FIRST_YEAR_OF_1900, short + 2000, short + 1900)
    month, day = number("m", 1), number("d", 1)
    for name in {"b", "B"} & found.keys():
        begins = tf.strings.substr(tf.strings.lower(found[name]), 0, 3)
        is_month = begins[:, tf.newaxis] == tf.constant(_MONTHS)
        month = tf.where(tf.reduce_any(is_month, axis=1), tf.argmax(is_month, axis=1) + 1, 0)
    hour, minute, second = number("H"), number("M"), number("S")
    valid = matches & (hour < 24) & (minute < 60) & (second < 60)
    if "I" in found:
        hour = number("I")
        valid &= (hour >= 1) & (hour <= 12)
        hour %= 12
    if "p" in found:
        hour += tf.where(tf.strings.lower(found["p"]) == "p", tf.constant(12, tf.int64), 0)
    days = _days(year, month, day)
    # A day that does not exist, as the 31st of February, would be one of another month.
    real_year, real_month = _year_and_month(days)
    valid &= (year >= 1) & (year == real_year) & (month == real_month)
    time = days * _SECONDS_OF_A_DAY
    time += (hour * 60 + minute) * 60 + second - _offset(found.get("z"))
    return tf.where(valid, tf.cast(time, tf.float64), tf.constant(math.nan, tf.float64))


def _pattern(written: str) -> tuple[str, str]:
    """The fields of a date, and a pattern with a group for each, in their order."""
    fields = "".join(re.findall("%(.)", written))
    pattern = ""
    for literal, field in re.findall("([^%]*)(?:%(.))?", written):
        # Python takes any number of spaces for one.
        pattern += r"\s+".join(map(re.escape, literal.split(" ")))
        pattern += _PATTERNS.get(field, _NUMBER) if field else ""
    return fields, pattern


def _offset(zone: tf.Tensor | None) -> tf.Tensor | int:
    """Seconds that a time zone is ahead of UTC, int64 [N]; zone is "", "Z" or like "+02:30"."""
    if zone is None:
        return 0
    digits = tf.strings.regex_replace(zone, "[^0-9]", "")
    digits = tf.strings.substr(tf.strings.join([digits, "0000"]), 0, 4)
    minutes = tf.strings.to_number(tf.strings.substr(digits, 0, 2), tf.int64) * 60
    minutes += tf.strings.to_number(tf.strings.substr(digits, 2, 2), tf.int64)
    is_behind = tf.strings.regex_full_match(zone, "-.*")
    return 60 * tf.where(is_behind, -minutes, minutes)


# Both after Hinnant, http://howardhinnant.github.io/date_algorithms.html: years begin in March.


def _days(year: tf.Tensor, month: tf.Tensor, day: tf.Tensor) -> tf.Tensor:
    """Days since 1970, of int64 [N]."""
    year -= tf.cast(month <= 2, tf.int64)
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def _year_and_month(days: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Of days since 1970, int64 [N]."""
    days += 719_468
    era = days // 146_097
    of_era = days - era * 146_097
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    from_march = (5 * of_year + 2) // 153
    month = tf.where(from_march < 10, from_march + 3, from_march - 9)
    return year + era * 400 + tf.cast(month <= 2, tf.int64), month
