"""Mean and deviation of labels, against NumPy."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.training.label_statistics import label_statistics

NAN = float("nan")
TASKS = (
    Task(name="long", kind="binary", column="seconds", above=600),
    Task(name="fare", kind="regression", column="fare"),
)


def statistics_of(fares, batch_size=4, tasks=TASKS):
    labels = {"long": np.zeros(len(fares), np.float32), "fare": np.asarray(fares, np.float32)}
    features = {"miles": np.zeros(len(fares), np.float32)}
    dataset = tf.data.Dataset.from_tensor_slices((features, labels)).batch(batch_size)
    found = label_statistics(dataset, tasks)
    assert found.rows == len(fares)
    assert set(found.labels) == {"fare"}
    assert not found.weight_factors
    return found.labels["fare"]


def expected(fares):
    known = np.asarray(fares, np.float32).astype(np.float64)
    return np.nanmean(known), np.nanstd(known)


@given(
    offset=st.floats(-1e6, 1e6),
    scale=st.floats(1e-3, 1e3),
    rows=st.integers(2, 40),
    missing=st.floats(0, 0.9),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=30, derandomize=True, database=None)
def test_mean_and_deviation_are_those_of_numpy(offset, scale, rows, missing, seed):
    generator = np.random.default_rng(seed)
    fares = offset + scale * generator.normal(size=rows)
    fares[generator.random(rows) < missing] = NAN
    fares[0] = offset + scale
    found = statistics_of(fares)
    mean, deviation = expected(fares)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-9, atol=1e-9 * scale)
    np.testing.assert_allclose(found.std, deviation or 1.0, rtol=1e-6)


def test_large_offset_does_not_cancel():
    fares = 16_000_000 + np.arange(101)
    found = statistics_of(fares)
    np.testing.assert_allclose(found.mean, 16_000_050, rtol=1e-12)
    np.testing.assert_allclose(found.std, np.std(np.arange(101)), rtol=1e-9)


@pytest.mark.parametrize("first", [[NAN] * 4, [0.0] * 4])
def test_first_batch_is_unlike_the_others(first):
    fares = [*first, *(1e6 + np.arange(20))]
    found = statistics_of(fares)
    mean, deviation = expected(fares)
    np.testing.assert_allclose([found.mean, found.std], [mean, deviation], rtol=1e-9)


@pytest.mark.parametrize("missing", [[], [NAN]])
@pytest.mark.parametrize("count", [1, 3, 7, 50])
@pytest.mark.parametrize("value", [0.0, 0.1, -1 / 3, 37.3, 123_456.7, 1e-6])
def test_constant_label_has_deviation_1(value, count, missing):
    found = statistics_of([value] * count + missing)
    np.testing.assert_allclose(found.mean, np.float32(value), rtol=1e-6)
    assert found.std == 1


def test_no_label_at_all():
    found = statistics_of([NAN] * 6)
    assert (found.mean, found.std) == (0, 1)


def test_one_label():
    found = statistics_of([NAN, NAN, NAN, NAN, 12.0])
    assert (found.mean, found.std) == (12, 1)


def test_result_does_not_depend_on_the_batches():
    fares = np.random.default_rng(0).normal(1000, 5, 64)
    found = [statistics_of(fares, batch_size) for batch_size in (1, 10, 64)]
    for other in found[1:]:
        assert math.isclose(other.mean, found[0].mean, rel_tol=1e-12)
        assert math.isclose(other.std, found[0].std, rel_tol=1e-9)


def test_no_row():
    features = {"miles": np.zeros(0, np.float32)}
    labels = {"fare": np.zeros(0, np.float32)}
    dataset = tf.data.Dataset.from_tensor_slices((features, labels)).batch(4)
    found = label_statistics(dataset, TASKS[1:])
    assert found.rows == 0
    assert (found.labels["fare"].mean, found.labels["fare"].std) == (0, 1)


def test_on_a_logarithmic_scale_the_statistics_are_those_of_the_logarithms():
    fares = np.random.default_rng(0).lognormal(5, 2, 50)
    fares[:5] = NAN
    found = statistics_of(fares, tasks=(TASKS[0], TASKS[1].model_copy(update={"log_scale": True})))
    mean, deviation = expected(np.log1p(fares))
    np.testing.assert_allclose([found.mean, found.std], [mean, deviation], rtol=1e-5)
