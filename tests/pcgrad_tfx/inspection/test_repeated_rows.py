"""Rows that are in several splits."""

import numpy as np
import pandas as pd
import pytest

from pcgrad_tfx.config.features import Features
from pcgrad_tfx.config.splitting import BY_HASH, Splitting
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.inspection.repeated_rows import repeated_rows

TASKS = [Task(name="y", kind="regression", column="y")]
FEATURES = Features(numeric=("x",), categorical=("colour",))
ROWS = 1000


@pytest.fixture
def frame():
    """All rows differ."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": np.arange(ROWS),
            "x": rng.normal(size=ROWS).round(6),
            "colour": rng.choice(["blue", "red"], ROWS),
            "y": rng.normal(size=ROWS).round(6),
        }
    ).astype(str)


def remarks(frame, splits=None, splitting=BY_HASH):
    splits = ["all"] * len(frame) if splits is None else splits
    return list(repeated_rows(frame, splits, FEATURES, TASKS, splitting))


def again(frame, number):
    """With so many of the rows once more, of other numbers."""
    more = frame[:number].assign(id=[f"again {i}" for i in range(number)])
    return pd.concat([frame, more], ignore_index=True)


def test_rows_that_differ_in_a_number_only(frame):
    assert remarks(frame) == []
    (remark,) = remarks(again(frame, 30))
    assert "60 of 1,030 rows are like another one" in remark
    assert "differ in id only" in remark
    assert remarks(again(frame, 4)) == []  # few


def test_equal_rows_come_into_the_same_split(frame):
    assert remarks(pd.concat([frame, frame[:100]])) == []


def test_rows_of_one_group_or_time_stay_together(frame):
    more = again(frame, 100)
    more["group"] = [*range(ROWS), *range(100)]
    more = more.astype(str)
    assert remarks(more) != []
    assert remarks(more, splitting=Splitting(group="group")) == []
    assert remarks(more, splitting=Splitting(time="group")) == []
    assert remarks(more, splitting=Splitting(group="id")) != []


def test_splits_of_the_users_own(frame):
    splits = ["train"] * 800 + ["eval"] * 100 + ["test"] * 100
    assert remarks(frame, splits) == []
    (remark,) = remarks(again(frame, 20), [*splits, *["test"] * 20])
    assert remark.startswith("20 of 120 rows of test are in train, too")
    (remark,) = remarks(again(frame, 20), [*splits, *["eval"] * 20])
    assert remark.startswith("20 of 120 rows of eval are in train, too")
    # Within a split nothing is wrong.
    assert remarks(again(frame, 20), [*splits, *["train"] * 20]) == []


def test_rows_of_few_values_are_alike_by_chance(frame):
    small = frame.assign(x=frame["colour"], y=[str(i % 3) for i in range(ROWS)])
    assert remarks(small) == []
    rounded = frame.assign(
        x=[f"{i % 200}" for i in range(ROWS)], y=[str(i % 3) for i in range(ROWS)]
    )
    assert remarks(rounded) == []
