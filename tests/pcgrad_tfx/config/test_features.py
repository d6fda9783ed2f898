"""Features are a whitelist in which no column stands twice and no label hides."""

import json

import pytest

from pcgrad_tfx.config.features import Features, check_features, transformed_name
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.data.row_checks import RowChecks, check_columns

FEATURES = Features(
    numeric=("miles", "lat"),
    categorical=("company",),
    bucketized={"hour": 4},
    exclude={"payment": "gives the tip away"},
)


def test_json_round_trip():
    text = json.dumps(FEATURES.model_dump(mode="json"))
    assert Features.model_validate(json.loads(text)) == FEATURES


def test_columns_are_those_of_all_groups():
    assert FEATURES.columns == ("miles", "lat", "company", "hour")


def test_transformed_names_differ_from_the_columns():
    assert transformed_name("miles") == "miles_xf"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "no column is a feature"),
        ({"exclude": {"a": "why"}}, "no column is a feature"),
        ({"numeric": ("a",), "categorical": ("a",)}, "column 'a' is listed twice"),
        ({"numeric": ("a", "a")}, "column 'a' is listed twice"),
        ({"numeric": ("a",), "bucketized": {"a": 3}}, "column 'a' is listed twice"),
        ({"numeric": ("a",), "exclude": {"a": "why"}}, "'a' is a feature and excluded"),
        ({"numeric": ("a",), "exclude": {"b": ""}}, r"exclude\.b"),
        ({"numeric": ("",)}, "numeric"),
        ({"bucketized": {"a": 1}}, r"bucketized\.a"),
        ({"numeric": ("a",), "vocabulary_size": 0}, "vocabulary_size"),
        ({"numeric": ("a",), "oov_buckets": 0}, "oov_buckets"),
        ({"dates": {"a": "%Y-%j"}}, "%j is not known"),
        ({"dates": {"a": "%d.%m"}}, "needs a year and a month"),
        ({"dates": {"a": "day"}}, "needs a year and a month"),
        ({"dates": {"a": "%Y %m %Y"}}, "once each"),
        ({"numeric": ("a",), "dates": {"a": "iso"}}, "listed twice"),
        ({"numerical": ("a",)}, "numerical"),
    ],
)
def test_wrong_features(fields, message):
    with pytest.raises(ValueError, match=message):
        Features(**fields)


def test_labels_of_other_columns_are_no_leak():
    check_features(FEATURES, [Task(name="fare", kind="regression", column="fare")])


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ({"column": "miles"}, "'miles' is a feature, but the label of task 'it' derives from it"),
        ({"column": "fare", "divide_by": "miles"}, "column 'miles' is a feature"),
        ({"column": "fare", "label_key": "miles_xf"}, "'miles_xf' is a transformed feature"),
    ],
)
def test_label_among_the_features(label, message):
    with pytest.raises(ValueError, match=message):
        check_features(FEATURES, [Task(name="it", kind="regression", **label)])


def test_a_hundred_thousand_columns_are_checked():
    """In a moment; where each is looked for among all, it takes minutes."""
    names = tuple(f"column {i}" for i in range(100_000))
    features = Features(numeric=names[:50_000], categorical=names[50_000:])
    check_features(features, [Task(name="fare", kind="regression", column="fare")])
    check_columns("data.csv:1", names, names)
    checks = RowChecks(names, names, names[:50_000], names[50_000:])
    checks.add("data.csv:2", ["1"] * len(names))
    checks.finish("data.csv", 1)
