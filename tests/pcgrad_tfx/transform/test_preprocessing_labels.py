"""Labels, and the masks that say where there is none."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transform_runs import NAN


def label_of(transformed, task, rows):
    outputs = transformed.serve_all(rows)
    return list(
        zip(outputs[f"{task}_label"].tolist(), outputs[f"{task}_label_mask"].tolist(), strict=True)
    )


MISSING = (0, 0)


def test_binary_label_from_a_ratio(transformed):
    rows = [{"tips": [t], "fare": [f]} for t, f in [(3.0, 10.0), (1.0, 10.0), (2.0, 10.0)]]
    assert label_of(transformed, "big_tip", rows) == [(1, 1), (0, 1), (0, 1)]


@pytest.mark.parametrize(
    "row",
    [
        {"tips": [3.0], "fare": [0.0]},
        {"tips": [3.0], "fare": [-1.0]},
        {"tips": [3.0], "fare": [NAN]},
        {"tips": [3.0]},
        {"fare": [10.0]},
        {"tips": [NAN], "fare": [10.0]},
    ],
)
def test_ratio_without_both_parts_is_no_label(transformed, row):
    assert label_of(transformed, "big_tip", [row]) == [MISSING]


@given(cents=st.integers(1, 20_000))
@settings(deadline=None, max_examples=50)
def test_a_ratio_at_the_threshold_is_not_above_it(transformed, cents):
    # Of amounts such as 1.45 and 7.25 the quotient of the nearest float32 is above 0.2.
    at, above = {"tips": [cents / 100]}, {"tips": [(cents + 1) / 100]}
    fare = {"fare": [5 * cents / 100]}
    labels = label_of(transformed, "big_tip", [at | fare, above | fare])
    assert labels == [(0, 1), (1, 1)]


def test_binary_label_from_a_threshold(transformed):
    rows = [{"seconds": [600]}, {"seconds": [601]}, {}]
    assert label_of(transformed, "long", rows) == [(0, 1), (1, 1), MISSING]


def test_binary_label_that_is_a_column(transformed):
    rows = [{"shared": [0]}, {"shared": [1]}, {"shared": [2]}, {}]
    assert label_of(transformed, "shared", rows) == [(0, 1), (1, 1), MISSING, MISSING]


def test_binary_label_from_a_text(transformed):
    rows = [{"payment": [name]} for name in ("Card", "Cash", "card", "")]
    assert label_of(transformed, "by_card", [*rows, {}]) == [
        (1, 1),
        (0, 1),
        (0, 1),
        MISSING,
        MISSING,
    ]


def test_binary_label_from_a_number_that_is_a_name(transformed):
    rows = [{"zone": [8]}, {"zone": [7]}, {"zone": [88]}, {}]
    assert label_of(transformed, "zone_8", rows) == [(1, 1), (0, 1), (0, 1), MISSING]


def test_label_on_a_logarithmic_scale_is_in_its_own_unit_and_never_negative(transformed):
    rows = [{"fare": [7.25]}, {"fare": [0.0]}, {"fare": [-1.0]}, {"fare": [NAN]}, {}]
    assert label_of(transformed, "log_fare", rows) == [(7.25, 1), (0, 1), MISSING, MISSING, MISSING]
    rows = [{"tips": [3.0], "seconds": [2]}, {"tips": [-3.0], "seconds": [2]}]
    assert label_of(transformed, "log_rate", rows) == [(1.5, 1), MISSING]


def test_regression_label_is_in_its_own_unit_and_must_be_valid(transformed):
    rows = [{"fare": [7.25]}, {"fare": [0.0]}, {"fare": [-1.0]}, {"fare": [NAN]}, {}]
    assert label_of(transformed, "fare", rows) == [(7.25, 1), MISSING, MISSING, MISSING, MISSING]


def test_regression_label_from_a_ratio(transformed):
    rows = [{"tips": [3.0], "seconds": [2]}, {"tips": [3.0], "seconds": [0]}]
    assert label_of(transformed, "rate", rows) == [(1.5, 1), MISSING]


def test_multiclass_label_of_texts(transformed):
    rows = [{"payment": [name]} for name in ("Cash", "Other", "Cheque", "")]
    assert label_of(transformed, "payment", [*rows, {}]) == [
        (0, 1),
        (2, 1),
        MISSING,
        MISSING,
        MISSING,
    ]


def test_multiclass_label_of_integers(transformed):
    rows = [{"zone": [7]}, {"zone": [9]}, {"zone": [10]}, {}]
    assert label_of(transformed, "zone", rows) == [(0, 1), (2, 1), MISSING, MISSING]


def test_multiclass_label_of_integers_written_with_a_point(transformed):
    rows = [{"stars": [1.0]}, {"stars": [3.0]}, {"stars": [2.5]}, {"stars": [NAN]}, {}]
    labels = label_of(transformed, "stars", rows)
    assert labels == [(0, 1), (2, 1), MISSING, MISSING, MISSING]


def test_decimal_numbers_are_compared_as_numbers(transformed):
    """0.1 is not what float32 holds, and 2.50 is 2.5."""
    rows = [{"stars": [0.1]}, {"stars": [2.5]}, {"stars": [0.2]}, {"stars": [NAN]}, {}]
    labels = label_of(transformed, "half", rows)
    assert labels == [(1, 1), (0, 1), MISSING, MISSING, MISSING]
    labels = label_of(transformed, "tenth", rows)
    assert labels == [(1, 1), (0, 1), (0, 1), MISSING, MISSING]
