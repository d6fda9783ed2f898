"""The default model, and models of users' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pcgrad.keras import MultiTaskModel
from pcgrad_tfx.features import Features
from pcgrad_tfx.label_statistics import LabelStatistics
from pcgrad_tfx.log_scale import MeanSquaredLogError
from pcgrad_tfx.model import (
    as_multi_task_model,
    build_model,
    check_feature_spec,
    load_model_fn,
    task_loss,
)
from pcgrad_tfx.tasks import Task
from pcgrad_tfx.training import compile_model
from pcgrad_tfx.training_config import TrainerConfig, Training
from trips import dropout_model

TASKS = (
    Task(name="tip", kind="binary", column="tips"),
    Task(name="fare", kind="regression", column="fare"),
    Task(name="zone", kind="multiclass", column="zone", classes=("a", "b", "c", "d")),
)
SPEC = {
    "miles_xf": tf.io.FixedLenFeature([], tf.float32),
    "company_xf": tf.io.FixedLenFeature([], tf.int64),
}
FEATURES = {"miles_xf": tf.constant([-2.0, 0.0, 2.0]), "company_xf": tf.constant([0, 1, 4])}


def build(spec=None, **training):
    keras.utils.set_random_seed(1)
    statistics = {"fare": LabelStatistics(mean=5000.0, deviation=10.0)}
    sizes = {"company_xf": 5}
    return build_model(spec or SPEC, TASKS, Training(**training), sizes, statistics)


def test_one_output_for_each_task():
    outputs = build()(FEATURES)
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "tip": (3, 1),
        "fare": (3, 1),
        "zone": (3, 4),
    }


def test_outputs_are_probabilities_and_labels_in_their_own_unit():
    outputs = {name: value.numpy() for name, value in build()(FEATURES).items()}
    assert ((outputs["tip"] > 0) & (outputs["tip"] < 1)).all()
    np.testing.assert_allclose(outputs["zone"].sum(axis=1), 1, rtol=1e-6)
    # Standardized values of a new head are of order 1.
    assert (np.abs(outputs["fare"] - 5000) < 5 * 10).all()
    assert np.ptp(outputs["fare"]) > 1


def test_a_head_on_a_logarithmic_scale_gives_amounts():
    tasks = [task.model_copy(update={"log_scale": task.name == "fare"}) for task in TASKS]
    keras.utils.set_random_seed(1)
    # Of the logarithms; e^5 - 1 is 147.
    statistics = {"fare": LabelStatistics(mean=5.0, deviation=0.1)}
    model = build_model(SPEC, tasks, Training(), {"company_xf": 5}, statistics)
    fares = model(FEATURES)["fare"].numpy()
    assert (np.abs(np.log(fares / 147)) < 5 * 0.1).all()
    assert np.ptp(fares) > 1
    assert isinstance(task_loss(tasks[1]), MeanSquaredLogError)
    assert task_loss(TASKS[1]) == "mean_squared_error"


def test_metrics_of_several_tasks_of_one_kind_have_one_name():
    tasks = [Task(name=name, kind="binary", column=name) for name in ("tip", "late")]
    config = TrainerConfig(tasks=tasks, features=Features(numeric=("miles",)))
    model = build_model(SPEC, tasks, config, {"company_xf": 5}, {})
    compile_model(model, config, tasks, {})
    labels = {task.name: np.array([0.0, 1.0, 0.0]) for task in tasks}
    logs = model.fit(FEATURES, labels, verbose=0).history
    assert {"tip_auc", "late_auc"} <= set(logs)


HOSTILE = ["Delta 13 C (o/oo)", "key words", "%", "ключ", "_a", "a/b", "a b", "feature 1"]
HOSTILE += ["n" * 5000, "a\nb", "..", "🚕"]


@pytest.mark.filterwarnings("error::UserWarning")  # Keras's
@pytest.mark.parametrize("dtype", [tf.float32, tf.int64])
def test_columns_may_have_any_name(dtype):
    spec = {f"{name}_xf": tf.io.FixedLenFeature([], dtype) for name in HOSTILE}
    sizes = {} if dtype.is_floating else dict.fromkeys(spec, 3)
    model = build_model(spec, TASKS, Training(), sizes, {"fare": LabelStatistics(0.0, 1.0)})
    features = {name: tf.cast([0, 1, 2], dtype) for name in spec}

    @tf.function
    def answer(features):
        return model(features)

    # Within a function TensorFlow checks the names of the layers.
    for name, value in answer(features).items():
        np.testing.assert_allclose(value, model(features)[name], rtol=1e-5, atol=1e-6)


def test_tasks_and_features_may_be_called_like_layers():
    names = ("concatenate", "shared_0", "fare_xf", "fare_xf_column", "a", "a_log", "a_hidden_0")
    tasks = [Task(name=name, kind="regression", column="c", log_scale=True) for name in names]
    spec = {name: tf.io.FixedLenFeature([], tf.float32) for name in ("fare_xf", "fare_xf_column")}
    statistics = {name: LabelStatistics(0.0, 1.0) for name in names}
    training = Training(head_units=(2,))
    model = build_model(spec, tasks, training, {}, statistics)
    layers = [layer.name for layer in model.layers]
    assert len(layers) == len(set(layers))
    assert model.named_outputs() == list(names)
    assert set(model({name: tf.constant([1.0]) for name in spec})) == set(names)


def test_features_of_one_value_with_and_without_a_dimension_give_the_same():
    """Somebody else's Transform may write [N, 1]."""
    wide = {name: tf.io.FixedLenFeature([1], feature.dtype) for name, feature in SPEC.items()}
    check_feature_spec(wide, {"company_xf": 5})
    answers = build(wide)({name: value[:, tf.newaxis] for name, value in FEATURES.items()})
    for name, value in build()(FEATURES).items():
        np.testing.assert_array_equal(answers[name], value)


@pytest.mark.parametrize(
    ("changes", "sizes", "message"),
    [
        ({}, {"compani_xf": 5}, 'embedding_sizes: .compani_xf. .*did you mean "company_xf"'),
        ({}, {}, "'company_xf' holds int64; if these are ids, name it in `embedding_sizes`"),
        ({}, {"company_xf": 5, "miles_xf": 2}, "'miles_xf' is in `embedding_sizes`, but .*float32"),
        (
            {"miles_xf": tf.io.FixedLenFeature([2], tf.float32)},
            {"company_xf": 5},
            "'miles_xf' has not just one value in each row",
        ),
        (
            {"miles_xf": tf.io.VarLenFeature(tf.float32)},
            {"company_xf": 5},
            "'miles_xf' has not just one value in each row",
        ),
        (
            {"day_xf": tf.io.FixedLenFeature([], tf.string)},
            {"company_xf": 5},
            "'day_xf' holds text",
        ),
    ],
)
def test_features_that_the_model_cannot_take(changes, sizes, message):
    with pytest.raises(ValueError, match=rf"\A.*{message}.*\Z"):
        check_feature_spec(SPEC | changes, sizes)


@pytest.mark.parametrize("feature", SPEC)
def test_the_outputs_depend_on_every_feature(feature):
    model = build()
    changed = FEATURES | {feature: tf.reverse(FEATURES[feature], [0])}
    for name, value in model(FEATURES).items():
        assert not np.allclose(value[0], model(changed)[name][0], rtol=1e-7)


@pytest.mark.parametrize("feature", SPEC)
def test_one_feature_is_enough(feature):
    outputs = build({feature: SPEC[feature]})({feature: FEATURES[feature]})
    assert outputs["zone"].shape == (3, 4)


def test_tasks_share_the_bottom_and_nothing_else():
    model = build(hidden_units=(6, 5), head_units=(4,))
    with tf.GradientTape(persistent=True) as tape:
        outputs = model(FEATURES)
    weights = model.trainable_weights
    users = {weight.path: set() for weight in weights}
    for name, output in outputs.items():
        for weight, gradient in zip(weights, tape.gradient(output, weights), strict=True):
            if gradient is not None:
                users[weight.path].add(name)
    names = {task.name for task in TASKS}
    own = [path for path, tasks in users.items() if tasks != names]
    assert all(len(users[path]) == 1 for path in own)
    assert len(own) == 3 * 2 * 2  # per head a hidden layer and the output layer
    assert len(users) - len(own) == 1 + 2 * 2  # the embedding and the shared layers


def test_sizes_are_configurable():
    model = build(hidden_units=(6, 5), head_units=(4,), embedding_dim=3)
    shapes = sorted(tuple(weight.shape) for weight in model.weights if len(weight.shape) == 2)
    assert shapes == sorted([(5, 3), (4, 6), (6, 5), *[(5, 4)] * 3, (4, 1), (4, 1), (4, 4)])


def test_without_hidden_layers_the_model_is_linear():
    shapes = [tuple(weight.shape) for weight in build(hidden_units=()).weights]
    assert sorted(shapes) == sorted([(5, 8), (9, 1), (1,), (9, 1), (1,), (9, 4), (4,)])


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


def test_a_functional_model_becomes_a_multi_task_model_with_the_same_layers():
    plain = dropout_model(SPEC, TASKS, {})
    model = as_multi_task_model(plain, TASKS, "models.build")
    assert isinstance(model, MultiTaskModel)
    assert [id(weight) for weight in model.weights] == [id(weight) for weight in plain.weights]
    for one, other in zip(model(FEATURES), plain(FEATURES), strict=True):
        np.testing.assert_array_equal(one, other)


def test_outputs_may_be_a_mapping_by_task():
    inputs = keras.Input((), name="miles_xf")
    column = keras.layers.Reshape((1,))(inputs)
    outputs = {task.name: keras.layers.Dense(task.units)(column) for task in TASKS}
    model = as_multi_task_model(keras.Model({"miles_xf": inputs}, outputs), TASKS, "models.build")
    model.compile("sgd", loss={task.name: task.loss for task in TASKS})
    answers = model({"miles_xf": FEATURES["miles_xf"]})
    assert set(answers) == {task.name for task in TASKS}


def test_a_multi_task_model_is_taken_as_it_is():
    model = build()
    assert as_multi_task_model(model, TASKS, "models.build") is model


def compiled():
    model = build()
    model.compile("sgd", loss={task.name: task.loss for task in TASKS})
    return model


class Subclassed(keras.Model):
    """Neither functional nor a MultiTaskModel."""


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (compiled, "models.build returned a compiled model; leave compiling it to the Trainer"),
        (
            lambda: dropout_model(SPEC, TASKS[:2], {}),
            r"models.build returned a model with outputs \['fare', 'tip'\]; name them like the",
        ),
        (Subclassed, "models.build returned Subclassed; return a functional keras.Model or a"),
        (lambda: None, "models.build returned NoneType; return a functional keras.Model or a"),
    ],
)
def test_an_unfit_model_is_refused(model, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        as_multi_task_model(model(), TASKS, "models.build")
