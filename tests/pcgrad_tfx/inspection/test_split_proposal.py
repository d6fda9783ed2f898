"""How rows are proposed to be split, by what their columns are called and hold."""

import random

import pandas as pd
import pytest

from pcgrad_tfx.inspection.column_kinds import column_kinds
from pcgrad_tfx.inspection.split_proposal import propose_splits

ROWS = 600


def proposed(labels=(), is_whole=True, **columns):
    frame = pd.DataFrame({name: [str(v) for v in values] for name, values in columns.items()})
    return propose_splits(frame, column_kinds(frame), labels, is_whole=is_whole)


def repeated(number, text="{}"):
    draw = random.Random(0)
    return [text.format(draw.randrange(number)) for _ in range(ROWS)]


DAYS = [f"2013-{1 + row // 50:02}-{1 + row % 28:02}" for row in range(ROWS)]


@pytest.mark.parametrize(
    "name",
    ["subject#", "PatientID", "user", "Customer Id", "unit number", "vehicle_no", "Individual ID"],
)
@pytest.mark.parametrize("text", ["{}", "p{}"])
def test_who_is_measured_again_is_a_group(name, text):
    found = proposed(**{"age": repeated(70), name: repeated(60, text)})
    assert found.splitting.group == name
    assert found.why == "rows of one are alike: 60 values in 600 rows"
    assert found.suggestions == ()


@pytest.mark.parametrize("name", ["zone_id", "airlineId", "site_no", "product_key"])
def test_another_identifier_that_repeats_is_suggested(name):
    found = proposed(**{name: repeated(60), "other_id": repeated(50)})
    assert found.splitting.group is None
    (one,) = found.suggestions
    assert (one.key, one.column) == ("group", name)
    assert one.why == "if predictions are wanted for new values of it: 60 values in 600 rows"


@pytest.mark.parametrize(
    "columns",
    [
        {"patient_age": repeated(60)},
        {"user_type": repeated(60, "t{}")},
        {"width": repeated(60)},
        {"patient": repeated(5)},  # so few that they are categories
        {"patient": range(ROWS)},  # every row is another one
        {"patient": [max(row, 15) for row in range(ROWS)]},  # nearly
        {"patient": ["", *repeated(60)[1:]]},  # of one row it is not known
        {"patient": [f"{value}.5" for value in repeated(60)]},
    ],
)
def test_what_is_no_group(columns):
    found = proposed(**columns)
    assert (found.splitting.group, found.suggestions) == (None, ())


def test_a_group_that_would_leave_a_split_empty_is_only_suggested():
    found = proposed(patient=["a"] * (ROWS - 19) + [f"b{row}" for row in range(19)])
    assert found.splitting.group is None
    assert [one.column for one in found.suggestions] == ["patient"]


def test_few_rows_each_are_enough_where_the_name_is_clear():
    values = [f"p{row // 2 if row < 400 else row}" for row in range(ROWS)]
    assert proposed(patient=values).splitting.group == "patient"
    assert proposed(ticket_id=values).suggestions == ()


def test_a_label_is_neither_group_nor_time():
    found = proposed(labels=["patient", "when"], patient=repeated(60), when=DAYS)
    assert (found.splitting.group, found.suggestions) == (None, ())


def test_of_a_sample_a_group_is_only_suggested():
    """A row that is not in it may lack the value."""
    found = proposed(is_whole=False, patient=repeated(60))
    assert found.splitting.group is None
    assert [one.column for one in found.suggestions] == ["patient"]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (DAYS, "when"),
        ([day.replace("-", "/") for day in DAYS], "when"),
        ([f"{day[8:]}.{day[5:7]}.{day[:4]}" for day in DAYS], "when"),
        (["", *DAYS[1:]], None),
        ([f"10:{row % 60:02}:00" for row in range(ROWS)], None),
        ([f"2013-01-0{1 + row % 3}" for row in range(ROWS)], None),
    ],
)
def test_a_date_suggests_a_split_by_time(column, expected):
    found = proposed(when=column, width=repeated(70))
    assert [one.column for one in found.suggestions] == ([expected] if expected else [])


def test_a_date_of_birth_is_no_time_of_the_row():
    assert proposed(date_of_birth=DAYS).suggestions == ()


def test_beside_a_group_a_time_is_still_suggested():
    found = proposed(patient=repeated(60), when=DAYS, other_id=repeated(50))
    assert found.splitting.group == "patient"
    assert [(one.key, one.column) for one in found.suggestions] == [("time", "when")]
