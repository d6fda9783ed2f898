"""Splits before there are any: what cannot be split is refused, and where a split by time cuts."""

import datetime
import random

import pytest
import tensorflow as tf
from tfx.components.example_gen.base_example_gen_executor import _PartitionFn

from pcgrad_tfx.config.splitting import Splitting
from pcgrad_tfx.data.split_checks import SPLITS, SplitChecks, hashed_place
from pcgrad_tfx.data.times import ISO, as_time
from pcgrad_tfx.errors import DataError
from pcgrad_tfx.example_gen.splitting import output_config


def checked(splitting, values, texts=()):
    checks = SplitChecks(splitting, ["other", splitting.columns[0]], texts)
    for line, value in enumerate(values, start=2):
        checks.add(f"a.csv:{line}", ["x", value])
    return checks.finish("a.csv")


def days(number, written="%Y-%m-%d"):
    first = datetime.date(2013, 1, 1)
    return [(first + datetime.timedelta(day)).strftime(written) for day in range(number)]


@pytest.mark.parametrize("is_number", [True, False])
def test_groups_are_counted_where_tfx_puts_them(is_number):
    splitting = Splitting(group="subject", splits={"train": 5, "eval": 3, "test": 2})
    config = output_config(splitting).split_config
    values = [f"{'' if is_number else 'p'}{number}" for number in range(60) for _ in range(3)]
    expected = dict.fromkeys(SPLITS, 0)
    for value in values:
        example = tf.train.Example()
        feature = example.features.feature["subject"]
        if is_number:
            feature.int64_list.value.append(int(value))
        else:
            feature.bytes_list.value.append(value.encode())
        expected[SPLITS[_PartitionFn(example, 3, [5, 8, 10], config)]] += 1
    found = checked(splitting, values)
    assert found.rows == expected
    assert sum(found.groups.values()) == 60
    assert all(count == 3 * found.groups[name] for name, count in found.rows.items())


def test_a_text_that_looks_like_a_number_is_hashed_as_a_text():
    values = [str(number) for number in range(60)] * 2
    splitting = Splitting(group="subject")
    assert checked(splitting, values).rows != checked(splitting, values, {"subject"}).rows


def test_the_latest_rows_are_test():
    values = days(100)
    random.Random(0).shuffle(values)
    found = checked(Splitting(time="date"), values)
    assert found.rows == {"train": 80, "eval": 10, "test": 10}
    places = [SPLITS[found.bounds.place(day)] for day in days(100)]
    assert places == ["train"] * 80 + ["eval"] * 10 + ["test"] * 10


def test_a_gap_is_left_out_before_eval_and_before_test():
    found = checked(Splitting(time="date", gap=3), days(100))
    assert found.rows == {"train": 77, "eval": 7, "test": 10}
    assert found.left_out == 6
    assert [found.bounds.place(days(100)[day]) for day in (76, 77, 79, 80)] == [0, 3, 3, 1]


def test_rows_of_one_time_stay_together():
    found = checked(Splitting(time="year"), ["2011"] * 50 + ["2012"] * 27 + ["2013"] * 23)
    assert found.rows == {"train": 50, "eval": 27, "test": 23}
    found = checked(Splitting(time="year"), ["2011"] * 90 + ["2012"] * 5 + ["2013"] * 5)
    assert found.rows == {"train": 90, "eval": 5, "test": 5}


@pytest.mark.parametrize(
    "written",
    [
        "%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%m/%d/%y %H:%M",
        "%d %b %Y", "%B %d, %Y", "%Y%m%d", "%d-%b-%y",
    ],
)  # fmt: skip
def test_dates_are_ordered_however_they_are_written(written):
    found = checked(
        Splitting(time="date", splits={"train": 2, "eval": 1, "test": 1}), days(200, written)
    )
    assert found.rows == {"train": 100, "eval": 50, "test": 50}
    assert found.bounds.place(days(200, written)[99]) == 0
    assert found.bounds.place(days(200, written)[100]) == 1


def test_decimal_times_are_cut_as_tfx_keeps_them():
    times = [f"{2_000_000_000 + number}.5" for number in range(3000)]
    found = checked(Splitting(time="time"), times)
    kept = [str(float(tf.constant(float(time)))) for time in times]
    places = [found.bounds.place(time) for time in kept]
    assert [places.count(place) for place in range(3)] == list(found.rows.values())
    assert places == [found.bounds.place(time) for time in times]


def test_a_time_counts_in_utc():
    one = as_time("2013-01-31 12:00:00+02:00", ISO)
    assert one == as_time("2013-01-31T10:00Z", ISO) == as_time("2013-01-31 10:00:00", ISO)


GROUP, TIME = Splitting(group="patient"), Splitting(time="date")


@pytest.mark.parametrize(
    ("splitting", "values", "said"),
    [
        (GROUP, ["a", "b", ""] * 40, "a.csv:4: column 'patient' (`group`): the value is missing"),
        (GROUP, [str(i) for i in range(100)], "another value in each of the 100 rows"),
        (GROUP, ["a"] * 100, "'a' in every row"),
        (GROUP, ["a", "b"] * 100, "would be empty: 2 groups (a, b)"),
        (GROUP, [f"{i}.5" for i in range(50)] * 2, "'0.5' is no whole number"),
        (GROUP, [*map(str, range(50)), "nan"] * 2, "'nan' is no whole number"),
        (GROUP, [str(2**63 + i) for i in range(50)] * 2, "'9223372036854775808' is no whole"),
        (TIME, [*days(9), ""], "a.csv:11: column 'date' (`time`): the value is missing"),
        (TIME, [*days(9), "soon"], "a.csv:11: column 'date' (`time`): 'soon' is no time"),
        (TIME, [*days(9), "7"], "a.csv:11: column 'date' (`time`): '7' is no time"),
        (TIME, ["10:00:00", "11:00:00"] * 50, "'10:00:00' is no time"),
        (TIME, ["2013", "nan"], "'nan' is no time"),
        (TIME, ["01/02/2013", "05/04/2013"] * 50, "may be %d/%m/%Y or %m/%d/%Y"),
        (TIME, ["2013", "2014"] * 50, "2 different times are too few"),
        (Splitting(time="date", gap=7), days(100, "%Y%m%d"), "20130101 looks like a date"),
        (Splitting(time="date", gap=1), ["201301", "201302", "201401"], "201301 looks like a date"),
        (Splitting(time="date", gap=40), days(100), "split 'eval' would be empty"),
        (Splitting(stratify="price"), [str(i) for i in range(200)], "more than 100 different"),
        (Splitting(stratify="sort"), ["a", "b"] * 60, "'sort' (`stratify`): no value has three"),
        (GROUP, [*"abcd", " a"] * 40, "' a' and 'a' differ by spaces only"),
        (GROUP, [*"abcd", "b\t"] * 40, "'b\\t' and 'b' differ by spaces only"),
    ],
)
def test_what_cannot_be_split_is_refused(splitting, values, said):
    with pytest.raises(DataError) as raised:
        checked(splitting, values)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_strata_of_few_different_rows_are_named():
    checks = SplitChecks(Splitting(stratify=["sort", "size"]), ["row", "sort", "size"])
    for row in range(120):
        checks.add("a.csv", [str(row % 2), "rare", "s"])
        checks.add("a.csv", [str(row % 3), "often", "s"])
    assert checks.finish("a.csv").undivided == {"rare, s": 120}
    for row in range(3):
        checks.add("a.csv", [str(row), "rare", "s"])
    assert checks.finish("a.csv") is None


def test_many_groups_are_not_all_kept():
    values = [str(number // 2) for number in range(40_000)]
    assert checked(GROUP, values) is None
    with pytest.raises(DataError, match="another value in each of the 20,000 rows"):
        checked(GROUP, values[::2])


def test_a_share_is_a_share_of_the_hashes():
    splitting = Splitting(splits={"train": 1, "eval": 1, "test": 2})
    places = [hashed_place(str(number).encode(), splitting) for number in range(2000)]
    assert [places.count(place) / 2000 for place in range(3)] == pytest.approx(
        [0.25, 0.25, 0.5], abs=0.03
    )
