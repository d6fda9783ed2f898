"""A task that counts only on the rows where columns have certain values."""

import math

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pcgrad_tfx.config.features import Features, check_features, required_columns
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.data.labels import label, weight
from pcgrad_tfx.errors import DataError
from pcgrad_tfx.inspection.column_kinds import column_kinds
from pcgrad_tfx.inspection.completion import check_conditions, complete_features
from pcgrad_tfx.inspection.label_checks import label_problems
from pcgrad_tfx.inspection.label_values import label_values

BOUGHT = {"name": "bought", "kind": "binary", "column": "bought"}
AMOUNT = {"name": "amount", "kind": "regression", "column": "amount", "valid_above": 0}
KIND = {"name": "kind", "kind": "multiclass", "column": "kind", "classes": ("a", "b", "c")}


def sparse(values, dtype):
    """A raw column, as Transform sees it: nothing where the value is None."""
    places = [[row, 0] for row, value in enumerate(values) if value is not None]
    known = tf.constant([value for value in values if value is not None], dtype)
    return tf.SparseTensor(
        tf.reshape(tf.constant(places, tf.int64), [-1, 2]), known, [len(values), 1]
    )


def column_of(dtype, values):
    """Raw values, and the name that each of them has in a configuration."""
    names = {None: None, **values}
    cells = st.lists(st.sampled_from(list(names)), min_size=5, max_size=5)
    return st.tuples(st.just(dtype), cells, st.just(names))


columns = st.one_of(
    column_of(tf.int64, {0: "0", 1: "1", -7: "-7", 2**53 + 1: "9007199254740993"}),
    column_of(tf.float32, {0.0: "0", 1.0: "1", 0.1: "0.1", math.nan: None}),
    column_of(tf.string, {"1": "1", "1.0": "1.0", "True": "True", "": None, " a": " a"}),
)


@given(
    column=columns,
    wanted=st.sets(
        st.sampled_from(["0", "1", "0.1", "1.0", "True", " a", "-7", "9007199254740993"]),
        min_size=1,
    ),
    data=st.data(),
)
@settings(deadline=None, max_examples=60, derandomize=True, database=None)
def test_a_row_has_a_label_where_the_column_has_one_of_the_values(column, wanted, data):
    dtype, cells, names = column
    rows = len(cells)
    raw = {
        "bought": sparse(
            data.draw(st.lists(st.sampled_from([0, 1, 2, None]), min_size=rows, max_size=rows)),
            tf.int64,
        ),
        "amount": sparse(
            data.draw(st.lists(st.sampled_from([-1.0, 2.5, None]), min_size=rows, max_size=rows)),
            tf.float32,
        ),
        "kind": sparse(
            data.draw(st.lists(st.sampled_from([*"abd", None]), min_size=rows, max_size=rows)),
            tf.string,
        ),
        "where": sparse(cells, dtype),
    }
    # "1.0" names the number 1, but not the text "1".
    equal = wanted | ({"1"} if "1.0" in wanted and dtype != tf.string else set())
    met = [names[cell] in equal for cell in cells]
    for fields in (BOUGHT, AMOUNT, KIND):
        everywhere, has_label = label(raw, Task(**fields))
        values, valid = label(raw, Task(**fields, only_where={"where": list(wanted)}))
        np.testing.assert_array_equal(valid, np.logical_and(has_label, met))
        np.testing.assert_array_equal(values, np.where(valid, everywhere, 0))


@pytest.mark.parametrize("written", [1, 1.0, "1", ["0", 1], "01"])
@pytest.mark.parametrize("cells", [["1", "2", ""], ["1.0", "2.5", ""]])
def test_a_number_may_be_written_in_any_way(written, cells):
    frame = pd.DataFrame({"bought": ["0", "1", "1"], "click": cells}, dtype=str)
    task = Task(**BOUGHT, only_where={"click": written})
    np.testing.assert_equal(label_values(frame, [task])["bought"].to_numpy(), [0, np.nan, np.nan])


def test_all_columns_must_have_one_of_their_values():
    frame = pd.DataFrame({"bought": [*"1011"], "click": [*"1110"], "zone": [*"abca"]}, dtype=str)
    task = Task(**BOUGHT, only_where={"click": 1, "zone": ["a", "b"]})
    np.testing.assert_equal(
        label_values(frame, [task])["bought"].to_numpy(), [1, 0, np.nan, np.nan]
    )


def test_the_column_of_the_label_may_say_which_of_its_values_count():
    frame = pd.DataFrame({"status": ["sold", "open", "draft", ""]}, dtype=str)
    sold = {"name": "sold", "kind": "binary", "column": "status", "positive": "sold"}
    task = Task(**sold, only_where={"status": ["sold", "open"]})
    np.testing.assert_equal(label_values(frame, [task])["sold"].to_numpy(), [1, 0, np.nan, np.nan])


def test_its_columns_must_be_there_and_need_not_hold_numbers():
    tasks = [
        Task(**AMOUNT, only_where={"zone": "a", "click": 1}),
        Task(name="click", kind="binary", column="click"),
    ]
    required, numeric = required_columns(Features(numeric=("miles",)), tasks)
    assert required == {"miles", "amount", "zone", "click"}
    assert numeric == {"miles", "amount", "click"}


def test_such_a_column_is_a_feature_only_if_it_is_listed():
    frame = pd.DataFrame(
        {
            "miles": [f"{i}.5" for i in range(50)],
            "zone": [*"ab"] * 25,
            "amount": ["1.5", "2"] * 25,
            "click": ["0", "1"] * 25,
        },
        dtype=str,
    )
    task = Task(**AMOUNT, only_where={"zone": "a"})
    kinds = column_kinds(frame[["miles", "zone", "amount"]])
    found = complete_features(Features.model_construct(), [task], kinds)
    assert found.columns == ("miles",)
    listed = Features(numeric=("miles",), categorical=("zone",))
    check_features(listed, [task])
    click = Task(name="click", kind="binary", column="click")
    with pytest.raises(ValueError, match="'click' is a feature, but the label of task 'click'"):
        check_features(
            Features(categorical=("click",)), [click, Task(**BOUGHT, only_where={"click": 1})]
        )


@pytest.mark.parametrize(
    ("wanted", "values", "message"),
    [
        (
            {"zone": "d"},
            {"zone": {"a", "b"}},
            "`only_where` asks for 'd', but column 'zone' has no such value; there are: a, b",
        ),
        (
            {"zone": ["a", "Sold"]},
            {"zone": {"a", "sold"}},
            "asks for 'Sold', .* did you mean \"sold\"",
        ),
        (
            {"click": True},
            {"click": {"0", "1"}},
            "asks for 'True', but column 'click' has no such value; there are: 0, 1",
        ),
        ({"click": 1.0}, {"click": {"0", "x1"}}, "asks for '1', but column 'click'"),
    ],
)
def test_a_value_that_the_data_do_not_have(wanted, values, message):
    with pytest.raises(DataError, match=message):
        check_conditions(Task(**BOUGHT, only_where=wanted), values)


@pytest.mark.parametrize(
    ("wanted", "values"),
    [
        ({"click": 1}, {"0.0", "1.0"}),
        ({"click": "1.0"}, {"0", "1"}),
        ({"click": ["y", "n"]}, {"y", "n", "1"}),
    ],
)
def test_values_that_the_data_have(wanted, values):
    check_conditions(Task(**BOUGHT, only_where=wanted), {"click": values})


def test_what_is_left_out_is_no_wrong_value():
    frame = pd.DataFrame(
        {"bought": ["0", "1", "-1", "-1"] * 30, "click": [*"1100"] * 30}, dtype=str
    )
    tasks = [Task(**BOUGHT, only_where={"click": 1})]
    assert not list(label_problems(frame, label_values(frame, tasks), tasks))
    frame["click"] = ["1", "1", "1", "0"] * 30
    (problem,) = label_problems(frame, label_values(frame, tasks), tasks)
    assert "column 'bought' holds '-1', too, in 25.0% of the rows" in problem


def test_no_row_that_counts_has_a_label():
    frame = pd.DataFrame({"amount": ["1.5", ""] * 60, "zone": ["a", "b"] * 60}, dtype=str)
    tasks = [Task(**AMOUNT, only_where={"zone": "b"})]
    (problem,) = label_problems(frame, label_values(frame, tasks), tasks)
    assert "no row has a label: no row with a value in column 'amount' is one of `onl" in problem


@pytest.mark.parametrize("dtype", [tf.float32, tf.int64])
def test_a_weight_is_never_missing_or_negative(dtype):
    values, wanted = [2, 0, -3, None], [2, 0, 0, 0]
    if dtype.is_floating:
        values, wanted = [*values, 0.5, math.nan, math.inf], [*wanted, 0.5, 0, 0]
    found = weight({"cost": sparse(values, dtype)}, "cost")
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found, wanted)
