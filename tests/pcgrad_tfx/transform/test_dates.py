"""Dates in TensorFlow: their parts are those that Python and pandas compute."""

import datetime
import math
import re

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from pcgrad_tfx.config.features import DATE_PARTS
from pcgrad_tfx.data.times import FORMATS, ISO, NUMBER, as_time
from pcgrad_tfx.transform.dates import date_parts

MOMENTS = [
    datetime.datetime(1900, 2, 28, 23, 59, 59),
    datetime.datetime(1969, 12, 31, 12, 0, 0),
    datetime.datetime(1970, 1, 1),
    datetime.datetime(2000, 2, 29, 1, 2, 3),
    datetime.datetime(2013, 1, 31, 13, 5, 0),
    datetime.datetime(2024, 12, 31, 23, 59, 59),
    datetime.datetime(2100, 3, 1, 0, 30, 0),
    *(datetime.datetime(2013, 1, 1) + datetime.timedelta(hours=37 * i) for i in range(300)),
]


def parts_of(values, written):
    return {
        part: found.numpy()
        for part, found in date_parts({"it": tf.constant(values)}, "it", written).items()
    }


def expected(times):
    times = pd.DatetimeIndex(times)
    seconds = times.hour * 3600 + times.minute * 60 + times.second
    angles = {
        "month": (times.month - 1) / 12,
        "weekday": times.weekday / 7,
        "hour": seconds / 86_400,
    }
    found = {"year": times.year, "days": (times - pd.Timestamp(1970, 1, 1)) / pd.Timedelta(days=1)}
    for name, turn in angles.items():
        found |= {f"{name}_sin": np.sin(2 * np.pi * turn), f"{name}_cos": np.cos(2 * np.pi * turn)}
    return {part: np.asarray(found[part], float) for part in DATE_PARTS}


def assert_equal(found, known):
    assert list(found) == list(DATE_PARTS)
    for part in DATE_PARTS:
        np.testing.assert_allclose(found[part], known[part], rtol=0, atol=1e-9, err_msg=part)


def test_seconds_and_milliseconds_since_1970():
    seconds = np.array([time.replace(tzinfo=datetime.timezone.utc).timestamp() for time in MOMENTS])
    known = expected(MOMENTS)
    assert_equal(parts_of(seconds, "seconds"), known)
    assert_equal(parts_of(1000 * seconds, "milliseconds"), known)
    assert_equal(parts_of(seconds.astype(np.int64), "seconds"), known)


@pytest.mark.parametrize("written", [one for one in FORMATS if one not in (ISO, NUMBER)])
def test_every_way_of_writing_that_is_found_is_understood(written):
    """Also without leading zeros, and of two digits the year that Python takes them for."""
    values = [time.strftime(written) for time in MOMENTS]
    values += [re.sub(r"(?<![0-9:])0(?=[0-9][./-])", "", value) for value in values]
    days = [as_time(value, written) for value in values]
    times = [pd.Timestamp(1970, 1, 1) + pd.Timedelta(seconds=round(day * 86_400)) for day in days]
    assert_equal(parts_of(values, written), expected(times))


@pytest.mark.parametrize(
    "text",
    [
        "2013-01-31", "2013-01-31 13:05", "2013-01-31T13:05:59", "2013-01-31T13:05:59.123Z",
        "2013-01-31 13:05:59+02", "2013-01-31T13:05:59-0330", "2013-01-31 23:05 UTC",
        "2013-12-31T23:30:00-01:00", " 2013-01-31 ", "9999-12-31", "0001-01-01 12:00",
        "1600-02-29T10:00:00.5", "2263-01-01 00:00:00-05:30",
    ],
)  # fmt: skip
def test_iso(text):
    (days,) = parts_of([text], ISO)["days"]
    assert days == pytest.approx(math.floor(as_time(text, ISO) * 86_400 + 1e-3) / 86_400, abs=1e-9)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (ISO, ""), (ISO, "soon"), (ISO, "2013-13-01"), (ISO, "2013-01-31 25:00"), (ISO, "2013"),
        (ISO, "x2013-01-31"), ("%d.%m.%Y", "2013-01-31"), ("%d.%m.%Y", "1.2.2013 10:00"),
        ("%d %b %Y", "31 Jam 2013"), ("%d %B %Y", "31 Decxxxxx 2013"), ("%d %B %Y", "31 Dec 2013"),
        (ISO, "0000-01-01"), ("%d.%m.%Y", "0.1.2013"),
        (ISO, "2013-02-31"), (ISO, "1900-02-29 10:00"), (ISO, "2013-01-31 23:60"),
        (ISO, "2013-01-31 23:59:60"), ("%d.%m.%Y", "31.04.2013"), ("%d.%m.%y", "29.02.13"),
        ("%b %d, %Y", "Feb 30, 2013"), ("%m/%d/%y %I:%M %p", "12/31/13 13:05 PM"),
        ("%m/%d/%y %I:%M %p", "12/31/13 0:05 AM"),
    ],
)  # fmt: skip
def test_what_is_no_date_is_missing(written, text):
    assert as_time(text, written) is None
    found = parts_of([text, text], written)
    assert all(np.isnan(values).all() for values in found.values())


def test_days_without_marks_may_be_whole_numbers():
    days = np.array([20130131, 20240229, 20130231])
    known = expected([datetime.datetime(2013, 1, 31), datetime.datetime(2024, 2, 29)])
    found = parts_of(days, "%Y%m%d")
    assert_equal({part: values[:2] for part, values in found.items()}, known)
    assert np.isnan(found["year"][2])


@pytest.mark.parametrize(
    ("written", "texts"),
    [("%H:%M", ["6:00", "18:00", "24:00"]), ("%I:%M %p", ["06:00 am", "6:00 PM", "13:00 PM"]),
     ("%H:%M:%S", ["06:00:00", "18:00:00", "soon"])],
)  # fmt: skip
def test_times_of_a_day_have_no_other_parts(written, texts):
    found = parts_of(texts, written)
    assert list(found) == ["hour_sin", "hour_cos"]
    np.testing.assert_allclose(found["hour_sin"], [1, -1, np.nan], atol=1e-9)
    np.testing.assert_allclose(found["hour_cos"], [0, 0, np.nan], atol=1e-9)
