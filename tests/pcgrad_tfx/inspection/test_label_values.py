"""Values of a label are called what Transform calls them: a column is of numbers, or of texts."""

import numpy as np
import pandas as pd
import pytest

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.inspection.label_values import columns_with_texts, label_values, value_names


def table(*cells):
    return pd.DataFrame({"code": cells}, dtype=str)


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
    np.testing.assert_equal(label_values(table(*cells), task), [0, 2, np.nan, 1])
    task = Task(name="code", kind="binary", column="code", positive=classes[0])
    np.testing.assert_equal(label_values(table(*cells), task), [1, 0, np.nan, 0])


def test_rows_without_the_text_are_still_of_a_column_of_texts():
    task = Task(name="code", kind="multiclass", column="code", classes=("01", "02", "X1"))
    np.testing.assert_equal(label_values(table("01", "02"), task, {"code"}), [0, 1])


AMOUNT = {"name": "tip", "kind": "regression", "column": "tip"}


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        (AMOUNT, [2, 0, 3, np.nan, 1, -1]),
        (AMOUNT | {"valid_above": 0}, [2, np.nan, 3, np.nan, 1, np.nan]),
        (AMOUNT | {"log_scale": True}, [np.log(3), 0, np.log(4), np.nan, np.log(2), np.nan]),
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
    found = label_values(pd.DataFrame(cells, dtype=str), Task(**task))
    np.testing.assert_allclose(found, labels)


def test_a_column_without_any_value():
    task = Task(name="code", kind="binary", column="code", positive="1")
    np.testing.assert_equal(label_values(table("", ""), task), [np.nan, np.nan])
