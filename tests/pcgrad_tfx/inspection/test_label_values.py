"""Labels by Transform's own operations: a column is of numbers, or of texts."""

import numpy as np
import pandas as pd
import pytest

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.inspection.label_values import (
    columns_with_texts,
    label_values,
    numbers,
    value_names,
)


def table(*cells):
    return pd.DataFrame({"code": cells}, dtype=str)


def labels_of(frame, task, text_columns=()):
    return label_values(frame, [task], text_columns)[task.name].to_numpy()


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (["8", "8.0", "08", " 9", "2.5"], ["8", "8", "8", "9", "2.5"]),
        (["9007199254740993", "-1.0"], ["9007199254740993", "-1"]),
        (["01", "2.0", "X1"], ["01", "2.0", "X1"]),
    ],
)
def test_one_text_makes_texts_of_all(values, names):
    assert list(value_names(values).values()) == names
    assert columns_with_texts({"code": values}) == ({"code"} if "X1" in values else set())


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["01", "X1", "", "02"], ("01", "02", "X1")),
        (["01", "3.0", "", "02"], ("1", "2", "3")),
    ],
)
def test_labels_of_a_column_of_codes(cells, classes):
    task = Task(name="code", kind="multiclass", column="code", classes=classes)
    np.testing.assert_equal(labels_of(table(*cells), task), [0, 2, np.nan, 1])
    task = Task(name="code", kind="binary", column="code", positive=classes[0])
    np.testing.assert_equal(labels_of(table(*cells), task), [1, 0, np.nan, 0])


def test_rows_without_the_text_are_still_of_a_column_of_texts():
    task = Task(name="code", kind="multiclass", column="code", classes=("01", "02", "X1"))
    np.testing.assert_equal(labels_of(table("01", "02"), task, {"code"}), [0, 1])


def test_truth_words_are_numbers_where_a_number_is_needed():
    task = Task(name="code", kind="binary", column="code", above=0.5)
    np.testing.assert_equal(labels_of(table("Yes", "", "no"), task), [1, np.nan, 0])
    np.testing.assert_equal(numbers(table("", "Yes", "no")["code"]), [np.nan, 1, 0])


AMOUNT = {"name": "tip", "kind": "regression", "column": "tip"}


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        (AMOUNT, [2, 0, 3, np.nan, 1, -1]),
        (AMOUNT | {"valid_above": 0}, [2, np.nan, 3, np.nan, 1, np.nan]),
        (AMOUNT | {"log_scale": True}, [2, 0, 3, np.nan, 1, np.nan]),
        (AMOUNT | {"divide_by": "fare"}, [0.2, 0, np.nan, np.nan, 0.25, np.nan]),
        (
            AMOUNT | {"kind": "binary", "divide_by": "fare", "above": 0.2},
            [0, 0, np.nan, np.nan, 1, np.nan],
        ),
        (AMOUNT | {"kind": "binary"}, [np.nan, 0, np.nan, np.nan, 1, np.nan]),
    ],
    ids=str,
)
def test_labels_of_a_column_of_amounts(task, labels):
    """A limit itself is not above it."""
    cells = {"tip": ["2", "0", "3", "", "1", "-1"], "fare": ["10", "10", "0", "5", "4", ""]}
    np.testing.assert_allclose(labels_of(pd.DataFrame(cells, dtype=str), Task(**task)), labels)


def test_a_column_without_any_value():
    task = Task(name="code", kind="binary", column="code", positive="1")
    np.testing.assert_equal(labels_of(table("", ""), task), [np.nan, np.nan])


def test_labels_of_all_kinds():
    frame = pd.DataFrame(
        {"a": ["1", "3", "", "0", "-1"], "b": ["2", "0", "1", "1", "2"], "c": [*"xyxy", ""]}
    )
    nan = np.nan
    for fields, expected in [
        ({"kind": "regression", "column": "a"}, [1, 3, nan, 0, -1]),
        ({"kind": "regression", "column": "a", "divide_by": "b"}, [0.5, nan, nan, 0, -0.5]),
        ({"kind": "regression", "column": "a", "valid_above": 0}, [1, 3, nan, nan, nan]),
        ({"kind": "regression", "column": "a", "log_scale": True}, [1, 3, nan, 0, nan]),
        ({"kind": "binary", "column": "a"}, [1, nan, nan, 0, nan]),
        ({"kind": "binary", "column": "a", "above": 0}, [1, 1, nan, 0, 0]),
        ({"kind": "binary", "column": "c", "positive": "y"}, [0, 1, 0, 1, nan]),
        ({"kind": "binary", "column": "b", "positive": "2"}, [1, 0, 0, 0, 1]),
        ({"kind": "multiclass", "column": "b", "classes": ("0", "1", "2")}, [2, 0, 1, 1, 2]),
        ({"kind": "multiclass", "column": "c", "classes": ("y", "q", "r")}, [nan, 0, nan, 0, nan]),
    ]:
        found = labels_of(frame, Task(name="it", **fields))
        np.testing.assert_allclose(found, expected, err_msg=str(fields))


def test_a_decimal_number_at_a_limit_is_not_above_it():
    """Transform sees float32, in which 0.3 / 1.5 is above 0.2."""
    frame = pd.DataFrame({"tip": ["0.3", "0.31"], "fare": ["1.5", "1.5"]})
    task = Task(name="it", kind="binary", column="tip", divide_by="fare", above=0.2)
    np.testing.assert_equal(labels_of(frame, task), [0, 1])
    task = Task(name="it", kind="regression", column="tip", valid_above=0.3)
    np.testing.assert_allclose(labels_of(frame, task), [np.nan, 0.31], rtol=1e-6)


def test_labels_of_many_rows_are_in_their_order():
    numbers = [str(i) if i % 7 else "" for i in range(20_000)]
    expected = [i if i % 7 else np.nan for i in range(20_000)]
    task = Task(name="it", kind="regression", column="a")
    found = labels_of(pd.DataFrame({"a": numbers}), task)
    np.testing.assert_equal(found, expected)
