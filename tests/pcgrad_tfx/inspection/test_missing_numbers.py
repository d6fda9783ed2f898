"""Numbers that stand for a missing value."""

import pandas as pd
import pytest

from pcgrad_tfx.inspection.missing_numbers import missing_numbers

SMALL = [str(number) for number in range(20)]


def found(**columns):
    rows = max(map(len, columns.values()))
    frame = pd.DataFrame({name: (cells * rows)[:rows] for name, cells in columns.items()})
    return missing_numbers(frame)


@pytest.mark.parametrize("number", ["-999", "-99", "999", "9999", "-9999.0", "99999"])
def test_a_number_of_nines_that_is_far_from_all_others(number):
    assert found(x=[*SMALL, number, number], y=["a"]) == {"x": (number,)}


def test_a_number_below_zero_beside_large_ones():
    assert found(x=[*(str(i * 1000) for i in range(20)), "-999", "-999"]) == {"x": ("-999",)}


@pytest.mark.parametrize(
    "cells",
    [
        [*map(str, range(0, 1100, 9)), "999", "999"],  # one of many
        [*map(str, range(0, 120, 2)), "99", "99"],  # an age
        [*map(str, range(-2000, 2000, 50)), "-999", "-999"],
        [*SMALL, "999"],  # once
        ["0", "1", "999", "999"],  # of codes
        ["small", "large", *map(str, range(3)), "999", "999"],
        [*SMALL, "1000", "1000"],
    ],
)
def test_other_numbers_are_values(cells):
    assert found(x=cells) == {}


def test_what_is_a_value_in_another_column_is_one_in_all():
    price = [*map(str, range(0, 1100, 9)), "999", "999"]
    assert found(x=[*SMALL, "999", "999", "-99", "-99"], price=price) == {"x": ("-99",)}
