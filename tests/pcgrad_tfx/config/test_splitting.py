"""How rows are to be split: what may be said, and what contradicts itself."""

import pytest
from pydantic import ValidationError

from pcgrad_tfx.config.splitting import BY_HASH, Splitting


def test_one_column_is_a_list_of_one():
    assert Splitting(stratify="sort").stratify == ("sort",)
    assert Splitting(stratify=["sort", "size"]).columns == ("sort", "size")


@pytest.mark.parametrize(
    ("given", "columns", "no_features"),
    [
        ({}, (), ()),
        ({"group": "patient"}, ("patient",), ("patient",)),
        ({"time": "date", "gap": 2}, ("date",), ("date",)),
        ({"stratify": "sort"}, ("sort",), ()),
    ],
)
def test_what_a_row_is_split_by_is_no_feature_unless_it_is_a_class(given, columns, no_features):
    splitting = Splitting(**given)
    assert splitting.columns == columns
    assert splitting.no_features == no_features


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"group": "a", "time": "b"}, "`group` and `time` are two ways"),
        ({"group": "a", "stratify": "b"}, "`group` and `stratify` are two ways"),
        ({"time": "a", "stratify": "b"}, "`time` and `stratify` are two ways"),
        ({"gap": 3}, "add `time`"),
        ({"group": "a", "gap": 3}, "add `time`"),
        ({"time": "a", "gap": -1}, "greater than or equal to 0"),
        ({"stratify": ["a", "b", "a"]}, "names 'a' twice"),
        ({"splits": {"train": 8, "eval": 0, "test": 1}}, "greater than or equal to 1"),
        ({"splits": {"train": 8, "eval": 1}}, "test"),
        ({"splits": {"train": 0.8, "eval": 0.1, "test": 0.1}}, "integer"),
        ({"group": ""}, "at least 1 character"),
    ],
)
def test_contradictions_are_refused(given, said):
    with pytest.raises(ValidationError) as raised:
        Splitting(**given)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("splitting", "text"),
    [
        (BY_HASH, "8:1:1, by a hash of the row"),
        (Splitting(group="patient"), "8:1:1, groups of patient stay together"),
        (Splitting(time="date", gap=7), "8:1:1, in the order of date, 7 left out between them"),
        (
            Splitting(stratify=["a", "b"], splits={"train": 2, "eval": 1, "test": 1}),
            "2:1:1, within each value of a, b",
        ),
    ],
)
def test_it_is_said_in_words(splitting, text):
    assert str(splitting) == text
