"""Features are prepared in serving as in training."""

import functools
import json
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pcgrad_tfx.config.features import DATE_PARTS, Features
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.data.labels import numbers
from pcgrad_tfx.transform.preprocessing import embedding_sizes, preprocessing_fn
from pcgrad_tfx.transform.vocabularies import read_vocabularies
from transform_runs import (
    COMPANIES,
    FEATURES,
    NAN,
    TRAINING_ROWS,
    config_of,
    run_transform,
)


def test_a_row_is_transformed_in_serving_as_in_training(transformed):
    served = transformed.serve_all(TRAINING_ROWS)
    rows = [
        {name: values[i].item() for name, values in served.items()}
        for i in range(len(TRAINING_ROWS))
    ]
    key = functools.partial(json.dumps, sort_keys=True)
    assert sorted(map(key, rows)) == sorted(map(key, transformed.training_rows))


def test_ranks_and_dtypes(transformed):
    outputs = transformed.serve_all(TRAINING_ROWS[:3])
    ids = {f"{column}_xf" for column in (*FEATURES.categorical, *FEATURES.bucketized)}
    ids |= {"payment_label", "zone_label", "stars_label", "half_label"}
    for name, value in outputs.items():
        assert value.shape == (3,)
        assert value.dtype == (np.int64 if name in ids else np.float32), name


def test_numeric_feature_has_mean_0_and_variance_1(transformed):
    outputs = transformed.serve_features(TRAINING_ROWS[:24])
    for name in ("miles_xf", "started_xf"):
        np.testing.assert_allclose(outputs[name].mean(), 0, atol=1e-6)
        np.testing.assert_allclose(outputs[name].std(), 1, rtol=1e-6)


def test_a_number_far_beyond_all_others_is_brought_near(transformed):
    """Some float32 numbers are more deviations away than float32 can hold."""
    outputs = transformed.serve_features([{"miles": [m]} for m in (3e38, -3e38, 1e9, 23.0)])
    far, low, near, seen = outputs["miles_xf"]
    assert (far, low) == (1e6, -1e6)
    assert near == 1e6
    assert seen < 2


def test_integers_too_large_for_float32_keep_their_differences(transformed):
    outputs = transformed.serve_features(TRAINING_ROWS[:24])
    np.testing.assert_allclose(outputs["started_xf"], outputs["miles_xf"], rtol=1e-5)


@pytest.mark.parametrize("row", [{}, {"miles": [NAN]}, {"miles": [math.inf]}])
def test_missing_number_becomes_the_training_mean(transformed, row):
    mean = {"miles": [11.5]}
    outputs = transformed.serve_features([row, mean])
    assert outputs["miles_xf"].tolist() == [0, 0]


def test_column_that_is_constant_or_empty_in_training_gives_0(transformed):
    outputs = transformed.serve_features([{"same": [99.0], "empty": [5.0]}])
    assert outputs["same_xf"] == 0
    assert outputs["empty_xf"] == 0


def test_parts_of_a_date_are_numbers(transformed):
    names = [f"when_{part}_xf" for part in DATE_PARTS]
    for name in names:
        values = [row[name] for row in transformed.training_rows[:24]]
        assert np.mean(values) == pytest.approx(0, abs=1e-6)
        assert np.std(values) == pytest.approx(0 if "year" in name else 1, abs=1e-5)
    rows = [{"when": ["2013-04-01T14:00:00+02:00"]}, {}, {"when": [""]}, {"when": ["soon"]}]
    outputs = transformed.serve_features(rows)
    for name, like in (("when_hour_sin_xf", 12), ("when_month_cos_xf", 3)):
        assert outputs[name][0] == pytest.approx(transformed.training_rows[like][name], abs=1e-6)
    assert all(outputs[name][1:].tolist() == [0, 0, 0] for name in names)


def test_category_ids(transformed):
    rows = [{"company": [name]} for name in ("Blue", "Red", "Top", "Rare", "Unseen")]
    missing, blue, red, top, rare, unseen = transformed.serve_features([{}, *rows])["company_xf"]
    assert missing == 0
    assert (blue, {red, top}) == (1, {2, 3})
    assert {rare, unseen} <= {4, 5}


def test_integers_can_be_categories(transformed):
    ids = transformed.serve_features([{}, {"area": [0]}, {"area": [1]}, {"area": [2]}])["area_xf"]
    assert ids[0] == 0
    assert set(ids[1:3]) == {1, 2}
    assert ids[3] in (3, 4)


def test_integers_written_with_a_point_are_categories_too(transformed):
    rows = [{}, {"dropoff": [8.0]}, {"dropoff": [NAN]}, {"dropoff": [8.5]}]
    missing, known, not_a_number, unseen = transformed.serve_features(rows)["dropoff_xf"]
    assert missing == not_a_number == 0
    assert known in (1, 2)
    assert unseen >= 3
    assert b"8" in read_vocabularies(transformed.output)["dropoff"]


def test_empty_text_is_missing(transformed):
    assert transformed.serve_features([{"company": [""]}])["company_xf"] == 0


def test_buckets_are_of_equal_size_and_a_missing_value_is_in_the_medians(transformed):
    served = transformed.serve_features([*TRAINING_ROWS[:24], {}, {"hour": [-5]}, {"hour": [99]}])
    buckets = served["hour_xf"]
    assert np.bincount(buckets[:24]).tolist() == [6, 6, 6, 6]
    assert buckets[24] == buckets[12]
    assert (buckets[25], buckets[26]) == (0, 3)


def test_missing_value_is_in_the_medians_bucket_also_where_values_repeat(transformed):
    served = transformed.serve_features([{}, {"zeros": [NAN]}, {"zeros": [0.0]}, {"zeros": [23.0]}])
    missing, not_a_number, zero, large = served["zeros_xf"]
    assert missing == not_a_number == zero
    assert large > zero


def test_features_do_not_need_label_columns(transformed):
    outputs = transformed.serve_features(TRAINING_ROWS)
    assert set(outputs) == set(FEATURES.transformed_names)
    everything = transformed.serve_all(TRAINING_ROWS)
    for name, value in outputs.items():
        np.testing.assert_array_equal(value, everything[name])


def test_embedding_sizes(transformed):
    sizes = embedding_sizes(FEATURES, transformed.output)
    assert sizes["company_xf"] == 1 + 3 + 2
    assert sizes["area_xf"] == sizes["dropoff_xf"] == 1 + 2 + 2
    assert (sizes["hour_xf"], sizes["zeros_xf"]) == (4, 5)
    assert "miles_xf" not in sizes


def optional(values):
    return st.one_of(st.just([]), values.map(lambda value: [value]))


any_float = st.floats(width=32)
any_int = st.integers(-(2**63), 2**63 - 1)
any_text = st.one_of(st.sampled_from(COMPANIES), st.text(max_size=5))
any_row = st.fixed_dictionaries(
    {
        "miles": optional(any_float),
        "started": optional(any_int),
        "same": optional(any_float),
        "empty": optional(any_float),
        "company": optional(any_text),
        "area": optional(any_int),
        "dropoff": optional(any_float),
        "never": optional(any_text),
        "hour": optional(any_int),
        "zeros": optional(any_float),
        "when": optional(st.one_of(any_text, st.datetimes().map(str))),
    }
)


@given(rows=st.lists(any_row, min_size=1, max_size=4))
@settings(deadline=None, max_examples=50)
def test_any_row_gives_finite_numbers_and_ids_in_range(transformed, rows):
    outputs = transformed.serve_features(rows)
    sizes = embedding_sizes(FEATURES, transformed.output)
    for name, value in outputs.items():
        assert np.isfinite(value).all(), name
        if name in sizes:
            assert ((value >= 0) & (value < sizes[name])).all(), name


@given(rows=st.lists(any_row, min_size=1, max_size=4))
@settings(deadline=None, max_examples=20)
def test_a_row_does_not_depend_on_its_batch(transformed, rows):
    batch = transformed.serve_features(rows)
    for i, row in enumerate(rows):
        for name, value in transformed.serve_features([row]).items():
            assert value[0] == batch[name][i]


def call(inputs, tasks=None, features=None):
    tasks = tasks or (Task(name="fare", kind="regression", column="fare"),)
    features = features or Features(numeric=("miles",))
    return preprocessing_fn(inputs, config_of(tasks, features))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"mile": tf.constant([1.0])}, 'column .miles. is not in the data; did you mean "mile"?'),
        ({"x": tf.constant([1.0])}, "column 'miles' is not in the data; there are: x"),
    ],
)
def test_unfit_column_is_named(inputs, message):
    with tf.Graph().as_default(), pytest.raises(ValueError, match=message.replace("?", r"\?")):
        call(inputs)


def test_truth_words_are_numbers():
    words = tf.constant(["True", " false", "YES", "n", ""])
    found = numbers({"flag": words}, "flag").numpy()
    np.testing.assert_equal(found, [1, 0, 1, 0, NAN])
    with pytest.raises(tf.errors.InvalidArgumentError, match="column 'flag' holds text that is"):
        numbers({"flag": tf.constant(["yes", "1"])}, "flag")


def test_a_label_column_is_no_feature():
    with pytest.raises(ValueError, match="'fare' is a feature, but the label of task 'fare'"):
        call({}, features=Features(numeric=("fare",)))


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_dense_columns(tmp_path, shape):
    spec = {
        "miles": tf.io.FixedLenFeature(shape[1:], tf.float32),
        "company": tf.io.FixedLenFeature(shape[1:], tf.string),
        "fare": tf.io.FixedLenFeature(shape[1:], tf.float32),
    }
    columns = {"miles": [1.0, 3.0, NAN], "company": ["a", "a", ""], "fare": [5.0, NAN, 6.0]}
    rows = [
        {name: np.reshape(values[i], shape[1:]) for name, values in columns.items()}
        for i in range(3)
    ]
    config = config_of(
        (Task(name="fare", kind="regression", column="fare"),),
        Features(numeric=("miles",), categorical=("company",)),
    )
    transformed = run_transform(rows, spec, config, tmp_path)
    assert sorted(row["miles_xf"] for row in transformed) == [-1, 0, 1]
    assert sorted(row["company_xf"] for row in transformed) == [0, 1, 1]
    assert sorted(row["fare_label"] for row in transformed) == [0, 5, 6]
    assert sorted(row["fare_label_mask"] for row in transformed) == [0, 1, 1]


def test_each_numeric_column_has_its_own_mean_and_variance(tmp_path):
    """Also where most values are missing, and with large means; batches are merged one by one."""
    generator = np.random.default_rng(0)
    values = generator.normal([0, 1e6, -5, 3, 0], [1, 2, 1e-3, 1, 1], (500, 5)).astype(np.float32)
    values[generator.random(values.shape) < 0.2] = NAN
    values[:450, 2] = NAN
    values[:499, 3] = math.inf
    values[:, 4] = NAN
    names = [f"x{i}" for i in range(values.shape[1])]
    rows = [
        {"id": [float(i)], "fare": [1.0], **dict(zip(names, row[:, np.newaxis], strict=True))}
        for i, row in enumerate(values)
    ]
    config = config_of(
        (Task(name="fare", kind="regression", column="fare"),), Features(numeric=("id", *names))
    )
    spec = dict.fromkeys(("id", *names, "fare"), tf.io.VarLenFeature(tf.float32))
    transformed = run_transform(rows, spec, config, tmp_path)
    transformed.sort(key=lambda row: row["id_xf"])
    for name, raw in zip(names, values.T.astype(np.float64), strict=True):
        known = np.isfinite(raw)
        expected = np.zeros(len(raw))
        if known.sum() > 1:
            expected[known] = (raw[known] - raw[known].mean()) / raw[known].std()
        actual = [row[f"{name}_xf"] for row in transformed]
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5, err_msg=name)


def test_bucketized_columns_with_few_values_or_none(tmp_path):
    rows = [{"all": [float(i)], "fare": [1.0]} for i in range(40)]
    rows[7]["one"] = [3.0]
    features = Features(bucketized={"all": 4, "one": 4, "none": 4})
    spec = dict.fromkeys(("all", "one", "none", "fare"), tf.io.VarLenFeature(tf.float32))
    config = config_of((Task(name="fare", kind="regression", column="fare"),), features)
    transformed = run_transform(rows, spec, config, tmp_path)
    assert np.bincount([row["all_xf"] for row in transformed]).tolist() == [10] * 4
    assert all(0 <= row["one_xf"] < 4 and 0 <= row["none_xf"] < 4 for row in transformed)
