"""Names, lists and numbers as people read them: in sentences, tables and charts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

# From here on powers of ten read better than digits.
_LARGE = 1e12


def one_line(text: object) -> str:
    """A text without line breaks and other control characters: it may come from anywhere."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())


def listed(texts: Iterable[str], last: str = " and ") -> str:
    """A list as it stands in a sentence: "a, b and c"."""
    texts = list(texts)
    return last.join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def number(value: float | None, digits: int = 2) -> str:
    """A number with so many decimals and a true minus sign; a dash for None."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return "0" + text[2:] if float(text) == 0 and text[0] == "-" else text.replace("-", "−")


def signed(value: float | None, digits: int = 4) -> str:
    """A number with its sign, also if it is positive."""
    text = number(value, digits)
    return f"+{text}" if value is not None and value > 0 else text


def significant(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits: for what has no natural scale."""
    if value is None:
        return "–"
    text = f"{value:.{digits}g}"
    if "e+" in text and abs(value) < _LARGE:
        text = f"{float(text):,.0f}"
    return text.replace("-", "−")


def percent(value: float | None) -> str:
    """A share as a percentage."""
    return "–" if value is None else f"{number(100 * value, 0)}%"


def p_value(value: float | None) -> str:
    """A p-value with three digits."""
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def without_nan(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with None for numbers that are not finite, which are not JSON."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in values.items()
    }
