"""Checks of the methods' arguments."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable


def real_argument(
    name: str, value: object, allowed: str, is_allowed: Callable[[float], bool]
) -> float:
    """Returns a finite number as a float.

    Raises:
        ValueError: It is none, or not allowed.
    """
    if not isinstance(value, bool) and isinstance(value, numbers.Real):
        number = float(value)
        if math.isfinite(number) and is_allowed(number):
            return number
    raise ValueError(f"`{name}` must be {allowed}, not {value!r}")


def natural_argument(name: str, value: object) -> int:
    """Returns an integer of 0 or more as an int.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(value, bool) and isinstance(value, numbers.Integral):
        number = int(value)
        if number >= 0:
            return number
    raise ValueError(f"`{name}` must be an integer of 0 or more, not {value!r}")


def positive_argument(name: str, value: object) -> float:
    """Returns a finite number greater than 0 as a float.

    Raises:
        ValueError: It is none.
    """
    return real_argument(name, value, "a number greater than 0", lambda number: number > 0)
