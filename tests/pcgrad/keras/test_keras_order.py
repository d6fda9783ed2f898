"""Lists, nested outputs and reports: in the order in which `keras.Model` has them."""

import collections

import keras
import numpy as np
import pytest
import tensorflow as tf

from multitask_models import UNIT_ROWS, assert_same, labels, linear_model
from pcgrad import PCGrad
from pcgrad.keras import ConflictMonitor, MultiTaskModel

ROWS = 8
X = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
# Of very different sizes, so that none can stand for another.
FIRST, SECOND, THIRD = X[:, :1] + 5, X[:, 1:2], X[:, 2:] - 50


def built(cls, outputs):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    trunk = keras.layers.Dense(4)(inputs)
    return cls(inputs, outputs(lambda name: keras.layers.Dense(1, name=name)(trunk)))


def subclassed(call):
    def build(cls):
        class Own(cls):
            def __init__(self):
                super().__init__()
                self.heads = [keras.layers.Dense(1) for _ in range(2)]

            def call(self, x):
                return call(*[head(x) for head in self.heads])

        keras.utils.set_random_seed(0)
        return Own()

    return build


def unsorted(make):
    return {"price": make("price"), "area": make("area")}


def ordered(make):
    return collections.OrderedDict(unsorted(make))


def in_list(make):
    return [make("price"), make("area")]


def in_tuple(make):
    return (make("price"), make("area"))


def of_both(build, loss, y, weights=None, **arguments):
    """What `fit` and `evaluate` report, ours and Keras's, and the weights after them."""
    found = []
    for cls in (MultiTaskModel, keras.Model):
        model = build(cls)
        model.compile(keras.optimizers.SGD(0.001), loss=loss, run_eagerly=True, **arguments)
        history = model.fit(X, y, batch_size=ROWS, sample_weight=weights, verbose=0).history
        reported = model.evaluate(X, y, sample_weight=weights, verbose=0)
        batch = model.test_on_batch(X, y, weights)
        found.append((history, [reported, batch], model.metrics_names, model.get_weights()))
    return found


def assert_as_keras(found, names=True):
    (history, lists, metrics, weights), (their_history, their_lists, their_metrics, their) = found
    for name, values in their_history.items():
        np.testing.assert_allclose(history[name], values, rtol=1e-5, err_msg=name)
    for one, other in zip(lists, their_lists, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    assert metrics == their_metrics
    assert_same(weights, their, tolerance=1e-5)


@pytest.mark.parametrize("outputs", [unsorted, ordered, in_list, in_tuple])
@pytest.mark.parametrize("as_tuple", [False, True])
def test_lists_of_losses_labels_weights_and_metrics(outputs, as_tuple):
    y = [FIRST, SECOND]
    found = of_both(
        lambda cls: built(cls, outputs),
        ["mse", "mae"],
        tuple(y) if as_tuple else y,
        loss_weights=[2.0, 0.5],
        metrics=[["mae"], ["mse", "mae"]],
        weighted_metrics=[["mse"], None],
    )
    assert_as_keras(found)


def test_lists_of_row_weights():
    """For outputs in a list; Keras does not take them for a dict."""
    weights = [np.linspace(0, 1, ROWS), np.linspace(2, 0, ROWS)]
    arguments = {"weighted_metrics": [["mae"], ["mse"]]}
    y = [FIRST, SECOND]
    found = of_both(lambda cls: built(cls, in_list), ["mse", "mae"], y, weights, **arguments)
    assert_as_keras(found)
    model = built(MultiTaskModel, unsorted)
    model.compile("sgd", ["mse", "mae"], run_eagerly=True)
    by_list = model.evaluate(X, y, sample_weight=weights, verbose=0)
    by_name = dict(zip(["area", "price"], weights, strict=True))
    labels_by_name = dict(zip(["area", "price"], y, strict=True))
    assert by_list == model.evaluate(X, labels_by_name, sample_weight=by_name, verbose=0)


@pytest.mark.parametrize("area", ["mse", ["mse"]])
@pytest.mark.parametrize("outputs", [unsorted, in_list])
def test_losses_by_name_and_the_others_in_lists(outputs, area):
    """Losses are reported in the order of the mapping, if the outputs are a mapping."""
    found = of_both(
        lambda cls: built(cls, outputs),
        {"area": area, "price": "mae"},
        [FIRST, SECOND],
        metrics=[["mae"], ["mse"]],
        loss_weights=[2.0, 0.5] if outputs is unsorted else {"price": 2.0, "area": 0.5},
    )
    assert_as_keras(found)


def test_a_subclass_that_returns_a_dict():
    found = of_both(
        subclassed(lambda a, b: {"price": a, "area": b}),
        {"price": "mae", "area": "mse"},
        [FIRST, SECOND],
        loss_weights=[2.0, 0.5],
        metrics=[["mae"], ["mse"]],
    )
    assert_as_keras(found)


@pytest.mark.parametrize("call", [lambda a, b: [a, b], lambda a, b: (a, b)])
def test_a_subclass_that_returns_a_list(call):
    """Keras finds metrics of outputs without names, and puts them before the losses."""
    ours, theirs = of_both(
        subclassed(call),
        ["mae", "mse"],
        [FIRST, SECOND],
        metrics=[["mse"], ["mae"]],
        weighted_metrics=[["mape"], ["msle"]],
    )
    for one, other in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_a_subclass_with_names_for_its_outputs():
    def build(cls):
        model = subclassed(lambda a, b: (a, b))(cls)
        model.output_names = ["price", "area"]
        return model

    losses = {"area": "mae", "price": "mse"}
    assert_as_keras(of_both(build, losses, {"area": FIRST, "price": SECOND}))


def nested(make):
    return {"z": {"q": make("one")}, "b": [make("two"), make("three")]}


NESTED = {"z": {"q": FIRST}, "b": [SECOND, THIRD]}


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        ("mse", NESTED),
        ({"z": {"q": "mae"}, "b": ["mse", "mae"]}, NESTED),
        (["mse", "mae", "mse"], [SECOND, THIRD, FIRST]),
    ],
)
def test_nested_outputs(loss, y):
    assert_as_keras(of_both(lambda cls: built(cls, nested), loss, y))


def test_nested_arguments():
    """Of which Keras takes the losses only."""
    model = built(MultiTaskModel, nested)
    model.compile(
        "sgd",
        {"z": {"q": "mse"}, "b": ["mse", None]},
        loss_weights={"z": {"q": 3.0}},
        metrics={"z": {"q": ["mae"]}, "b/two": ["mse"]},
        surgery=PCGrad("sum"),
        run_eagerly=True,
    )
    logs = model.evaluate(X, NESTED, verbose=0, return_dict=True)
    assert set(logs) == {"loss", "z/q_loss", "b/two_loss", "z/q_mae", "b/two_mse"}
    assert logs["loss"] == pytest.approx(3 * logs["z/q_loss"] + logs["b/two_loss"], rel=1e-6)
    assert model.conflicts()[0]["tasks"] == ["z/q", "b/two"]


def test_names_that_are_numbers():
    """Keras calls the losses by their layers."""

    def outputs(make):
        return {1: make("one"), 0: make("zero")}

    found = of_both(lambda cls: built(cls, outputs), {0: "mse", 1: "mae"}, {0: FIRST, 1: SECOND})
    (history, lists, _, weights), (theirs, their_lists, _, their_weights) = found
    assert (history["0_loss"], history["1_loss"]) == (theirs["zero_loss"], theirs["one_loss"])
    np.testing.assert_allclose(lists, their_lists, rtol=1e-5)
    assert_same(weights, their_weights, tolerance=1e-5)


@pytest.mark.parametrize("outputs", [lambda make: make("a"), lambda make: {"a": make("a")}])
@pytest.mark.parametrize("metrics", [None, ["mse", "mae"]])
def test_a_single_output(outputs, metrics):
    """Keras reports its loss once."""
    found = of_both(lambda cls: built(cls, outputs), "mse", FIRST, metrics=metrics)
    assert_as_keras(found)
    assert found[0][0]["a_loss"] == found[0][0]["loss"]


def test_the_list_of_a_training_batch():
    model = linear_model(loss="mse", surgery=PCGrad("sum"), optimizer="sgd")
    y = labels(a=[1, 2], b=[3, 4])
    expected = model.test_on_batch(UNIT_ROWS, y)
    model.reset_metrics()
    np.testing.assert_allclose(model.train_on_batch(UNIT_ROWS, y), expected)
    assert len(expected) == 3


def test_the_list_with_metrics_of_layers_and_of_the_model():
    class Counted(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.mean = keras.metrics.Mean(name="zz")

        def call(self, x):
            self.mean.update_state(x)
            return x

    def build(cls):
        model = built(cls, lambda make: {"b": Counted()(make("b")), "a": make("a")})
        model.tracker = keras.metrics.Sum(name="yy")
        return model

    y = {"b": FIRST, "a": SECOND}
    metrics = {"a": ["mse", "mae"]}
    assert_as_keras(of_both(build, {"b": "mse", "a": "mse"}, y, metrics=metrics))


def test_a_metrics_property_of_ones_own(tmp_path):
    """What is in it is reported, and no more; training and reports of conflicts go on."""

    def build(cls):
        class Own(cls):
            def __init__(self):
                super().__init__()
                self.trunk = keras.layers.Dense(4)
                self.heads = [keras.layers.Dense(1) for _ in range(2)]
                self.tracker = keras.metrics.Mean(name="tracker")

            def call(self, x):
                trunk = self.trunk(x)
                return dict(zip("ab", [head(trunk) for head in self.heads], strict=True))

            @property
            def metrics(self):
                return [self.tracker]

        keras.utils.set_random_seed(0)
        return Own()

    y = {"a": FIRST, "b": SECOND}
    assert_as_keras(of_both(build, {"a": "mse", "b": "mse"}, y))
    model = build(MultiTaskModel)
    model.compile("sgd", {"a": "mse", "b": "mse"}, surgery=PCGrad("sum"))
    callbacks = [ConflictMonitor(tmp_path)]
    assert set(model.fit(X, y, batch_size=4, epochs=3, verbose=0, callbacks=callbacks).history) == {
        "tracker"
    }
    assert model.conflicts()[0]["steps"] == 2  # of the last epoch


@pytest.mark.parametrize(
    ("call", "loss", "message"),
    [
        (
            lambda a, b: (a, b),
            {"b": "mae", "a": "mse"},
            r"returns a tuple of 2 outputs, which have no names, and `loss` names \['a', 'b'\]",
        ),
        (
            lambda a, b: {"price": a, "area": b},
            ["mse", "mae"],
            r"the names \['area', 'price'\], and `loss` is a list: pass `loss` as a dict",
        ),
    ],
)
def test_outputs_and_losses_that_cannot_be_told_which_is_which(call, loss, message):
    model = subclassed(call)(MultiTaskModel)
    model.compile("sgd", loss, surgery=PCGrad("sum"))
    with pytest.raises(ValueError, match=message):
        model.fit(X, [FIRST, SECOND], verbose=0)


def test_one_name_in_two_ways():
    model = subclassed(lambda a, b: {1: a, "1": b})(MultiTaskModel)
    with pytest.raises(ValueError, match="`loss` has two entries for '1'.*rename"):
        model.compile("sgd", {1: "mse", "1": "mae"})


@pytest.mark.parametrize("argument", ["loss_weights", "metrics", "weighted_metrics"])
@pytest.mark.parametrize("entries", [{1: 2.0, "1": 3.0}, {"n": {2: 2.0}, "n/2": 3.0}])
def test_one_name_in_two_ways_in_another_argument(argument, entries):
    model = subclassed(lambda a, b: {"1": a, "n/2": b})(MultiTaskModel)
    with pytest.raises(ValueError, match=f"`{argument}` has two entries for '.*'.*remove one"):
        model.compile("sgd", {"1": "mse", "n/2": "mae"}, **{argument: entries})


def test_sparse_labels():
    data = tf.data.Dataset.from_tensors((X, (FIRST, tf.sparse.from_dense(SECOND))))
    model = built(MultiTaskModel, in_list)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="labels of task 'area' are a sparse.*sparse.to_dense"):
        model.fit(data, verbose=0)


@pytest.mark.parametrize("in_graph", [False, True])
def test_rows_of_labels_and_predictions_differ(in_graph):
    model = subclassed(lambda a, b: {"a": a, "b": b[:-1]})(MultiTaskModel)
    model.compile("sgd", {"a": "mse", "b": "mse"}, run_eagerly=not in_graph, jit_compile=False)
    error = tf.errors.InvalidArgumentError if in_graph else ValueError
    with pytest.raises(error, match="task .{1,2}b.{1,2} has"):
        model.fit(X, {"a": FIRST, "b": SECOND}, verbose=0)


def test_labels_of_unknown_rank():
    def batches():
        yield X, (FIRST, SECOND)

    data = tf.data.Dataset.from_generator(batches, output_types=("float32", ("float32",) * 2))
    data = data.map(lambda x, y: (tf.ensure_shape(x, [None, 3]), y))
    model = built(MultiTaskModel, in_list)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="labels of task 'price' have the shape <unknown>"):
        model.fit(data, verbose=0)


def test_a_monitor_of_a_model_that_knows_of_no_conflicts(tmp_path):
    model = built(keras.Model, unsorted)
    model.compile("sgd", "mse")
    y = {"price": FIRST, "area": SECOND}
    with pytest.raises(TypeError, match="ConflictMonitor: the model is a Functional.*MultiTask"):
        model.fit(X, y, verbose=0, callbacks=[ConflictMonitor(tmp_path)])


@pytest.mark.parametrize("wrong", [{"loss": "nonsense"}, {"loss_weights": [1.0, "2"]}])
def test_a_compile_that_failed(wrong):
    """It leaves the model as it was: not compiled, or compiled as before."""
    y = {"price": FIRST, "area": SECOND}
    model = built(MultiTaskModel, unsorted)
    for message in ("compile", None):
        with pytest.raises(ValueError, match="nonsense|`loss_weights`"):
            model.compile("sgd", **{"loss": "mse", **wrong})
        if message:
            with pytest.raises(ValueError, match="must call `compile"):
                model.fit(X, y, verbose=0)
            model.compile("sgd", "mse", run_eagerly=True)
        else:
            model.fit(X, y, verbose=0)


@pytest.mark.parametrize("name", ["model.h5", "model.hdf5"])
def test_a_format_that_cannot_be_loaded(name, tmp_path):
    model = linear_model()
    with pytest.raises(ValueError, match="old HDF5 format.*\\.keras"):
        model.save(tmp_path / name)
    assert not list(tmp_path.iterdir())
    model.save_weights(tmp_path / "model.weights.h5")
