"""Every way to build a model, and every way to run it."""

from collections.abc import Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf

from multitask_models import UNIT_ROWS, assert_same, labels, linear_model
from pcgrad import PCGrad
from pcgrad.keras import MultiTaskModel

ROWS = 12
X = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
Y = {"a": X[:, :1] * 2, "b": -X[:, 1:2]}


class Subclassed(MultiTaskModel):
    """Outputs a dict, or a list of the same."""

    def __init__(self, as_list: bool) -> None:
        super().__init__()
        self.as_list = as_list
        self.trunk = keras.layers.Dense(4, activation="tanh")
        self.heads = [keras.layers.Dense(1), keras.layers.Dense(1)]

    def call(self, inputs):
        outputs = [head(self.trunk(inputs)) for head in self.heads]
        return outputs if self.as_list else dict(zip("ab", outputs, strict=True))


def functional(as_list: bool, named: bool = True) -> MultiTaskModel:
    inputs = keras.Input((3,))
    trunk = keras.layers.Dense(4, activation="tanh")(inputs)
    heads = {task: keras.layers.Dense(1, name=task if named else None)(trunk) for task in "ab"}
    return MultiTaskModel(inputs, list(heads.values()) if as_list else heads)


def around_sequential() -> MultiTaskModel:
    inputs = keras.Input((3,))
    layers = [keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(4)]
    trunk = keras.Sequential(layers)(inputs)
    return MultiTaskModel(inputs, {task: keras.layers.Dense(1, name=task)(trunk) for task in "ab"})


AS_DICT = ({"a": "mse", "b": "mae"}, Y)
AS_LIST = (["mse", "mae"], list(Y.values()))
FORMS = {
    "functional, dict": (lambda: functional(as_list=False), *AS_DICT),
    "functional, dict, unnamed layers": (lambda: functional(as_list=False, named=False), *AS_DICT),
    "functional, dict, a loss in a list": (
        lambda: functional(as_list=False),
        {"b": "mae", "a": ["mse"]},
        Y,
    ),
    "functional, list": (lambda: functional(as_list=True), *AS_LIST),
    "functional, list, by name": (lambda: functional(as_list=True), *AS_DICT),
    "functional around Sequential": (around_sequential, *AS_DICT),
    "subclassed, dict": (lambda: Subclassed(as_list=False), *AS_DICT),
    "subclassed, list": (lambda: Subclassed(as_list=True), *AS_LIST),
}


def first_loss(model: MultiTaskModel, y) -> float:
    outputs = model(X)
    outputs = list(outputs.values()) if isinstance(outputs, dict) else outputs
    targets = list(y.values()) if isinstance(y, dict) else y
    errors = [np.array(output) - target for output, target in zip(outputs, targets, strict=True)]
    return np.mean(errors[0] ** 2) + np.mean(np.abs(errors[1]))


@pytest.mark.parametrize("form", FORMS)
def test_train_evaluate_predict(form):
    build, loss, y = FORMS[form]
    model = build()
    model.compile("sgd", loss=loss, surgery=PCGrad("sum", seed=0), jit_compile=False)
    expected = first_loss(model, y)
    history = model.fit(X, y, batch_size=ROWS, epochs=12, verbose=0).history
    np.testing.assert_allclose(history["loss"][0], expected, rtol=1e-5)
    assert history["loss"][-1] < history["loss"][0]
    assert np.isfinite(history["mean_cosine"]).all()
    evaluated = model.evaluate(X, y, verbose=0, return_dict=True)
    np.testing.assert_allclose(evaluated["loss"], first_loss(model, y), rtol=1e-5)
    predicted = model.predict(X, batch_size=5, verbose=0)
    outputs = model(X)
    assert type(predicted) is type(outputs)
    for one, other in zip(tf.nest.flatten(predicted), tf.nest.flatten(outputs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_task_names(form):
    build, loss, _ = FORMS[form]
    model = build()
    model.compile(loss=loss, surgery=PCGrad())
    expected = ["0", "1"] if form == "subclassed, list" else ["a", "b"]
    assert model.conflicts()[0]["tasks"] == expected


def test_a_subclass_works_after_a_functional_model_was_made():
    """Making a functional model of a subclass, Keras rebases that class on its own `Functional`."""
    functional(as_list=False)
    model = Subclassed(as_list=False)
    model.compile("sgd", AS_DICT[0], surgery=PCGrad(), run_eagerly=True)
    model.train_on_batch(X, Y)
    assert set(model.predict_on_batch(X)) == {"a", "b"}


def test_a_subclass_may_make_itself_functional():
    class Functional(MultiTaskModel):
        def __init__(self, units: int) -> None:
            inputs = keras.Input((X.shape[1],))
            trunk = keras.layers.Dense(units)(inputs)
            super().__init__(inputs, {name: keras.layers.Dense(1)(trunk) for name in ("a", "b")})

    model = Functional(4)
    assert isinstance(model, Functional)
    model.compile("sgd", "mse", surgery=PCGrad())
    model.train_on_batch(X, AS_DICT[1])
    assert set(model.predict_on_batch(X)) == {"a", "b"}
    assert Functional(5).count_params() > model.count_params()
    test_a_subclass_works_after_a_functional_model_was_made()


def test_every_form_trains_the_same_model():
    trained = []
    for build, loss, y in FORMS.values():
        model = build()
        model(X)
        for index, weight in enumerate(model.trainable_variables):
            weight.assign(np.random.default_rng(index).normal(size=weight.shape))
        if len(model.trainable_variables) != 6:
            continue  # the one with the deeper trunk
        model.compile("adam", loss=loss, surgery=PCGrad("sum", seed=0), run_eagerly=True)
        model.train_on_batch(X, y)
        trained.append(model)
    assert len(trained) == 7
    for model in trained[1:]:
        assert_same(model.trainable_variables, trained[0].trainable_variables)


def test_a_single_loss_counts_for_every_output():
    models = [functional(as_list=False) for _ in range(2)]
    models[1].set_weights(models[0].get_weights())
    for model, loss in zip(models, ["mse", {"a": "mse", "b": "mse"}], strict=True):
        model.compile("sgd", loss=loss, run_eagerly=True)
        model.train_on_batch(X, Y)
    assert_same(models[0].weights, models[1].weights)


def test_a_task_without_a_loss_is_left_alone():
    """An output that is only predicted, as in Keras."""
    model = functional(as_list=False)
    model.compile("sgd", loss={"a": "mse", "b": None}, surgery=PCGrad(), run_eagerly=True)
    before = model.get_layer("b").kernel.numpy()
    logs = model.fit(X, {"a": Y["a"]}, verbose=0).history
    assert set(logs) == {"loss", "a_loss"}
    np.testing.assert_array_equal(model.get_layer("b").kernel, before)


@pytest.mark.parametrize("surgery", [None, PCGrad("sum"), PCGrad("mean")])
def test_a_single_task_is_keras_model(surgery):
    models = []
    for cls in (MultiTaskModel, keras.Model):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((3,))
        model = cls(inputs, keras.layers.Dense(1, kernel_regularizer="l2", name="a")(inputs))
        arguments = {} if cls is keras.Model else {"surgery": surgery}
        model.compile("adam", loss="mse", metrics=["mae"], run_eagerly=True, **arguments)
        history = model.fit(X, Y["a"], batch_size=4, epochs=2, shuffle=False, verbose=0).history
        models.append((model, history))
    (ours, our_history), (keras_model, history) = models
    assert_same(ours.weights, keras_model.weights)
    for name, values in history.items():
        np.testing.assert_allclose(our_history[name], values, rtol=1e-5, err_msg=name)
    assert "mean_cosine" not in our_history
    assert ours.conflicts() == []


def test_batchwise_methods():
    model = linear_model(loss=dict.fromkeys("ab", "mse"), surgery=PCGrad("sum"))
    y = labels(a=[2, 0], b=[2, 0])
    tested = model.test_on_batch(UNIT_ROWS, y, return_dict=True)
    assert set(tested) == {"loss", "a_loss", "b_loss"}
    np.testing.assert_allclose(tested["loss"], 4.0)
    model.reset_metrics()
    trained = model.train_on_batch(UNIT_ROWS, y, return_dict=True)
    norms = {"a_gradient_norm", "b_gradient_norm"}
    conflicts = {"conflicting_pairs", "mean_cosine"}
    assert set(trained) == {"loss", "a_loss", "b_loss"} | norms | conflicts
    np.testing.assert_allclose(trained["loss"], 4.0)
    np.testing.assert_allclose(trained["mean_cosine"], 1.0)
    model.reset_metrics()
    np.testing.assert_allclose(model.test_on_batch(UNIT_ROWS, y)[0], 2 * (4 - 2) ** 2 / 2)
    np.testing.assert_allclose(model.predict_on_batch(UNIT_ROWS)["a"], [[4.0], [0.0]])


@pytest.mark.parametrize("mode", [{"jit_compile": True}, {"jit_compile": "auto"}])
def test_compiled_training_equals_eager_training(mode):
    trained = []
    for arguments in (mode, {"run_eagerly": True}):
        keras.utils.set_random_seed(0)
        model = functional(as_list=False)
        model.compile("adam", loss="mse", surgery=PCGrad("sum", seed=0), **arguments)
        model.fit(X, Y, batch_size=5, epochs=2, shuffle=False, verbose=0)
        trained.append(model)
    assert_same(trained[0].weights, trained[1].weights, tolerance=1e-5)


def test_several_steps_in_one_execution():
    trained = []
    for steps in (1, 3):
        keras.utils.set_random_seed(0)
        model = functional(as_list=False)
        model.compile(
            "sgd", "mse", surgery=PCGrad(seed=0), steps_per_execution=steps, jit_compile=False
        )
        model.fit(X, Y, batch_size=4, epochs=2, shuffle=False, verbose=0)
        trained.append(model)
    assert_same(trained[0].weights, trained[1].weights)
    assert trained[1].conflicts()[0]["steps"] == 3


def test_a_dataset_as_input():
    model = functional(as_list=False)
    model.compile("sgd", "mse", surgery=PCGrad(), run_eagerly=True)
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(5)
    model.fit(dataset, epochs=2, verbose=0, validation_data=dataset)
    assert model.conflicts()[0]["steps"] == 3


@pytest.fixture
def _mixed_float16() -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.usefixtures("_mixed_float16")
def test_mixed_precision_with_loss_scaling():
    """Scaling commutes with the surgery, and a step that overflows is skipped as a whole."""
    inner = keras.optimizers.SGD(1.0)
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=256.0)
    model = linear_model(optimizer=optimizer, surgery=PCGrad("sum"))
    kernel = model.get_layer("trunk").kernel
    assert model.get_layer("trunk").compute_dtype == "float16"
    model.train_on_batch(UNIT_ROWS, labels(a=[2, 0], b=[-2, 2]))
    np.testing.assert_allclose(kernel, [[-0.5], [-1.5]], rtol=1e-3)
    model.train_on_batch(UNIT_ROWS, labels(a=[np.inf, 0], b=[-2, 2]))
    np.testing.assert_allclose(kernel, [[-0.5], [-1.5]], rtol=1e-3)
    assert float(optimizer.dynamic_scale) == 128.0


def test_terminate_on_nan_sees_one_tasks_gradient():
    """The loss is finite; the next one is not, because the whole shared update was not."""
    model = linear_model("abc", surgery=PCGrad("sum"), loss={"a": "mse", "b": "mse", "c": root})
    x, y = np.zeros((8, 2), np.float32), labels(a=[1] * 8, b=[1] * 8, c=[0] * 8)
    history = model.fit(
        x + UNIT_ROWS[:1],
        y,
        batch_size=2,
        epochs=3,
        verbose=0,
        callbacks=[keras.callbacks.TerminateOnNaN()],
    )
    assert len(history.history["loss"]) == 1
    assert not np.isfinite(model.get_layer("trunk").kernel).any()


def root(y_true, y_pred):
    """Finite at zero, with an infinite gradient there."""
    return keras.ops.mean(keras.ops.sqrt(keras.ops.abs(y_pred - y_true)), axis=-1)


def own_step(cls):
    """A class with the step of Keras's guides: one loss, one gradient."""

    class Own(cls):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            return self.compute_metrics(x, y, y_pred)

    return Own


def trained_by_own_step(cls, **arguments):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2,))
    outputs = {name: keras.layers.Dense(1, name=name)(inputs) for name in "ab"}
    model = own_step(cls)(inputs, outputs)
    model.compile("sgd", {"a": "mse", "b": "mae"}, metrics={"a": "mae"}, **arguments)
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    history = model.fit(x, {"a": x[:, :1], "b": x[:, 1:]}, batch_size=2, shuffle=False, verbose=0)
    return history.history, model.get_weights()


def test_a_step_of_ones_own_is_reported_as_in_keras():
    (ours, weights), (theirs, expected) = map(trained_by_own_step, (MultiTaskModel, keras.Model))
    assert_same(weights, expected, tolerance=1e-6)
    for name in ("a_loss", "b_loss", "a_mae"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(ours["loss"], np.add(ours["a_loss"], ours["b_loss"]), rtol=1e-6)


def test_a_step_of_ones_own_without_the_surgery_is_told():
    with pytest.warns(UserWarning, match="`train_step` of Own trains without the surgery.*super"):
        trained_by_own_step(MultiTaskModel, surgery="pcgrad")
