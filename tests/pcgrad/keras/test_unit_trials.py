"""Losses and metrics of several values a row: those of `keras.Model` where no label is missing."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from multitask_models import assert_same
from pcgrad.keras import MultiTaskModel

ROWS, COLUMNS = 16, 3
rng = np.random.default_rng(0)
X = rng.normal(size=(ROWS, 4)).astype(np.float32)
CLASSES = rng.integers(0, 2, (ROWS, COLUMNS)).astype(np.float32)
NUMBERS = rng.normal(size=(ROWS, COLUMNS)).astype(np.float32)


class ColumnErrors(keras.metrics.Metric):
    """One value for each column."""

    def __init__(self):
        super().__init__(name="column_errors")
        self.total = self.add_weight(shape=(COLUMNS,), initializer="zeros", name="total")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.total.assign_add(tf.reduce_sum(tf.abs(y_true - y_pred), axis=0))

    def result(self):
        return self.total / ROWS


class CountedRows(keras.metrics.Metric):
    """Returns its variable."""

    def __init__(self):
        super().__init__(name="counted")
        self.count = self.add_weight(shape=(), initializer="zeros", name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.count.assign_add(tf.cast(tf.shape(y_true)[0], tf.float32))

    def result(self):
        return self.count


class Listed(keras.metrics.Metric):
    """With a state that Keras does not know of."""

    def __init__(self):
        super().__init__(name="listed")
        self.found = []

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.found.append(float(tf.reduce_sum(y_true)))

    def result(self):
        return tf.constant(sum(self.found))

    def reset_state(self):
        self.found.clear()


METRICS = {
    "r2": keras.metrics.R2Score,
    "r2_by_column": lambda: keras.metrics.R2Score(class_aggregation=None),
    "auc": lambda: keras.metrics.AUC(multi_label=True, num_labels=COLUMNS),
    "macro_f1": lambda: keras.metrics.F1Score("macro", threshold=0.5),
    "f1": lambda: keras.metrics.F1Score(threshold=0.5),
    "precision": lambda: keras.metrics.Precision(top_k=1),
    "cosine": keras.metrics.CosineSimilarity,
    "mse": keras.metrics.MeanSquaredError,
    "columns": ColumnErrors,
    "rows": CountedRows,
    "listed": Listed,
}


def test_a_metric_by_row_or_by_column_or_with_a_state_of_its_own():
    """Each is alone with its task: together they might keep each other right."""
    found = []
    for cls in (MultiTaskModel, keras.Model):
        keras.utils.clear_session()  # or the second metric has another name
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4,))
        heads = {name: keras.layers.Dense(COLUMNS, "sigmoid", name=name) for name in METRICS}
        model = cls(inputs, {name: head(inputs) for name, head in heads.items()})
        model.compile(
            "sgd",
            dict.fromkeys(METRICS, "mse"),
            metrics={name: [make()] for name, make in METRICS.items()},
            run_eagerly=True,
        )
        labels = dict.fromkeys(METRICS, CLASSES)
        found.append(model.evaluate(X, labels, batch_size=8, verbose=0, return_dict=True))
    ours, theirs = found
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        np.testing.assert_allclose(ours[key], value, rtol=1e-5, err_msg=key)


@pytest.mark.parametrize("is_metric", [True, False])
def test_a_function_that_counts_its_calls(is_metric):
    calls = tf.Variable(0.0)

    def growing(y_true, y_pred):
        return tf.reduce_mean(tf.abs(y_true - y_pred), axis=-1) * calls.assign_add(1.0)

    inputs = keras.Input((4,))
    model = MultiTaskModel(inputs, {"a": keras.layers.Dense(COLUMNS)(inputs)})
    arguments = {"loss": "mse", "metrics": [growing]} if is_metric else {"loss": growing}
    model.compile("sgd", run_eagerly=True, **arguments)
    model.train_on_batch(X, NUMBERS)
    assert float(calls) == 1


def test_what_reads_a_variable_and_checks_is_tried():
    """A missing value is left out alone."""
    weights = tf.Variable([1.0, 2.0])

    def weighted(y_true, y_pred):
        tf.debugging.check_numerics(y_pred, "not finite")
        tf.debugging.assert_less(y_pred, 1e9)
        rows = tf.function(lambda t: tf.gather(weights, tf.cast(t > 0, tf.int32)))(y_true)
        return tf.reduce_mean(rows * (y_true - y_pred) ** 2, axis=-1)

    inputs = keras.Input((4,))
    model = MultiTaskModel(inputs, {"a": keras.layers.Dense(COLUMNS)(inputs)})
    model.compile("sgd", loss=weighted)
    gaps = NUMBERS.copy()
    gaps[:, 0] = np.nan
    errors = (gaps - model.predict(X, verbose=0)["a"]) ** 2 * np.where(gaps > 0, 2, 1)
    logs = model.evaluate(X, gaps, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(np.nanmean(errors), rel=1e-5)


class Normalized(keras.losses.Loss):
    """By a running mean of its own."""

    def __init__(self):
        super().__init__()
        self.scale = tf.Variable(1.0, trainable=False)

    def call(self, y_true, y_pred):
        self.scale.assign(0.9 * self.scale + 0.1 * tf.reduce_mean(tf.abs(y_true - y_pred)))
        return tf.reduce_mean((y_true - y_pred) ** 2, axis=-1) / self.scale


def of_outliers(limit):
    """The largest error of a row with an outlier, the mean of others."""

    def loss(y_true, y_pred):
        errors = (y_true - y_pred) ** 2
        is_far = tf.reduce_any(tf.abs(y_true) > limit, axis=-1)
        return tf.where(is_far, tf.reduce_max(errors, axis=-1), tf.reduce_mean(errors, axis=-1))

    return loss


def noisy(y_true, y_pred):
    noise = tf.random.normal(tf.shape(y_pred), stddev=0.1)
    return tf.reduce_mean((y_true - y_pred + noise) ** 2, axis=-1)


@pytest.mark.parametrize("run_eagerly", [True, False])
@pytest.mark.parametrize(
    ("make", "scale"),
    [
        (Normalized, 1),
        (lambda: of_outliers(1), 10),
        (lambda: of_outliers(50), 100),
        (lambda: noisy, 1),
    ],
)
def test_a_loss_by_row_or_with_a_state_of_its_own(make, scale, run_eagerly):
    found = []
    for cls in (MultiTaskModel, keras.Model):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4,))
        heads = {name: keras.layers.Dense(COLUMNS, name=name) for name in "ab"}
        model = cls(inputs, {name: head(inputs) for name, head in heads.items()})
        loss = make()
        model.compile(
            keras.optimizers.SGD(1e-5),
            {"a": loss, "b": "mse"},
            run_eagerly=run_eagerly,
            jit_compile=False,
        )
        y = {"a": scale * NUMBERS, "b": NUMBERS}
        history = model.fit(X, y, batch_size=8, shuffle=False, verbose=0).history
        state = [loss.scale] if isinstance(loss, Normalized) else []
        found.append([*history.values(), *model.get_weights(), *map(np.array, state)])
    assert_same(*found, tolerance=1e-5)
