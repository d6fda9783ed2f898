"""Labels of several values a row, some of which are missing: masked as finely as a loss allows."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from multitask_models import MODES
from pcgrad import PCGrad
from pcgrad.keras import MultiTaskModel

ROWS, WIDTH = 12, 5
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 4)).astype(np.float32)
# Every row has a gap, and some have no known value; the others have different numbers.
GAPS = RNG.uniform(size=(ROWS, WIDTH)) < 0.4
GAPS[np.arange(ROWS), np.arange(ROWS) % WIDTH] = True
GAPS[-1] = True


def trained_and_evaluated(loss, gaps=GAPS, cls=MultiTaskModel, head="sigmoid", **arguments):
    """Reports of one step and of an evaluation, with the predictions that each is about."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    trunk = keras.layers.Dense(6, "sigmoid")(inputs)
    layers = {"a": keras.layers.Dense(1), "b": keras.layers.Dense(gaps.shape[1], head)}
    model = cls(inputs, {name: layer(trunk) for name, layer in layers.items()})
    metrics = {"b": arguments.pop("metrics", [])}
    arguments.setdefault("run_eagerly", True)
    fit = arguments.pop("fit", {})
    model.compile(
        keras.optimizers.SGD(0.1), loss={"a": "mse", "b": loss}, metrics=metrics, **arguments
    )
    y = {"a": X[:, :1], "b": labels(gaps)}
    found = []
    for method in (model.train_on_batch, model.test_on_batch):
        predicted = model(X)["b"].numpy()
        model.reset_metrics()
        found.append((method(X, y, return_dict=True, **fit), predicted))
    return found


def labels(gaps):
    values = np.random.default_rng(1).uniform(0.1, 0.9, gaps.shape).astype(np.float32)
    return np.where(gaps, np.nan, values)


def over_known(values, weights=None):
    known = ~np.isnan(values)
    weights = np.ones(values.shape) if weights is None else weights
    return (np.where(known, values, 0) * weights).sum() / known.sum()


def squares(y, p):
    return (y - p) ** 2


def cross_entropies(y, p):
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


@pytest.mark.parametrize(
    ("loss", "by_hand"),
    [
        ("mse", squares),
        (keras.losses.MeanSquaredError(), squares),
        ("binary_crossentropy", cross_entropies),
        (lambda y, p: keras.ops.square(y - p), squares),
        (lambda y, p: tf.reduce_mean((y - p) ** 2), squares),
        # Not finite for labels that are classes.
        (lambda y, p: tf.square(tf.math.log(y) - p), lambda y, p: (np.log(y) - p) ** 2),
    ],
)
def test_an_element_wise_loss_is_the_mean_over_the_known_values(loss, by_hand):
    for logs, predicted in trained_and_evaluated(loss):
        expected = over_known(by_hand(labels(GAPS), predicted))
        assert float(logs["b_loss"]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_the_gradient_is_that_of_the_mean_over_the_known_values(mode):
    """By hand, of a linear model at zero: -2 y x / known values."""
    inputs = keras.Input((2,))
    output = keras.layers.Dense(2, use_bias=False, kernel_initializer="zeros", name="a")(inputs)
    model = MultiTaskModel(inputs, {"a": output})
    model.compile(keras.optimizers.SGD(1.0), loss={"a": "mse"}, **MODES[mode])
    model.train_on_batch(np.eye(2), {"a": np.array([[1, 3], [5, np.nan]], np.float32)})
    np.testing.assert_allclose(model.weights[0], np.array([[1, 3], [5, 0]]) * 2 / 3, rtol=1e-6)


def test_without_gaps_it_is_keras_model():
    whole = np.zeros_like(GAPS)
    weights = {"a": np.ones(ROWS), "b": np.linspace(0, 2, ROWS)}
    for loss in ("mse", "binary_crossentropy", keras.losses.MeanSquaredError("sum")):
        arguments = {"metrics": ["mae"], "fit": {"sample_weight": weights}}
        ours = trained_and_evaluated(loss, whole, **arguments)
        theirs = trained_and_evaluated(loss, whole, keras.Model, **arguments)
        for (logs, _), (expected, _) in zip(ours, theirs, strict=True):
            for name, value in expected.items():
                np.testing.assert_allclose(logs[name], value, rtol=1e-5, err_msg=name)


def test_weights_of_rows_count_for_each_of_their_values():
    weights = {"a": np.ones(ROWS), "b": np.linspace(0, 2, ROWS)}
    for logs, predicted in trained_and_evaluated("mse", fit={"sample_weight": weights}):
        values = squares(labels(GAPS), predicted)
        expected = over_known(values, weights["b"][:, np.newaxis])
        assert float(logs["b_loss"]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("per_value", [False, True])
def test_a_sum_over_rows_takes_missing_values_for_zero(per_value):
    """Of means over values, or of the values themselves."""

    def own(y, p):
        return keras.ops.square(y - p)

    loss = keras.losses.MeanSquaredError(reduction="sum")
    if per_value:
        loss = type(loss).__bases__[0](own, reduction="sum")
    for logs, predicted in trained_and_evaluated(loss):
        values = np.nansum(squares(labels(GAPS), predicted))
        expected = values if per_value else values / WIDTH
        assert float(logs["b_loss"]) == pytest.approx(expected, rel=1e-5)


def known_values(y, p):
    """A loss that deals with NaN itself: a mean over rows of the means over their values."""
    known = tf.math.is_finite(y)
    error = tf.where(known, y - p, 0.0) ** 2
    return tf.reduce_sum(error, -1) / tf.reduce_sum(tf.cast(known, tf.float32), -1)


def known_sums(y, p):
    return tf.reduce_sum(tf.where(tf.math.is_nan(y), 0.0, y - p) ** 2, -1)


@pytest.mark.parametrize("surgery", [None, PCGrad("sum", seed=0)])
@pytest.mark.parametrize("loss", [known_values, known_sums])
def test_a_loss_that_deals_with_nan_gets_the_rows_as_they_are(loss, surgery):
    for logs, predicted in trained_and_evaluated(loss, surgery=surgery):
        known = ~GAPS.all(axis=1)
        expected = tf.reduce_mean(loss(labels(GAPS)[known], predicted[known]))
        assert float(logs["b_loss"]) == pytest.approx(float(expected), rel=1e-5)


def test_a_loss_that_only_seems_to_deal_with_nan():
    """It takes what is missing for a negative label."""

    def one_sided(y, p):
        return tf.where(y > 0.5, 1 - p, p)

    for logs, predicted in trained_and_evaluated(one_sided):
        y = labels(GAPS)
        values = np.where(np.isnan(y), np.nan, np.where(y > 0.5, 1 - predicted, predicted))
        assert float(logs["b_loss"]) == pytest.approx(over_known(values), rel=1e-5)


def test_a_loss_without_a_gradient_where_it_is_tried_does_not_deal_with_nan():
    def tolerant(y, p):
        return tf.where(tf.abs(y - p) > 0.95, p, 0.0)

    for logs, predicted in trained_and_evaluated(tolerant, head=None):
        y = labels(GAPS)
        values = np.where(np.abs(y - predicted) > 0.95, predicted, 0)
        expected = over_known(np.where(np.isnan(y), np.nan, values))
        assert expected
        assert float(logs["b_loss"]) == pytest.approx(expected, rel=1e-5)


class Whole(keras.losses.Loss):
    """Sees the whole batch, as Keras's would."""

    supports_nan_labels = True

    def call(self, y_true, y_pred):
        return tf.reduce_mean(y_pred, -1) + tf.cast(tf.shape(y_true)[0], tf.float32)


def test_a_loss_may_ask_for_the_whole_batch():
    def whole(y, p):
        return Whole().call(y, p)

    whole.supports_nan_labels = True
    for loss, gaps in ((Whole(), GAPS), (whole, GAPS), (Whole(), GAPS[:, :1])):
        for logs, predicted in trained_and_evaluated(loss, gaps):
            assert float(logs["b_loss"]) == pytest.approx(predicted.mean() + ROWS, rel=1e-5)


@pytest.mark.filterwarnings("ignore:task 'b' had no label")
def test_a_loss_over_whole_rows_leaves_rows_out():
    """Cosine similarity, or cross-entropy of a vector, is not defined for a part of one."""
    gaps = GAPS.copy()
    gaps[:4] = False
    for loss in ("cosine_similarity", "categorical_crossentropy"):
        for logs, predicted in trained_and_evaluated(loss, gaps, head="softmax"):
            expected = keras.losses.get(loss)(labels(gaps)[:4], predicted[:4])
            assert float(logs["b_loss"]) == pytest.approx(float(np.mean(expected)), rel=1e-5)


def test_metrics_are_taken_of_the_known_values_if_all_are_element_wise():
    class Scaled(keras.metrics.MeanMetricWrapper):
        """Cannot be made anew of its `get_config`."""

        def __init__(self, factor):
            super().__init__(lambda y, p: factor * tf.abs(y - p), name="scaled")

        def get_config(self):
            raise NotImplementedError

    metrics = ["mae", keras.metrics.RootMeanSquaredError(name="rmse"), Scaled(3.0)]
    for logs, predicted in trained_and_evaluated("mse", metrics=metrics):
        errors = labels(GAPS) - predicted
        assert float(logs["b_mae"]) == pytest.approx(over_known(np.abs(errors)), rel=1e-5)
        assert float(logs["b_rmse"]) == pytest.approx(over_known(errors**2) ** 0.5, rel=1e-5)
        assert float(logs["b_scaled"]) == pytest.approx(3 * over_known(np.abs(errors)), rel=1e-5)


@pytest.mark.parametrize(
    "other", ["accuracy", "Acc", keras.metrics.CosineSimilarity(name="cosine")]
)
def test_otherwise_metrics_are_taken_of_whole_rows(other):
    gaps = GAPS.copy()
    gaps[:4] = False
    for logs, predicted in trained_and_evaluated("mse", gaps, metrics=["mae", other]):
        error = np.abs(labels(gaps) - predicted)
        assert float(logs["b_mae"]) == pytest.approx(error[:4].mean(), rel=1e-5)
        assert float(logs["b_loss"]) == pytest.approx(over_known(error**2), rel=1e-5)


def test_metrics_without_a_whole_row_are_nan():
    """The loss is not."""
    (logs, _), _ = trained_and_evaluated("mse", metrics=["mae", "accuracy"])
    assert np.isnan(float(logs["b_mae"]))
    assert np.isnan(float(logs["b_accuracy"]))
    assert np.isfinite(float(logs["b_loss"]))


@pytest.mark.parametrize("rows", [2, 3])
@pytest.mark.parametrize("classes", [False, True])
def test_pixels(rows, classes):
    """Dense prediction: a depth and normals, or classes of which NaN is none."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 3, 3, 2)).astype(np.float32)
    y = rng.normal(size=(rows, 3, 3, 2)).astype(np.float32)
    if classes:
        y = rng.integers(0, 2, (rows, 3, 3)).astype(np.float32)
    y[rng.uniform(size=y.shape) < 0.5] = np.nan
    inputs = keras.Input((3, 3, 2))
    output = keras.layers.Conv2D(2, 1, activation="softmax" if classes else None, name="a")(inputs)
    model = MultiTaskModel(inputs, {"a": output})
    model.compile(loss="sparse_categorical_crossentropy" if classes else "mse", run_eagerly=True)
    found = model.evaluate(x, {"a": y}, verbose=0)
    predicted = model(x)["a"].numpy()
    if classes:
        known = np.where(np.isnan(y), 0, y).astype(int)
        values = -np.log(np.take_along_axis(predicted, known[..., np.newaxis], -1)[..., 0])
        values[np.isnan(y)] = np.nan
    else:
        values = squares(y, predicted)
    assert found == pytest.approx(np.nanmean(values), rel=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_one_hot_pixels_lack_whole_positions(reduction):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 4, 2)).astype(np.float32)
    y = np.eye(3, dtype=np.float32)[rng.integers(0, 3, (3, 4))]
    y[:, 1, 2] = np.nan
    inputs = keras.Input((4, 2))
    output = keras.layers.Dense(3, "softmax", name="a")(inputs)
    model = MultiTaskModel(inputs, {"a": output})
    loss = keras.losses.CategoricalCrossentropy(reduction=reduction)
    model.compile(loss=loss, run_eagerly=True)
    values = -(y * np.log(model(x)["a"].numpy())).sum(-1)
    found = model.evaluate(x, {"a": y}, verbose=0)
    expected = {"mean": np.nanmean, "sum": np.nansum}[reduction](values)
    assert found == pytest.approx(expected, rel=1e-5)


def test_labels_of_another_rank_are_looked_at_anew():
    class Any(MultiTaskModel):
        def build(self, shape):
            self.scale = self.add_weight(shape=(), initializer="ones")

        def call(self, x):
            return {"a": x * self.scale}

    model = Any()
    model.compile(loss={"a": "mse"}, run_eagerly=True)
    rng = np.random.default_rng(0)
    for shape in ((4, 3), (4, 3, 2)):
        x, y = rng.normal(size=(2, *shape)).astype(np.float32)
        y[rng.uniform(size=shape) < 0.4] = np.nan
        found = model.evaluate(x, {"a": y}, verbose=0)
        assert found == pytest.approx(np.nanmean((x - y) ** 2), rel=1e-5)


def test_masked_positions_with_gaps_and_weights_of_rows():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(4, 3, 2)).astype(np.float32)
    x[::2, 2:] = 0
    y = rng.normal(size=(4, 3, 2)).astype(np.float32)
    y[rng.uniform(size=y.shape) < 0.4] = np.nan
    inputs = keras.Input((3, 2))
    output = keras.layers.Dense(2, name="a")(keras.layers.Masking()(inputs))
    model = MultiTaskModel(inputs, {"a": output})
    model.compile(loss="mse", run_eagerly=True)
    weight = np.array([1, 2, 3, 4], np.float32)
    found = model.evaluate(x, {"a": y}, sample_weight=weight, verbose=0)
    values = np.where((x != 0).any(-1, keepdims=True), squares(y, model(x)["a"].numpy()), np.nan)
    # Keras adds 1e-7 to the number of positions that are not masked.
    expected = over_known(values, weight[:, np.newaxis, np.newaxis])
    assert found == pytest.approx(expected, rel=1e-5)


def test_weights_of_positions_count_for_each_of_their_values():
    rng = np.random.default_rng(6)
    x, y = rng.normal(size=(2, 4, 3, 2)).astype(np.float32)
    y[rng.uniform(size=y.shape) < 0.4] = np.nan
    inputs = keras.Input((3, 2))
    model = MultiTaskModel(inputs, {"a": keras.layers.Dense(2)(inputs)})
    model.compile(loss="mse", run_eagerly=True)
    weight = rng.uniform(size=(4, 3)).astype(np.float32)
    found = model.evaluate(x, {"a": y}, sample_weight={"a": weight}, verbose=0)
    expected = over_known(squares(y, model(x)["a"].numpy()), weight[..., np.newaxis])
    assert found == pytest.approx(expected, rel=1e-5)


def test_what_ragged_labels_do_not_have_is_missing():
    values = [[1.0, 2.0, 3.0], [4.0], [5.0, 6.0]]
    inputs = keras.Input((2,))
    output = keras.layers.Dense(3, name="a")(inputs)
    model = MultiTaskModel(inputs, {"a": output, "b": keras.layers.Dense(1)(inputs)})
    model.compile("sgd", loss={"a": "mse", "b": "mse"}, surgery=PCGrad("sum"))
    x = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    predicted = model(x)["a"].numpy()
    errors = [(p[: len(row)] - row) ** 2 for p, row in zip(predicted, values, strict=True)]
    y = {"a": tf.ragged.constant(values), "b": x[:, :1]}
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(3)
    found = model.evaluate(data, verbose=0, return_dict=True)
    assert found["a_loss"] == pytest.approx(np.mean(np.concatenate(errors)), rel=1e-5)
    assert np.isfinite(model.fit(data, verbose=0).history["loss"]).all()
    long = y | {"a": tf.ragged.constant([[1.0] * 4, [1.0], [1.0]])}
    with pytest.raises(tf.errors.InvalidArgumentError, match="are longer than its predictions"):
        model.evaluate(tf.data.Dataset.from_tensor_slices((x, long)).batch(3), verbose=0)
