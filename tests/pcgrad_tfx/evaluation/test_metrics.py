"""RSquared against scikit-learn, through TFMA's interface to a metric."""

import math

import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import r2_score

from pcgrad_tfx.evaluation.metrics import RSquared


def r_squared(labels, predictions, weights, chunks=1):
    """Computes the metric as Beam does: rows accumulated in chunks, which are then merged."""
    (computation,) = RSquared().computations(example_weighted=True)
    combiner = computation.combiner
    accumulators = []
    for rows in np.array_split(np.arange(len(labels)), chunks):
        accumulator = combiner.create_accumulator()
        for i in rows:
            inputs = tfma.metrics.StandardMetricInputs(
                labels=np.array([labels[i]]),
                predictions=np.array([predictions[i]]),
                example_weights=np.array([weights[i]]),
            )
            accumulator = combiner.add_input(accumulator, inputs)
        accumulators.append(accumulator)
    merged = combiner.merge_accumulators(accumulators)
    ((key, value),) = combiner.extract_output(merged).items()
    assert key.name == "r_squared"
    return value


value = st.floats(-100, 100).map(lambda number: round(number, 3))


@given(
    rows=st.lists(st.tuples(value, value, st.sampled_from([0.0, 1.0, 2.5])), min_size=2),
    chunks=st.integers(1, 4),
)
def test_equals_scikit_learn(rows, chunks):
    labels, predictions, weights = np.array(rows).T
    expected = math.nan
    if len(np.unique(labels[weights > 0])) > 1:
        expected = r2_score(labels, predictions, sample_weight=weights)
    assert r_squared(labels, predictions, weights, chunks) == pytest.approx(
        expected, rel=1e-6, abs=1e-6, nan_ok=True
    )


def test_rows_of_weight_0_may_hold_anything():
    labels, predictions = [1.0, math.nan, 3.0], [1.0, math.nan, 2.0]
    assert r_squared(labels, predictions, [1.0, 0.0, 1.0]) == 0.5


def test_keeps_its_digits_where_the_mean_is_large_beside_the_spread():
    labels = 1e9 + np.arange(100.0)
    predictions = labels + np.resize([1.0, -1.0], 100)
    expected = 1 - 100 / ((np.arange(100) - 49.5) ** 2).sum()
    assert r_squared(labels, predictions, np.ones(100), chunks=3) == pytest.approx(expected)
