"""Models of users' own: those that fit are trained, the others refused before training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from built_models import (
    FEATURES,
    MILES,
    SPEC,
    TASKS,
    Own,
    Plain,
    big,
    check,
    column,
    convert,
    functional,
    heads,
    inputs,
)
from pcgrad.keras import MultiTaskModel
from pcgrad_tfx.training.model import outputs_by_task
from pcgrad_tfx.training.user_models import check_outputs, load_model_fn
from trips import dropout_model


def test_load_model_fn():
    assert load_model_fn("trips.dropout_model") is dropout_model


@pytest.mark.parametrize(
    "path",
    [
        "dropout_model",
        "no_such_package.build",
        "trips.no_such_function",
        ".build",
        "..models.build",
        "",
    ],
)
def test_a_function_that_cannot_be_imported_is_named(path):
    with pytest.raises(ValueError, match=r"^custom_config: model_fn: cannot import ") as error:
        load_model_fn(path)
    assert repr(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_no_function_is_refused():
    with pytest.raises(ValueError, match=r"'trips.BATCH_SIZE' is not a function"):
        load_model_fn("trips.BATCH_SIZE")


def test_a_function_of_other_arguments_is_refused():
    message = r"'keras.utils.set_random_seed' takes other arguments.*let it take feature_spec, task"
    with pytest.raises(ValueError, match=message):
        load_model_fn("keras.utils.set_random_seed")


def test_a_functional_model_becomes_a_multi_task_model_with_the_same_layers():
    plain = dropout_model(SPEC, TASKS, {})
    model = convert(plain)
    assert isinstance(model, MultiTaskModel)
    assert [id(weight) for weight in model.weights] == [id(weight) for weight in plain.weights]
    for one, other in zip(model(FEATURES), plain(FEATURES), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_multi_task_model_is_taken_as_it_is():
    plain = functional(heads())
    model = MultiTaskModel(plain.input, plain.output)
    assert convert(model) is model
    check(model)


def nested(units):
    """A head that is a model."""
    return keras.Sequential([keras.layers.Dense(3, "relu"), keras.layers.Dense(units)])


@pytest.mark.parametrize("kind", [keras.Model, MultiTaskModel])
@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize("is_nested", [False, True])
def test_logits_become_probabilities(kind, as_list, is_nested):
    def head(name, units):
        made = nested(units) if is_nested else keras.layers.Dense(units)
        made.name = name
        return made

    plain = functional(heads(tip=head("tip", 1), zone=head("zone", 4)), as_list)
    model = convert(kind(plain.input, plain.output))
    check(model)
    found = outputs_by_task(model, model(FEATURES))
    logits = plain(FEATURES)
    logits = dict(zip(heads(), logits, strict=True)) if as_list else logits
    np.testing.assert_allclose(found["tip"], tf.sigmoid(logits["tip"]), rtol=1e-6)
    np.testing.assert_allclose(found["zone"], tf.nn.softmax(logits["zone"]), rtol=1e-6)
    np.testing.assert_array_equal(found["fare"], logits["fare"])
    assert {id(weight) for weight in model.weights} == {id(weight) for weight in plain.weights}


def test_a_cast_behind_a_sigmoid_is_no_logit():
    """The way that Keras's guide to mixed precision ends a head."""
    cast = keras.Sequential(
        [keras.layers.Dense(1, "sigmoid"), keras.layers.Activation("linear", dtype="float32")]
    )
    plain = functional(heads(tip=cast))
    found = convert(plain)(FEATURES)["tip"]
    np.testing.assert_array_equal(found, plain(FEATURES)["tip"])


class Probability(keras.layers.Dense):
    """A dense layer that applies its sigmoid itself."""

    def call(self, inputs):
        return keras.ops.sigmoid(super().call(inputs))


def test_a_dense_layer_of_ones_own_is_no_logit():
    plain = functional(heads(tip=Probability(1)))
    found = convert(plain)(FEATURES)["tip"]
    np.testing.assert_array_equal(found, plain(FEATURES)["tip"])


@pytest.mark.parametrize("kind", [Own, Plain])
def test_a_subclass_that_is_not_built(kind):
    model = convert(kind(**heads()))
    assert model.built
    assert len(model.trainable_weights) == 6
    check(model)
    assert set(outputs_by_task(model, model(FEATURES))) == {task.name for task in TASKS}


class Doubled(keras.Model):
    """Does more than its layers."""

    def call(self, features, training=False, mask=None):
        outputs = super().call(features, training=training, mask=mask)
        return {**outputs, "fare": 2 * outputs["fare"]}


def test_a_functional_model_whose_class_has_a_call_of_its_own():
    plain = functional(heads())
    model = convert(Doubled(plain.input, plain.output))
    check(model)
    found, expected = model(FEATURES), plain(FEATURES)
    np.testing.assert_array_equal(found["fare"], 2 * expected["fare"])
    np.testing.assert_array_equal(found["tip"], expected["tip"])
    assert len(model.trainable_weights) == 6


class ToTensor(keras.layers.Layer):
    """From a mapping of features to one tensor."""

    def call(self, features, training=None):
        columns = [keras.ops.cast(value, "float32") for value in features.values()]
        return keras.ops.stack(columns, axis=1)


@pytest.mark.parametrize(
    "kind",
    ["list", "tensor", "sequential", "mapping", "built sequential", "sequential of a tensor"],
)
def test_one_output_for_one_task_needs_no_name(kind):
    given, head = inputs(), keras.layers.Dense(1, "sigmoid")
    spec = MILES if kind in ("built sequential", "sequential of a tensor") else SPEC
    model = {
        "list": lambda: keras.Model(given, [head(column(given))]),
        "tensor": lambda: keras.Model(given, head(column(given))),
        "mapping": lambda: keras.Model(given, {"out": head(column(given))}),
        "sequential": lambda: keras.Sequential([ToTensor(), head]),
        "built sequential": lambda: keras.Sequential([keras.Input((1,)), head]),
        "sequential of a tensor": lambda: keras.Sequential([keras.layers.Reshape((1,)), head]),
    }[kind]()
    features = {name: FEATURES[name] for name in spec}
    model = convert(model, TASKS[:1], spec)
    check_outputs(model, features, TASKS[:1], "models.build")
    model.compile("sgd", loss={"tip": "binary_crossentropy"})
    loss = model.train_on_batch(features, {"tip": tf.constant([0.0, 1.0, 1.0])})
    assert np.isfinite(loss).all()


class FailsOnRows(keras.layers.Layer):
    """Passes while the model is built."""

    def call(self, values):
        if tf.executing_eagerly():
            raise KeyError(-1)
        return values


def test_a_model_that_fails_on_rows_is_refused():
    model = convert(functional(heads(tip=keras.Sequential([FailsOnRows(), big(1, "sigmoid")]))))
    with pytest.raises(
        ValueError, match=r"^models\.build returned a model that cannot be called: "
    ):
        check(model)


def compiled():
    model = functional(heads())
    model.compile("sgd", loss={task.name: task.loss for task in TASKS})
    return model


class Trained(keras.Model):
    """With a step of its own."""

    def train_step(self, data):
        return {}


class Weighted(keras.Model):
    """With a loss of its own."""

    def compute_loss(self, *args, **kwargs):
        return 2 * super().compute_loss(*args, **kwargs)


def functional_of(cls):
    plain = functional(heads())
    return cls(plain.input, plain.output)


class Unnamed(Own):
    """Returns a list."""

    def call(self, features, training=False):
        return list(super().call(features, training).values())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (compiled, " returned a compiled model; leave compiling it to the Trainer"),
        (
            lambda: dropout_model(SPEC, TASKS[:2], {}),
            r" returned a model with outputs \['fare', 'tip'\]; name them like the",
        ),
        (
            lambda: functional({"out": keras.layers.Dense(1)}),
            r" returned a model with outputs \['out'\]; name them like the tasks, \['fare', 'tip'",
        ),
        (lambda: keras.Sequential([keras.layers.Dense(1)]), " returned Sequential, which cannot t"),
        (
            lambda: keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]),
            r" returned Sequential, which cannot take a mapping of the features \['company_xf', 'm",
        ),
        (
            lambda: keras.Sequential([ToTensor(), keras.layers.Dense(1)]),
            r" returned a model with outputs \['sequential.*'\]; name them like the tasks",
        ),
        (lambda: Plain(tip=keras.layers.Dense(1)), r" returned a model with outputs \['tip'\]; na"),
        (lambda: Own(tip=keras.layers.Dense(1)), r" returned a model with outputs \['tip'\]; name"),
        (Trained, " returned Trained, which has a train_step of its own"),
        (lambda: functional_of(Trained), " returned Trained, which has a train_step of its own"),
        (lambda: functional_of(Weighted), " returned Weighted, which has a compute_loss of its o"),
        (lambda: Unnamed(**heads()), ": Unnamed returns its outputs without names; let its `call`"),
        (lambda: None, " returned NoneType; return a functional keras.Model or a"),
        (lambda: keras.layers.Dense(1), " returned Dense; return a functional keras.Model or a"),
    ],
)
def test_an_unfit_model_is_refused(model, message):
    with pytest.raises(ValueError, match=rf"^models\.build{message}") as raised:
        check(convert(model()))
    assert "\n" not in str(raised.value)
