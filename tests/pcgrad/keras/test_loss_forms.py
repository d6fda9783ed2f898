"""Losses, weights and lists in every form that `keras.Model` takes, with the same result."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from multitask_models import MODES, UNIT_ROWS, assert_same, labels, linear_model
from pcgrad import PCGrad
from pcgrad.keras import MultiTaskModel

ROWS = 8
X = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)


def _squares(y_true, y_pred):
    return keras.ops.square(y_true - y_pred)


class Squares:
    def __call__(self, y_true, y_pred):
        return _squares(y_true, y_pred)


class _Squares(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return _squares(y_true, y_pred)


class OwnCall(keras.losses.Loss):
    """Does without Keras's reduction."""

    def __call__(self, y_true, y_pred, sample_weight=None):
        return keras.ops.mean(_squares(y_true, y_pred))


FORMS = {
    "lambda": lambda y_true, y_pred: keras.ops.square(y_true - y_pred),
    "private function": _squares,
    "partial": functools.partial(keras.losses.huber, delta=0.5),
    "object": Squares(),
    "private class": _Squares(),
    "class": keras.losses.MeanSquaredError,
    "private name": keras.losses.MeanSquaredError(name="_x"),
    "own call": OwnCall(name="<x>"),
    "one number": lambda y_true, y_pred: keras.ops.mean((y_true - y_pred) ** 2),
    "name": "mse",
}


def of_both(loss, y, shape=(1,), weights=None, metrics=None, head="linear", **arguments):
    """The history and the weights of `MultiTaskModel` and of `keras.Model`."""
    found = []
    for cls in (MultiTaskModel, keras.Model):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((3,))
        trunk = keras.layers.Dense(4)(inputs)
        b = keras.layers.Dense(int(np.prod(shape)), head)(trunk)
        b = keras.layers.Lambda(lambda z: keras.ops.reshape(z, (-1, *shape)), shape)(b)
        model = cls(inputs, {"a": keras.layers.Dense(1)(trunk), "b": b})
        model.compile(
            keras.optimizers.SGD(0.1), loss={"a": "mse", "b": loss}, metrics=metrics, **arguments
        )
        fit = {} if weights is None else {"sample_weight": {"a": np.ones(ROWS), "b": weights}}
        history = model.fit(
            X, {"a": X[:, :1], "b": y}, batch_size=4, epochs=2, shuffle=False, verbose=0, **fit
        )
        found.append((history.history, model.get_weights()))
    return found


def assert_as_keras(found):
    (ours, our_weights), (theirs, their_weights) = found
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-5, err_msg=name)
    assert_same(our_weights, their_weights, tolerance=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_a_loss_of_any_form(form):
    """In a graph, where TensorFlow looks at names."""
    assert_as_keras(of_both(FORMS[form], X[:, 1:2], metrics={"b": [_squares]}, jit_compile=False))


@pytest.mark.parametrize("classes", [1, 3])
def test_a_cross_entropy_that_fits_the_shapes(classes):
    y = np.arange(ROWS) % 2
    head = "sigmoid" if classes == 1 else "softmax"
    for values in (y, y[:, np.newaxis]) + ((np.eye(classes)[y],) if classes > 1 else ()):
        assert_as_keras(of_both("crossentropy", values, (classes,), head=head, run_eagerly=True))


@pytest.mark.parametrize("loss", ["mse", _squares, keras.losses.MeanAbsoluteError()])
@pytest.mark.parametrize(
    ("label_shape", "shape"),
    [((1,), ()), ((), (1,)), ((1,), (1,)), ((ROWS,), (ROWS, 1)), ((5,), (5, 1)), ((5, 1), (5,))],
)
def test_weights_of_rows_where_the_last_dimension_differs(label_shape, shape, loss):
    """By hand: Keras multiplies [rows, steps] by [rows], which fits if the numbers are the same."""
    y = np.random.default_rng(1).normal(size=(ROWS, *label_shape)).astype(np.float32)
    weights = np.array([1.0, *[0.0] * (ROWS - 2), 2.0], np.float32)
    inputs = keras.Input((3,))
    b = keras.layers.Dense(int(np.prod(shape)))(inputs)
    b = keras.layers.Lambda(lambda z: keras.ops.reshape(z, (-1, *shape)), shape)(b)
    model = MultiTaskModel(inputs, {"b": b})
    model.compile("sgd", loss={"b": loss}, run_eagerly=True)
    found = model.evaluate(X, {"b": y}, sample_weight=weights, batch_size=ROWS, verbose=0)
    errors = model(X)["b"].numpy().reshape(ROWS, -1) - y.reshape(ROWS, -1)
    values = abs(errors) if isinstance(loss, keras.losses.MeanAbsoluteError) else errors**2
    assert found == pytest.approx((values.mean(axis=1) * weights).mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("label_shape", "shape"), [((1,), ()), ((), (1,)), ((5,), (5, 1)), ((5, 1), (5,))]
)
def test_integer_labels_where_the_last_dimension_differs(label_shape, shape):
    y = np.arange(ROWS * int(np.prod(label_shape))).reshape(ROWS, *label_shape) % 3
    weights = np.linspace(0, 2, ROWS) if shape in ((), (1,)) else None
    assert_as_keras(of_both("mse", y, shape, weights, run_eagerly=True))


@pytest.mark.parametrize("make", [tf.Variable, keras.Variable])
@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_a_loss_weight_that_is_changed_later(make, mode):
    """Also within an epoch: the total loss is that with the weights of each step."""

    def change(batch, logs):
        weight.assign(0.5 * weight if batch else 3.0 * weight)

    found = []
    for cls in (MultiTaskModel, keras.Model):
        weight = make(1.0)
        keras.utils.set_random_seed(0)
        inputs = keras.Input((3,))
        trunk = keras.layers.Dense(4)(inputs)
        model = cls(inputs, {name: keras.layers.Dense(1)(trunk) for name in "ab"})
        losses = {"a": "mse", "b": "mse"}
        model.compile("sgd", losses, loss_weights={"a": 1.0, "b": weight}, **MODES[mode])
        y = {"a": X[:, :1], "b": X[:, 1:2]}
        callback = keras.callbacks.LambdaCallback(on_train_batch_end=change)
        history = model.fit(
            X, y, batch_size=4, epochs=3, shuffle=False, verbose=0, callbacks=[callback]
        )
        found.append((history.history, model.get_weights()))
    assert_as_keras(found)


@pytest.mark.parametrize("make", [tf.Variable, keras.Variable])
def test_a_model_is_cloned_and_saved_with_the_weights_value(make, tmp_path):
    weight = make(1.0)
    model = linear_model(loss="mse", loss_weights=[weight, 2.0], surgery=PCGrad("sum"))
    weight.assign(5.0)
    y = labels(a=[1, 2], b=[3, 4])
    expected = model.evaluate(UNIT_ROWS, y, verbose=0)
    model.save(tmp_path / "model.keras")
    for copy in (
        keras.models.clone_model(model),
        keras.saving.load_model(tmp_path / "model.keras"),
    ):
        copy.set_weights(model.get_weights())
        assert copy.evaluate(UNIT_ROWS, y, verbose=0) == pytest.approx(expected)
    weight.assign(0.0)
    assert model.evaluate(UNIT_ROWS, y, verbose=0)[0] == pytest.approx(2.0 * expected[2])


@pytest.mark.parametrize("weight", [2.0, 2, np.float32(2), tf.constant(2.0), tf.Variable(2.0)])
def test_one_weight_for_one_output(weight):
    model = linear_model("a", loss="mse", loss_weights=weight)
    logs = model.evaluate(UNIT_ROWS, labels(a=[1, 2]), verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(2 * logs["a_loss"])


@pytest.mark.parametrize(
    "weight",
    [
        *(np.nan, np.inf, "2", True, np.bool_(True), [1.0]),
        *(tf.constant(True), tf.constant("2"), tf.constant(np.nan), tf.Variable([1.0])),
    ],
)
def test_a_loss_weight_that_is_no_number(weight):
    with pytest.raises(ValueError, match="`loss_weights`.*'b.*pass|`loss_weights` names 'b/0'"):
        linear_model(loss_weights={"a": 1.0, "b": weight})


def _nothing(y_true, y_pred):
    """Without its `return`."""


class Nothing(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return None


class NothingAtAll(keras.losses.Loss):
    def __call__(self, y_true, y_pred, sample_weight=None):
        return None


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"loss": _nothing}, "_nothing"),
        ({"loss": Nothing()}, "Nothing"),
        ({"loss": NothingAtAll()}, "NothingAtAll"),
        ({"loss": "mse", "metrics": {"a": [_nothing]}}, "_nothing"),
    ],
)
def test_what_returns_nothing_is_named(arguments, name):
    inputs = keras.Input((3,))
    model = MultiTaskModel(inputs, {"a": keras.layers.Dense(1)(inputs)})
    model.compile("sgd", **{**arguments, "loss": {"a": arguments["loss"]}})
    with pytest.raises(ValueError, match=rf"the loss or metric '{name}' returned NoneType; let it"):
        model.fit(X, {"a": X[:, :1]}, verbose=0)


def test_a_loss_that_does_not_fit_its_labels_names_the_task():
    inputs = keras.Input((3,))
    model = MultiTaskModel(inputs, {"a": keras.layers.Dense(1)(inputs), "b": inputs})
    model.compile("sgd", loss="mse", jit_compile=False)
    message = r"the loss of task 'b' fails for labels of shape \(.*2\) and predictions of shape \("
    with pytest.raises(ValueError, match=message):
        model.fit(X, {"a": X[:, :1], "b": X[:, :2]}, verbose=0)


def test_a_loss_that_fails_in_a_step_has_the_tasks_name():
    inputs = keras.Input((3,))
    outputs = {"a": keras.layers.Dense(1)(inputs), "b c": keras.layers.Softmax()(inputs)}
    model = MultiTaskModel(inputs, outputs)
    losses = {"a": "mse", "b c": "sparse_categorical_crossentropy"}
    model.compile("sgd", loss=losses, jit_compile=False)
    with pytest.raises(tf.errors.InvalidArgumentError, match="task_losses/b_c/"):
        model.fit(X, {"a": X[:, :1], "b c": np.full(len(X), 3)}, verbose=0)


def test_a_loss_without_a_reduction_leaves_the_other_tasks_as_they_are():
    inputs = keras.Input((3,))
    found = []
    for reduction in (None, "sum"):
        keras.utils.set_random_seed(0)
        model = MultiTaskModel(inputs, {name: keras.layers.Dense(1)(inputs) for name in "ab"})
        losses = {"a": keras.losses.MeanSquaredError(reduction=reduction), "b": "mae"}
        model.compile(keras.optimizers.SGD(0.001), losses)
        history = model.fit(X, {"a": X[:, :1], "b": X[:, 1:2]}, verbose=0).history
        found.append([*history.values(), *model.get_weights()])
    assert_same(*found, tolerance=1e-6)


def identity_like(y_true, y_pred):
    """Asks for the number of rows while a step is traced."""
    return keras.ops.mean((y_pred - tf.eye(y_pred.shape[0])) ** 2, axis=-1)


def train_with(cls, loss, **arguments):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    model = cls(inputs, {name: keras.layers.Dense(1)(inputs) for name in "ab"})
    model.compile("sgd", {"a": loss, "b": "mse"}, jit_compile=False, **arguments)
    rows = tf.data.Dataset.from_tensor_slices((X, {"a": X[:, :1], "b": X[:, 1:2]}))
    model.fit(rows.batch(4, drop_remainder=True), verbose=0)
    return model.get_weights()


def test_a_loss_that_needs_the_number_of_rows_is_told_how_to_get_it():
    with pytest.raises(ValueError, match=r"task 'a' fails.*left out.*tf.shape.*supports_nan_label"):
        train_with(MultiTaskModel, identity_like)

    def of_whole_batch(y_true, y_pred):
        return identity_like(y_true, y_pred)

    of_whole_batch.supports_nan_labels = True
    found = [train_with(cls, of_whole_batch) for cls in (MultiTaskModel, keras.Model)]
    assert_same(*found, tolerance=1e-6)


def test_a_metric_that_fails_is_named():
    message = r"the metric 'identity_like' fails for labels of shape \(None, 1\)"
    with pytest.raises(ValueError, match=message):
        train_with(MultiTaskModel, "mse", metrics={"a": identity_like})
