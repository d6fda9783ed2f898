"""A comparison's metrics against scikit-learn, with labels missing."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics

from pcgrad.keras import MultiTaskModel
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.evaluation.scores import Scorer, primary_metric

RNG = np.random.default_rng(0)
OF_KIND = {
    "binary": Task(name="b", kind="binary", column="x"),
    "multiclass": Task(name="m", kind="multiclass", column="x", classes=("a", "b", "c")),
    "regression": Task(name="r", kind="regression", column="x"),
}


def test_the_metric_of_a_multiclass_task_is_the_mean_over_its_classes():
    labels = RNG.integers(0, 3, 50).astype(float)
    scores = RNG.dirichlet([1, 1, 1], 50)
    expected = metrics.roc_auc_score(labels, scores, multi_class="ovr")
    assert primary_metric(OF_KIND["multiclass"], labels, scores) == pytest.approx(expected)


@pytest.mark.parametrize("kind", OF_KIND)
def test_missing_labels_do_not_count(kind):
    labels = RNG.integers(0, 2, 30).astype(float)
    scores = RNG.random((30, OF_KIND[kind].units))
    whole = primary_metric(OF_KIND[kind], labels, scores)
    assert whole is not None
    more = np.append(labels, [np.nan] * 5)
    padded = np.concatenate([scores, RNG.random((5, scores.shape[1]))])
    assert primary_metric(OF_KIND[kind], more, padded) == whole


@pytest.mark.parametrize("kind", OF_KIND)
@pytest.mark.parametrize("labels", [[], [1.0], [1.0, 1.0], [np.nan, np.nan]])
def test_a_metric_is_undefined_without_labels_that_vary(kind, labels):
    scores = RNG.random((len(labels), OF_KIND[kind].units))
    assert primary_metric(OF_KIND[kind], np.array(labels), scores) is None


def test_the_metric_of_a_regression_is_scikit_learns_r_squared():
    labels = RNG.normal(size=40)
    predictions = 0.5 * labels + 0.1 * RNG.normal(size=40)
    expected = metrics.r2_score(labels, predictions)
    # It is not symmetric.
    assert abs(expected - metrics.r2_score(predictions, labels)) > 0.1
    found = primary_metric(OF_KIND["regression"], labels, predictions[:, np.newaxis])
    assert found == pytest.approx(expected)


def test_a_class_without_rows_does_not_count_in_the_mean():
    labels = np.repeat([0.0, 1.0], 20)
    scores = RNG.dirichlet([1, 1, 1], 40)
    expected = np.mean([metrics.roc_auc_score(labels == c, scores[:, c]) for c in (0, 1)])
    assert primary_metric(OF_KIND["multiclass"], labels, scores) == pytest.approx(expected)


@pytest.mark.parametrize("kind", OF_KIND)
def test_rows_count_by_their_weights(kind):
    """Two of weight 3 are six; one of weight 0 is none, whatever its label."""
    task = OF_KIND[kind]
    labels = RNG.integers(0, 2, 30).astype(float)
    scores = RNG.random((30, task.units))
    weights = RNG.integers(0, 4, 30)
    often = np.repeat(np.arange(30), weights)
    expected = primary_metric(task, labels[often], scores[often])
    assert expected is not None
    assert primary_metric(task, labels, scores, weights) == pytest.approx(expected)
    labels[weights == 0] = 7.0 if kind == "regression" else 0.0
    assert primary_metric(task, labels, scores, weights) == pytest.approx(expected)


@pytest.mark.parametrize("kind", OF_KIND)
def test_labels_that_vary_only_where_nothing_counts(kind):
    scores = RNG.random((4, OF_KIND[kind].units))
    found = primary_metric(OF_KIND[kind], np.array([1.0, 1, 0, 0]), scores, np.array([1, 1, 0, 0]))
    assert found is None


def test_the_scores_of_many_models_bring_no_warning_of_tracing(monkeypatch):
    """Each is traced once for batches of any size."""
    warned = []
    monkeypatch.setattr(tf.get_logger(), "warning", lambda *said: warned.append(said))
    rows = RNG.normal(size=(10, 1)).astype("float32")
    labels = np.arange(10.0) % 2
    data = tf.data.Dataset.from_tensor_slices(({"x": rows}, {"b": labels})).batch(4)
    for _ in range(7):
        x = keras.Input((1,), name="x")
        probability = keras.layers.Dense(1, "sigmoid")(x)
        model = MultiTaskModel({"x": x}, {"b": probability})
        found = Scorer(model, [OF_KIND["binary"]]).scores(data)
        answers = model.predict_on_batch({"x": rows})["b"][:, 0]
        assert found["b"] == pytest.approx(metrics.roc_auc_score(labels, answers))
    assert not [said for said in warned if "score.<locals>" in str(said)]
