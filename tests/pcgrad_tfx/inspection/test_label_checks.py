"""Labels that nothing can be learned from are named before a run."""

import pandas as pd
import pytest

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.inspection.label_checks import label_problems, missing_weights, rare_values
from pcgrad_tfx.inspection.label_values import label_values


def frame(**columns):
    rows = 120
    return pd.DataFrame({name: (cells * rows)[:rows] for name, cells in columns.items()}, dtype=str)


def problems(table, *tasks):
    return list(label_problems(table, label_values(table, tasks), tasks))


REGRESSION = {"name": "fare", "kind": "regression", "column": "fare"}
CLASSES = {"name": "sort", "kind": "multiclass", "column": "sort", "classes": ("a", "b", "c")}

PAID = {"name": "paid", "kind": "binary", "column": "paid"}

PROBLEMS = {
    "negative amounts on a logarithmic scale": (
        REGRESSION | {"log_scale": True},
        {"fare": ["-1", "-2.5", ""]},
        (
            "no row has a label: column 'fare' is negative, and with `log_scale` nothing may be "
            "(it has '-1'); correct the task or the data"
        ),
    ),
    "nothing above the limit": (
        REGRESSION | {"valid_above": 10},
        {"fare": ["1", "2"]},
        "no row has a label: column 'fare' is nowhere above `valid_above`, 10 (it has '1')",
    ),
    "nothing to divide by": (
        REGRESSION | {"divide_by": "miles"},
        {"fare": ["1", "2"], "miles": ["0", "-1"]},
        "no row has a label: column 'miles' (`divide_by`) is nowhere positive there (it has '1')",
    ),
    "none of the classes": (
        CLASSES,
        {"sort": [" a", " b"]},
        "no row has a label: column 'sort' holds none of `classes` (it has ' a')",
    ),
    "negative counts": (
        REGRESSION | {"loss": "poisson"},
        {"fare": ["1", "-2", "0"]},
        (
            "a label made of column 'fare' is -2, and loss 'poisson' needs labels of at least 0; "
            "correct it, or choose another `loss`"
        ),
    ),
    "one class": (CLASSES, {"sort": ["b", ""]}, "the label made of column 'sort' is 'b' in every"),
    "never above the threshold": (
        {"name": "tip", "kind": "binary", "column": "tip", "above": 5},
        {"tip": ["1", "2"]},
        "the label made of column 'tip' is 0 in every row that has one; choose another column or",
    ),
    "a third value": (
        PAID,
        {"paid": ["0", "1", "2", ""]},
        "column 'paid' holds '2', too, in 25.0% of the rows, and such rows would have no label: ",
    ),
    "1 and 2": (PAID, {"paid": ["1", "2"]}, "column 'paid' holds '2', too, in 50.0% of the rows"),
    "1 and -1": (PAID, {"paid": ["1", "-1"]}, "column 'paid' holds '-1', too, in 50.0% of the"),
    "shares": (PAID, {"paid": ["0", "1", "0.5"]}, "column 'paid' holds '0.5', too, in 33.3% of"),
    "what is not below the limit": (
        PAID | {"valid_above": -0.5},
        {"paid": ["0", "1", "-1", "9"]},
        "column 'paid' holds '9', too, in 25.0% of the rows",
    ),
    "neither": (
        PAID,
        {"paid": ["2", "3"]},
        "no row has a label: column 'paid' holds neither 0 nor 1 (it has '2')",
    ),
    "one amount": (REGRESSION, {"fare": ["7.5", ""]}, "is 7.5 in every row that has one"),
    "one amount on a logarithmic scale": (
        REGRESSION | {"log_scale": True},
        {"fare": ["7.5", "-1"]},
        "is 7.5 in every row that has one",
    ),
    "an amount whose square overflows": (
        REGRESSION,
        {"fare": ["1", "-3e17"]},
        "is as large as 3e+17; beyond 1e+15 its error overflows: give the column in a larger unit",
    ),
    "a prediction that overflows": (
        REGRESSION | {"log_scale": True},
        {"fare": ["1", "3e38"]},
        "is as large as 3e+38; beyond 1e+30",
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_is_one_line(name):
    task, columns, said = PROBLEMS[name]
    other = Task(name="other", kind="regression", column="other")
    table = frame(other=["1", "2"], **columns)
    (problem,) = problems(table, other, Task(**task))
    assert problem.startswith("tasks[1]: ")
    assert said in problem
    assert len(problem.splitlines()) == 1


def test_labels_that_vary_are_no_problem_however_many_are_missing():
    table = frame(fare=["", "", "-1e15", "1e15"], sort=["", "a", "x", "c"])
    assert not problems(table, Task(**REGRESSION), Task(**CLASSES))


@pytest.mark.parametrize(
    ("task", "cells"),
    [
        ({}, ["0", "1", ""]),
        ({}, ["0.0", "1.0", "01"]),
        ({"valid_above": -0.5}, ["0", "1", "-1"]),
        ({"above": 1}, ["0", "1", "2"]),
        ({"positive": "2"}, ["0", "1", "2"]),
    ],
)
def test_values_of_a_binary_task_that_are_no_problem(task, cells):
    assert not problems(frame(paid=cells), Task(**PAID, **task))


def test_classes_of_few_rows_are_remarked():
    table = frame(sort=["a"] * 60 + ["b"] * 40 + ["c"] * 20, paid=["0", "1"])
    tasks = [Task(**CLASSES), Task(name="paid", kind="binary", column="paid")]
    (remark,) = rare_values(label_values(table, tasks), tasks)
    assert remark.startswith("task sort: few rows of 'c' in 20 rows: if the test split has none")


def test_a_class_of_no_row_is_remarked():
    task = Task(**CLASSES)
    (remark,) = rare_values(label_values(frame(sort=["a", "b"]), [task]), [task])
    assert remark.startswith("task sort: few rows of 'c' in 0 rows: if the test split has none")


WEIGHED = Task(**REGRESSION, weight="cost")


@pytest.mark.parametrize(
    ("cost", "problem"),
    [
        (
            ["1", "-2.5", "0"],
            "column 'cost' (`weight`) holds -2.5, and a weight is never negative;",
        ),
        (["0", "0.0", ""], "no row that has a label has a weight in column 'cost'; fill it"),
        # Without a label its weight does not matter.
        (["1", "0", "", "-1"], None),
    ],
)
def test_weights_that_cannot_be_right(cost, problem):
    table = frame(fare=["1", "2", "3", ""], cost=[*cost, "1"][:4])
    found = problems(table, WEIGHED)
    assert len(found) == (problem is not None)
    assert all(line.startswith(f"tasks[0]: {problem}") for line in found)


def test_rows_without_a_weight_are_pointed_out():
    table = frame(fare=["1", "2", "3", ""], cost=["1", "2", "", ""])
    (remark,) = missing_weights(table, label_values(table, [WEIGHED]), [WEIGHED, Task(**PAID)])
    assert remark == (
        "task fare: column 'cost' (`weight`) is empty in 33.3% of the rows that have a label; they "
        "do not count"
    )
    full = frame(fare=["1", "2"], cost=["1", "0"])
    assert not list(missing_weights(full, label_values(full, [WEIGHED]), [WEIGHED]))
