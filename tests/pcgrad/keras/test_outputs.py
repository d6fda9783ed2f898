"""Which labels, loss, weights and metrics belong to which output: as in `keras.Model`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from multitask_models import UNIT_ROWS, labels, linear_model
from pcgrad import PCGrad
from pcgrad.keras import MultiTaskModel

ROWS = 8
X = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
A, B, C = (X @ np.random.default_rng(i).normal(size=(3, 1)) + i for i in (1, 2, 3))


def functional(cls: type[keras.Model], names: str = "abc", as_dict: bool = False) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    trunk = keras.layers.Dense(4, activation="tanh")(inputs)
    heads = {name: keras.layers.Dense(1, name=name)(trunk) for name in names}
    return cls(inputs, heads if as_dict else list(heads.values()))


def subclassed(cls: type[keras.Model]) -> keras.Model:
    class ThreeOutputs(cls):
        def __init__(self) -> None:
            super().__init__()
            self.heads = [keras.layers.Dense(1) for _ in range(3)]

        def call(self, inputs):
            return [head(inputs) for head in self.heads]

    keras.utils.set_random_seed(0)
    return ThreeOutputs()


def two_trunks_and_one_head(cls: type[keras.Model]) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    head = keras.layers.Dense(1, name="head")
    return cls(inputs, [head(keras.layers.Dense(4)(inputs)) for _ in range(2)])


def around_a_model(cls: type[keras.Model]) -> keras.Model:
    inputs = keras.Input((3,))
    return cls(inputs, functional(keras.Model, "ab")(inputs))


def logs_of_both(build, y, **arguments):
    """What `fit` reports of one batch, ours and Keras's; both trained the same weights."""
    models = [build(MultiTaskModel), build(keras.Model)]
    logs = []
    for model, surgery in zip(models, [{"surgery": None}, {}], strict=True):
        model.compile(keras.optimizers.SGD(0.1), run_eagerly=True, **arguments, **surgery)
        history = model.fit(X, y, batch_size=ROWS, verbose=0).history
        logs.append({name: values[0] for name, values in history.items()})
    for ours, theirs in zip(models[0].weights, models[1].weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    return logs


@pytest.mark.parametrize(
    ("build", "names"),
    [
        (two_trunks_and_one_head, ["head", "head_1"]),
        (around_a_model, ["functional", "functional_1"]),
    ],
)
def test_outputs_of_one_name_are_several_tasks(build, names):
    keras.backend.clear_session()
    ours, theirs = logs_of_both(build, [A, B], loss=["mse", "mse"])
    np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=1e-5)
    assert {f"{name}_loss" for name in names} < set(ours)


def test_a_number_that_is_a_name_already():
    inputs = keras.Input((3,))
    head, other = (keras.layers.Dense(1, name=name) for name in ("head", "head_1"))
    model = MultiTaskModel(inputs, [head(inputs), head(inputs), other(inputs)])
    assert model.named_outputs() == ["head", "head_2", "head_1"]


@pytest.mark.parametrize("build", [subclassed, functional])
def test_a_list_of_losses_with_a_gap(build):
    ours, theirs = logs_of_both(build, [A, B, C], loss=["mse", None, "mae"])
    np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=1e-5)


def test_labels_of_the_tasks_alone():
    """Labels for the outputs that have a loss, and for all outputs."""
    logs = []
    for y in ([A, C], [A, B, C], {"0": A, "2": C}):
        model = subclassed(MultiTaskModel)
        model.compile("sgd", loss=["mse", None, "mae"], surgery=PCGrad("sum"), run_eagerly=True)
        logs.append(model.evaluate(X, y, verbose=0, return_dict=True))
    assert logs[0] == logs[1] == logs[2]
    assert logs[0]["2_loss"] == pytest.approx(np.abs(model.predict(X, verbose=0)[2] - C).mean())


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        (["mse", "mae"], [A, B], r"a list of 3 outputs: the model's outputs are \['0', '1'\]"),
        (["mse", None, "mae"], [A], r"a list of 1 labels: the model's outputs are \['0', '1', '2'"),
        (
            {"a": "mse", "b": "mse"},
            {"a": A, "b": B},
            r"a list of 3 outputs, which have no names, and `loss` names \['a', 'b'\]: pass `loss`",
        ),
    ],
)
def test_a_list_of_another_length(loss, y, message):
    model = subclassed(MultiTaskModel)
    model.compile("sgd", loss=loss, surgery=PCGrad("sum"), run_eagerly=True)
    with pytest.raises(ValueError, match=message):
        model.train_on_batch(X, y)


@pytest.mark.parametrize("as_dict", [False, True])
def test_lists_are_in_the_order_of_the_outputs(as_dict):
    """Whatever the order of a mapping of losses."""
    y = {"a": A, "b": B}
    ours, theirs = logs_of_both(
        lambda cls: functional(cls, "ab", as_dict),
        y if as_dict else [A, B],
        loss={"b": "mse", "a": "mse"},
        loss_weights=[1.0, 100.0] if not as_dict else {"a": 1.0, "b": 100.0},
        metrics=[["mae"], ["mse"]] if not as_dict else {"a": ["mae"], "b": ["mse"]},
    )
    for name, value in theirs.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-5, err_msg=name)


def test_lists_with_an_entry_for_each_output():
    ours, theirs = logs_of_both(
        functional,
        [A, B, C],
        loss=["mse", None, "mae"],
        loss_weights=[2.0, None, 3.0],
        metrics=[["mae"], None, ["mse"]],
    )
    for name in ("loss", "a_mae", "c_mse"):
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-5, err_msg=name)


def test_lists_with_an_entry_for_each_task():
    """In the order of the outputs, those of a mapping sorted, whatever the order of the losses."""
    model = functional(MultiTaskModel, "cba", as_dict=True)
    model.compile(
        "sgd", loss={"c": "mse", "a": "mae"}, loss_weights=[2.0, 3.0], metrics=[["mse"], ["mae"]]
    )
    logs = model.evaluate(X, {"a": A, "b": B, "c": C}, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(2 * logs["a_loss"] + 3 * logs["c_loss"], rel=1e-5)
    assert {"a_mse", "c_mae"} < set(logs)


def test_a_task_without_weights_among_others_with():
    weights = np.linspace(0, 2, ROWS)
    found = []
    for given in ({"a": weights, "b": None}, {"a": weights, "b": np.ones(ROWS)}, [weights, None]):
        model = functional(MultiTaskModel, "ab")
        model.compile(
            "sgd",
            loss="mse",
            loss_weights={"a": None, "b": 2.0},
            weighted_metrics={"a": ["mae"], "b": ["mae"]},
            surgery=PCGrad("sum"),
            run_eagerly=True,
        )
        batches = [(X, {"a": A, "b": B}, given if isinstance(given, dict) else tuple(given))]
        found.append(model.train_step(batches[0]))
    for logs in found[1:]:
        for name, value in found[0].items():
            np.testing.assert_allclose(logs[name], value, rtol=1e-5, err_msg=name)


def test_a_task_may_be_called_regularization():
    logs = []
    for name in ("regularization", "b"):
        model = linear_model(("a", name), loss="mse", surgery=PCGrad("sum"))
        y = {**labels(a=[1, 2]), name: labels(b=[3, 4])["b"]}
        logs.append(model.evaluate(UNIT_ROWS, y, verbose=0, return_dict=True))
    assert logs[0]["loss"] == logs[1]["loss"] == logs[0]["a_loss"] + logs[0]["regularization_loss"]
    assert logs[0]["regularization_loss"] == logs[1]["b_loss"]


def test_an_added_loss_counts_as_its_sum():
    class PerRow(keras.layers.Layer):
        def call(self, inputs):
            self.add_loss(inputs[:, 0] ** 2)
            return inputs

    def build(cls):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((3,))
        trunk = PerRow()(keras.layers.Dense(4)(inputs))
        return cls(inputs, [keras.layers.Dense(1, name=name)(trunk) for name in "ab"])

    ours, theirs = logs_of_both(build, [A, B], loss=["mse", "mse"])
    np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=1e-5)


def test_the_total_loss_has_the_regularization_of_its_own_phase():
    y = labels(a=[1, 2], b=[3, 4])
    model = linear_model(loss="mse", regularizer="l2", optimizer="sgd", surgery=PCGrad("sum"))
    model.fit(UNIT_ROWS, y, verbose=0)  # From zero: without a penalty.
    logs = model.evaluate(UNIT_ROWS, y, verbose=0, return_dict=True)
    penalty = float(sum(model.losses))
    assert penalty > 0
    assert logs["loss"] == pytest.approx(logs["a_loss"] + logs["b_loss"] + penalty, rel=1e-6)
    total = model.compute_loss(UNIT_ROWS, y, model(UNIT_ROWS))
    assert float(total) == pytest.approx(logs["loss"], rel=1e-6)


def test_the_total_loss_in_float64():
    keras.config.set_floatx("float64")
    try:
        model = functional(MultiTaskModel, "ab")
        model.compile("sgd", loss="mse", run_eagerly=True)
        y = {"a": A, "b": B}
        loss = model.compute_loss(X, y, dict(zip("ab", model(X), strict=True)))
        assert loss.dtype == "float64"
        assert float(loss) == pytest.approx(model.evaluate(X, y, verbose=0)[0], rel=1e-6)
    finally:
        keras.config.set_floatx("float32")


class Rows(keras.metrics.Metric):
    """An integer."""

    def __init__(self) -> None:
        super().__init__(name="rows")
        self.count = self.add_weight(shape=(), dtype="int32", initializer="zeros", name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.count.assign_add(tf.shape(y_true)[0])

    def result(self):
        return tf.convert_to_tensor(self.count)


class NamedRows(Rows):
    """A dict."""

    def result(self):
        return {"count": self.count, "twice": 2 * self.count}


@pytest.mark.parametrize("make", [keras.metrics.F1Score, Rows, NamedRows])
@pytest.mark.parametrize("run_eagerly", [True, False])
def test_a_metric_of_several_values_or_an_integer(make, run_eagerly):
    y = np.eye(3, dtype=np.float32)[np.arange(ROWS) % 3]
    found = []
    for cls in (MultiTaskModel, keras.Model):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((3,))
        outputs = {"a": keras.layers.Dense(1), "b": keras.layers.Dense(3, "softmax")}
        model = cls(inputs, {name: layer(inputs) for name, layer in outputs.items()})
        model.compile(
            "sgd",
            {"a": "mse", "b": "categorical_crossentropy"},
            metrics={"b": [make()]},
            run_eagerly=run_eagerly,
            jit_compile=False,
        )
        data = X, {"a": A, "b": y}
        history = model.fit(*data, validation_data=data, verbose=0).history
        found.append((history, model.evaluate(*data, verbose=0)))
    (ours, our_list), (theirs, their_list) = found
    assert ours.keys() == theirs.keys()
    for key in ours:
        np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-5)
    for one, other in zip(our_list, their_list, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
