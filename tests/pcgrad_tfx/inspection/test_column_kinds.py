"""What a column is found to be."""

import pandas as pd
import pytest

from pcgrad_tfx.inspection.column_kinds import column_kinds, date_formats, missing_texts

ROWS = 400


def kind_of(values, name="it", **options):
    values = list(values)
    repeated = (values * (ROWS // len(values) + 1))[:ROWS] if len(values) < ROWS else values
    return column_kinds(pd.DataFrame({name: repeated}, dtype=str), **options)[name]


KINDS = {
    "fractions": ([f"{i / 7:.3f}" for i in range(ROWS)], "numeric"),
    "many whole numbers": ([str(i % 90) for i in range(ROWS)], "numeric"),
    "numbers in many notations": (["1", "-2.5", "+3", "1e3", " 4 "], "numeric"),
    "numbers with gaps": ([f"{i / 7:.3f}" if i % 3 else "" for i in range(ROWS)], "numeric"),
    "few whole numbers": (["1", "2", "3"], "numeric"),
    "cylinders": (["4", "6", "8"], "numeric"),
    "codes with gaps": (["1", "20", "311"], "categorical"),
    "codes with zeros before them": (["01001", "01002", "10115"], "categorical"),
    "codes with gaps, of few rows each": ([str(i % 30 * 40) for i in range(ROWS)], "numeric"),
    "zero and one": (["0", "1"], "numeric"),
    "two whole numbers": (["2", "7"], "numeric"),
    "whole numbers with a point": (["1.0", "20.0", "300.0"], "categorical"),
    "20 whole numbers of 20 rows each": (map(str, range(20)), "numeric"),
    "21 whole numbers": (map(str, range(21)), "numeric"),
    "whole numbers of few rows each": ([str(i % 300) for i in range(ROWS)], "numeric"),
    "texts": (["Blue", "Red"], "categorical"),
    "truth values": (["True", "False"], "numeric"),
    "yes and no": (["yes", "No", " no", ""], "numeric"),
    "yes, no and what is missing": (["yes", "no", "NA"], "categorical"),
    "letters for yes and no": (["Y", "N"], "numeric"),
    "letters of which one says yes": (["T", "N"], "categorical"),
    "yes, no and more": (["t", "f", "unknown"], "categorical"),
    "one text and nothing": (["yes", ""], "categorical"),
    "one text": (["yes"], "constant"),
    "one number": (["7.5"], "constant"),
    "nothing": ([""], "empty"),
    "days": ([f"2013-01-{1 + i % 28:02}" for i in range(ROWS)], "date"),
    "moments": ([f"2013-01-01T10:{i % 60:02}:00Z" for i in range(ROWS)], "date"),
    "days without marks": ([str(20130101 + i % 28) for i in range(ROWS)], "date"),
    "amounts that are no days": ([str(20130180 + i % 28) for i in range(ROWS)], "numeric"),
    "times of a day": ([f"{i % 12}:{i % 60:02} pm" for i in range(ROWS)], "date"),
    "German days": ([f"{1 + i % 28}.1.2013" for i in range(ROWS)], "date"),
    "American days and times": ([f"1/{1 + i % 28}/13 10:00 PM" for i in range(ROWS)], "date"),
    "written months": ([f"{1 + i % 28} Jan 2013" for i in range(ROWS)], "date"),
    "sentences that repeat": (
        [f"Room {i % 9} was quiet and clean." for i in range(ROWS)],
        "categorical",
    ),
    "names of rows": ([f"row {i}" for i in range(ROWS)], "identifier"),
    "free text": ([f"{i} words that nobody repeats" for i in range(ROWS)], "free text"),
    "row numbers": (map(str, range(ROWS)), "identifier"),
    "numbers with a word": ([*map(str, range(300)), "NA"], "mixed"),
    "numbers with a typing error": ([*map(str, range(300)), "12O"], "mixed"),
    "fractions with a typing error": (["1.5"] * 90 + ["2.5", "2,5"], "mixed"),
    "codes of which one is a letter": ([*"123" * 100, "A"], "categorical"),
    "as many words as numbers": ([*map(str, range(30)), *["many", "few"] * 40], "categorical"),
    "numbers with underscores": ([f"1_{i}" for i in range(30)], "categorical"),
}


@pytest.mark.parametrize("name", KINDS)
def test_kind(name):
    values, kind = KINDS[name]
    assert kind_of(values).kind == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [("customer_id", "identifier"), ("Id", "identifier"), ("customerID", "identifier"),
     ("width", "numeric"), ("idle", "numeric"), ("paid", "numeric")],
)  # fmt: skip
def test_whole_numbers_that_all_differ_are_an_identifier_if_they_are_called_so(name, kind):
    assert kind_of((str(17 * i) for i in range(ROWS)), name).kind == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [("zone", "categorical"), ("pickup_community_area", "categorical"),
     ("StateCode", "categorical"),
     ("PULocationID", "categorical"), ("store_nbr", "categorical"), ("area", "numeric"),
     ("rooms", "numeric"), ("age_class_size", "numeric"), ("statement", "numeric")],
)  # fmt: skip
def test_whole_numbers_that_repeat_are_codes_if_they_are_called_so(name, kind):
    numbers = [str(3 * (i % 30)) for i in range(2 * ROWS)]
    assert kind_of(numbers, name).kind == kind


def test_an_identifier_of_a_few_rows_each_is_no_amount():
    assert kind_of((str(17 * (i // 4)) for i in range(ROWS)), "patient_id").kind == "identifier"
    assert kind_of((str(17 * (i // 4)) for i in range(ROWS)), "weight").kind == "numeric"


def test_a_number_of_nines_far_below_the_others_stands_for_a_missing_value():
    kind = kind_of(["-999.0", *map(str, range(40))], "temperature")
    assert (kind.kind, kind.missing_texts) == ("numeric", ("-999.0",))
    assert "'-999.0' in 10 rows" in kind.why


def test_one_above_the_others_may_be_a_limit():
    kind = kind_of(["99999", *map(str, range(40))], "gain")
    assert (kind.kind, kind.missing_texts) == ("numeric", ())
    assert kind.doubts == "'99999' in 10 rows, far from all others"
    assert kind.why == "41 different values in 400 rows"


@pytest.mark.parametrize("unit", [1, 1000])
def test_seconds_since_1970_are_a_date_if_they_are_called_so(unit):
    seconds = [str((1_400_000_000 + 977 * i) * unit) for i in range(ROWS)]
    assert kind_of(seconds, "trip_start_timestamp").kind == "date"
    assert kind_of(seconds, "population").kind == "numeric"
    assert kind_of([str(i) for i in range(500, 900, 2)], "travel_time").kind == "numeric"


@pytest.mark.parametrize(
    ("values", "written"),
    [
        (["2013-01-31", "2013-02-28 10:00"], "iso"),
        (["31.1.2013", "1.2.2013"], "%d.%m.%Y"),
        (["1/31/13 10:00 PM", ""], "%m/%d/%y %I:%M %p"),
        (["1/2/2013", "2/3/2013"], None),  # the day, or the month first
        (["31.1.2013", "2013-01-31"], None),
        (["10:00:00", "11:00:00"], "%H:%M:%S"),
        (["9:30", "14:05"], "%H:%M"),
        (["9:30 am", "12:05 PM"], "%I:%M %p"),
        (["9:30", "59:05"], None),  # minutes and seconds
        ([str(20130101 + day) for day in range(28)], "%Y%m%d"),
        (["1356998400", "1456998400"], "seconds"),
        (["1356998400000", "1456998400000"], "milliseconds"),
    ],
)
def test_how_dates_are_written(values, written):
    frame = pd.DataFrame({"date": values * 20, "other": "x"}, dtype=str)
    found = date_formats(frame, column_kinds(frame).values())
    assert found == ({} if written is None else {"date": written})


def test_text_columns_are_texts_whatever_they_look_like():
    assert kind_of(["1.5", "2.5"], text_columns=["it"]).kind == "categorical"
    assert kind_of(["1.5", "2.5"]).kind == "numeric"


def test_what_stands_for_a_missing_value_is_named():
    mixed = kind_of(["1", "2.5", "NA", "?"])
    assert set(mixed.missing_texts) == {"NA", "?"}
    assert "'NA'" in mixed.why
    assert "50.0%" in mixed.why
    assert missing_texts([mixed]) == ["NA", "?"]
    assert missing_texts([kind_of(["female", "male", "NA"])]) == ["NA"]


def test_in_texts_a_word_that_may_mean_something_stays():
    assert missing_texts([kind_of(["Gable", "Hip", "None"])]) == []
    assert missing_texts([kind_of(["Gable", "None"]), kind_of(["1", "2", "None"])]) == ["None"]


def test_texts_with_numbers_among_them_are_texts():
    assert kind_of(["1", "2", "many"]).kind == "categorical"


def test_a_number_may_have_thousands_of_digits():
    assert kind_of(["0" * 5000 + "1", "2.5"]).kind == "numeric"
