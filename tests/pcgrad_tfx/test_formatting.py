"""Numbers and lists as people read them."""

import math

import pytest

from pcgrad_tfx.formatting import listed, number, one_line, significant


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.012345, "0.01235"),
        (304.426, "304.4"),
        (9999.4, "9999"),
        (32640.0, "32,640"),
        (1478412.9, "1,478,000"),
        (-250000.0, "−250,000"),
        (1.5e20, "1.5e+20"),
        (-1e-9, "−1e−09"),
        (math.nan, "nan"),
        (None, "–"),
    ],
)
def test_significant_digits(value, shown):
    assert significant(value, 4) == shown


def test_a_number_that_is_rounded_to_zero_has_no_sign():
    assert [number(value) for value in (-0.001, -0.01, 0.0, None)] == ["0.00", "−0.01", "0.00", "–"]


def test_lists_and_lines():
    assert [listed("abc"[:length]) for length in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert one_line(" a\x00b\n\tc ") == "a b c"
