"""What a configuration leaves out is found in the data, and what it says is checked by them."""

import re

import pandas as pd
import pytest

from pcgrad_tfx.config.features import Features
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.data.row_sample import MAX_VALUES
from pcgrad_tfx.errors import DataError
from pcgrad_tfx.inspection.column_kinds import column_kinds
from pcgrad_tfx.inspection.completion import (
    MAX_CLASSES,
    complete_features,
    complete_task,
    find_classes,
)

FRAME = pd.DataFrame(
    {
        "row": map(str, range(200)),
        "miles": [f"{i / 7:.2f}" for i in range(200)],
        "company": ["Blue", "Red"] * 100,
        "zone": [str(i % 5) for i in range(200)],
        "shared": ["True", "False"] * 100,
        "day": ["2013-01-31", "2013-02-01"] * 100,
        "same": ["x"] * 200,
        "fare": [f"{i / 3:.2f}" for i in range(200)],
        "tips": [f"{i / 9:.2f}" for i in range(200)],
    }
)
KINDS = column_kinds(FRAME)
TASKS = [Task(name="rate", kind="regression", column="tips", divide_by="fare")]
DRAFT = {"draft": True}


def draft(**features):
    return Features.model_validate(features, context=DRAFT)


def test_all_columns_are_found():
    features = complete_features(Features.model_construct(), TASKS, KINDS)
    assert features.numeric == ("miles", "shared")
    assert features.categorical == ("company", "zone")
    assert not features.left_out


def test_listed_columns_stay_where_they_are():
    given = draft(
        numeric=("zone",), bucketized={"miles": 4}, exclude={"company": "why"}, oov_buckets=3
    )
    features = complete_features(given, TASKS, KINDS)
    assert features.numeric == ("zone", "shared")
    assert features.categorical == ()
    assert features.bucketized == {"miles": 4}
    assert features.oov_buckets == 3


def test_a_column_of_no_usable_kind_is_a_feature_if_it_is_listed():
    features = complete_features(draft(categorical=("day",)), TASKS, KINDS)
    assert features.categorical == ("day", "company", "zone")


def test_a_misspelt_exclusion_would_let_the_column_in():
    with pytest.raises(DataError, match=r'features.exclude: .*compny.* did you mean "company"\?'):
        complete_features(draft(exclude={"compny": "why"}), TASKS, KINDS)


def test_nothing_to_learn_from():
    kinds = column_kinds(FRAME[["same", "day", "fare", "tips"]])
    with pytest.raises(
        DataError, match="features: no column can be one: same: 'x' in every row; d"
    ):
        complete_features(Features.model_construct(), TASKS, kinds)


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ({"Red", "Blue", "Top"}, ("Blue", "Red", "Top")),
        ({"10", "9", "8"}, ("8", "9", "10")),
        ({"1.0", "2", "03", "3"}, ("1", "2", "3")),
        ({"-1", "0", "1"}, ("-1", "0", "1")),
        ({"9007199254740993", "1", "2"}, ("1", "2", "9007199254740993")),
        ({"1", "2", "many"}, ("1", "2", "many")),
    ],
)
def test_classes(values, classes):
    assert find_classes("zone", values) == classes
    task = Task.model_validate(
        {"name": "zone", "kind": "multiclass", "column": "zone"}, context=DRAFT
    )
    assert complete_task(task, values).classes == classes


@pytest.mark.parametrize("values", [{"01", "02", "10"}, {"1.0", "1.5", "2"}, {"1", "1.0", "01"}])
def test_texts_that_look_like_numbers_stay_as_they_are(values):
    assert find_classes("zone", values, is_text=True) == tuple(sorted(values))
    task = Task.model_validate(
        {"name": "zone", "kind": "multiclass", "column": "zone"}, context=DRAFT
    )
    assert complete_task(task, values, is_text=True).classes == tuple(sorted(values))
    for value in values:
        assert complete_task(binary(positive=value), values, is_text=True).positive == value


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (set(map(str, range(MAX_CLASSES + 1))), "more than 50 values; list those .* or use kind"),
        ({"1.5", "2", "3"}, 'not whole; use kind = "regression"'),
        ({"a", "b"}, r"2 values \('a', 'b'\), .* kind = \"binary\" with `positive`"),
        (set(), r"0 values"),
    ],
)
def test_no_classes(values, message):
    with pytest.raises(DataError, match=message):
        find_classes("zone", values)


def binary(**fields):
    return Task(name="it", kind="binary", column="it", **fields)


@pytest.mark.parametrize(
    ("values", "positive"),
    [
        ({"0", "1"}, None),
        ({"0.0", "1.0", "9"}, None),
        ({"True", "False"}, "True"),
        ({"FALSE", "TRUE"}, "TRUE"),
        ({"no", "yes"}, "yes"),
        ({"N", "Y"}, "Y"),
    ],
)
def test_the_positive_value_is_found(values, positive):
    assert complete_task(binary(), values).positive == positive


def test_the_text_1_means_yes():
    assert complete_task(binary(), {"0", "1"}, is_text=True).positive == "1"
    with pytest.raises(DataError, match='holds texts, .* positive = "01" or positive = "02"'):
        complete_task(binary(), {"01", "02"}, is_text=True)


@pytest.mark.parametrize(
    ("fields", "values", "message"),
    [
        ({}, {"male", "female"}, 'holds texts, .* positive = "female" or positive = "male"'),
        ({}, {"a", "b", "c"}, r"`positive`, .* \(it has 'a', 'b', 'c' …\)"),
        ({}, {"1", "2"}, r'other numbers than 0 and 1; add positive = "1" or positive = "2"'),
        ({}, {"1", "2", "3"}, "other numbers than 0 and 1; add a threshold"),
        ({}, set(map(str, range(9))), "other numbers than 0 and 1; add a threshold"),
        ({"positive": "femal"}, {"male", "female"}, 'no such value; did you mean "female"'),
        ({"positive": "yes"}, {"yes"}, "is 'yes' in every row"),
    ],
)
def test_a_binary_label_that_does_not_fit(fields, values, message):
    with pytest.raises(DataError, match=message):
        complete_task(binary(**fields), values)


@pytest.mark.parametrize(
    ("positive", "values"), [("2", {"1.0", "2.0"}), ("Adelie", {"Adelie", "Gentoo", "Chinstrap"})]
)
def test_a_positive_value_that_is_there(positive, values):
    task = binary(positive=positive)
    assert complete_task(task, values) == task


@pytest.mark.parametrize(
    ("kind", "is_text", "remedy"),
    [
        ("multiclass", False, 'write missing = ["NA"] under [data], or list what counts in the'),
        ("multiclass", True, "leave the value out of the examples, or list `classes` without it"),
        ("binary", False, 'write missing = ["NA"] under [data], or list what counts in the task'),
        ("binary", True, "leave the value out of the examples"),
    ],
)
def test_a_text_that_seems_to_be_missing_has_a_remedy_that_fits_the_format(kind, is_text, remedy):
    task = Task.model_validate({"name": "it", "kind": kind, "column": "it"}, context=DRAFT)
    with pytest.raises(DataError, match=f"'NA', which .* value; {re.escape(remedy)}") as error:
        complete_task(task, {"a", "b", "c", "NA"}, is_text)
    assert is_text == ("under [data]" not in str(error.value))


def test_of_very_many_values_only_some_are_known():
    task = binary(positive="x")
    assert complete_task(task, {f"name {i}" for i in range(MAX_VALUES + 1)}) == task


def test_what_a_threshold_makes_needs_no_completion():
    task = binary(above=3)
    assert complete_task(task, {"1", "2", "7"}) == task
