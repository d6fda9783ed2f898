"""The default model, and models of users' own."""

from typing import get_args
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf

from built_models import SPEC, TASKS
from pcgrad_tfx.config.features import Features
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.training_config import OptimizerName, TrainerConfig, Training
from pcgrad_tfx.training import building
from pcgrad_tfx.training.building import build as build_for
from pcgrad_tfx.training.building import compile_model
from pcgrad_tfx.training.inputs import TrainingInputs
from pcgrad_tfx.training.label_statistics import LabelStatistics
from pcgrad_tfx.training.model import build_model, check_feature_spec
from pcgrad_tfx.training.network.sizes import parameter_count

FEATURES = {"miles_xf": tf.constant([-2.0, 0.0, 2.0]), "company_xf": tf.constant([0, 1, 4])}


BOUNDARIES = {"miles_xf": [-2.0, -1.0, 0.5, 2.0]}


def settings(**training):
    return Training(**{"hidden_units": (16, 8), **training})


def build(spec=None, **training):
    keras.utils.set_random_seed(1)
    statistics = {"fare": LabelStatistics(mean=5000.0, std=10.0)}
    sizes = {"company_xf": 5}
    return build_model(spec or SPEC, TASKS, settings(**training), sizes, statistics, BOUNDARIES)


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
    statistics = {"fare": LabelStatistics(mean=5.0, std=0.1)}
    model = build_model(SPEC, tasks, settings(), {"company_xf": 5}, statistics)
    fares = model(FEATURES)["fare"].numpy()
    assert (np.abs(np.log(fares / 147)) < 5 * 0.1).all()
    assert np.ptp(fares) > 1


def test_a_head_of_counts_gives_multiples_of_the_mean_label():
    tasks = [
        task.model_copy(update={"loss": "poisson"}) if task.name == "fare" else task
        for task in TASKS
    ]

    def counts(mean):
        keras.utils.set_random_seed(1)
        statistics = {"fare": LabelStatistics(mean, std=7.0)}
        return build_model(SPEC, tasks, settings(), {"company_xf": 5}, statistics)(FEATURES)["fare"]

    assert (counts(1.0) > 0).numpy().all()
    np.testing.assert_allclose(counts(40.0), 40 * counts(1.0), rtol=1e-5)
    # Where no count is above 0, too, there is something to learn.
    np.testing.assert_array_equal(counts(0.0), counts(1.0))


def test_metrics_of_several_tasks_of_one_kind_have_one_name():
    tasks = [Task(name=name, kind="binary", column=name) for name in ("tip", "late")]
    features = Features(numeric=("miles",))
    config = TrainerConfig(tasks=tasks, features=features, hidden_units=(4,))
    model = build_model(SPEC, tasks, config, {"company_xf": 5}, {})
    compile_model(model, config, tasks, {}, steps=10)
    labels = {task.name: np.array([0.0, 1.0, 0.0]) for task in tasks}
    logs = model.fit(FEATURES, labels, verbose=0).history
    assert {"tip_auc", "late_auc"} <= set(logs)


@pytest.mark.parametrize("decay", [pytest.param(0.0, marks=pytest.mark.slow), 0.1])
@pytest.mark.parametrize("optimizer", get_args(OptimizerName))
def test_every_optimizer_trains_with_and_without_decay(optimizer, decay):
    config = TrainerConfig(
        tasks=TASKS, embedding_sizes={"company_xf": 5}, optimizer=optimizer, weight_decay=decay
    )
    model = build(hidden_units=(4,))
    before = model.get_weights()
    compile_model(model, config, TASKS, {"fare": LabelStatistics(5000.0, 10.0)}, steps=10)
    labels = {
        "tip": np.array([0.0, 1.0, 0.0]),
        "fare": np.array([4990.0, 5000.0, 5010.0]),
        "zone": np.array([0, 3, 1]),
    }
    model.fit(FEATURES, labels, verbose=0)
    assert not all(map(np.array_equal, model.get_weights(), before))


HOSTILE = ["Delta 13 C (o/oo)", "key words", "%", "ключ", "_a", "a/b", "a b", "feature 1"]
HOSTILE += ["n" * 5000, "a\nb", "..", "🚕"]


@pytest.mark.filterwarnings("error::UserWarning")  # Keras's
@pytest.mark.parametrize("dtype", [tf.float32, tf.int64])
def test_columns_may_have_any_name(dtype):
    spec = {f"{name}_xf": tf.io.FixedLenFeature([], dtype) for name in HOSTILE}
    sizes = {} if dtype.is_floating else dict.fromkeys(spec, 3)
    model = build_model(spec, TASKS, settings(), sizes, {"fare": LabelStatistics(0.0, 1.0)})
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
    training = settings(head_units=(2,))
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


def users_of_weights(model):
    """By weight the tasks whose outputs depend on it."""
    with tf.GradientTape(persistent=True) as tape:
        outputs = model(FEATURES)
    users = {weight.path: set() for weight in model.trainable_weights}
    for name, output in outputs.items():
        gradients = tape.gradient(output, model.trainable_weights)
        for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
            if gradient is not None:
                users[weight.path].add(name)
    return users


def test_tasks_share_the_bottom_and_nothing_else():
    users = users_of_weights(build(hidden_units=(6, 5), head_units=(4,)))
    names = {task.name for task in TASKS}
    own = [path for path, tasks in users.items() if tasks != names]
    assert all(len(users[path]) == 1 for path in own)
    assert len(own) == 3 * (2 * 2 + 1)  # a hidden layer, the output layer, the direct one
    assert len(users) - len(own) == 1 + 2 * 2  # the embedding and the shared layers


@pytest.mark.parametrize(
    ("architecture", "shared"),
    # The embedding; kernels and biases of the experts, of PLE's first layer all of them, and its
    # shared gate.
    [("separate", 1), ("mmoe", 1 + 2 * 2), ("ple", 1 + 2 * (1 + 3) + 1 + 2)],
)
def test_what_tasks_share_follows_from_the_architecture(architecture, shared):
    users = users_of_weights(build(architecture=architecture, hidden_units=(6, 5)))
    assert sum(len(tasks) == len(TASKS) for tasks in users.values()) == shared
    assert {len(tasks) for tasks in users.values()} == {1, len(TASKS)}


def test_sizes_are_configurable():
    model = build(hidden_units=(6, 5), head_units=(4,), embedding_dim=3, wide=False)
    shapes = sorted(tuple(weight.shape) for weight in model.weights if len(weight.shape) == 2)
    # A number, its three positions and the vector of an id.
    assert shapes == sorted([(5, 3), (7, 6), (6, 5), *[(5, 4)] * 3, (4, 1), (4, 1), (4, 4)])


def test_without_hidden_layers_the_model_is_linear():
    shapes = [tuple(weight.shape) for weight in build(hidden_units=()).weights]
    assert sorted(shapes) == sorted([(5, 8), (12, 1), (1,), (12, 1), (1,), (12, 4), (4,)])


def test_a_wide_model_begins_as_the_deep_one():
    """So that a new network's outputs are of order 1 with any number of features."""
    for name, value in build(wide=True)(FEATURES).items():
        np.testing.assert_array_equal(value, build(wide=False)(FEATURES)[name])


def test_dropout_is_for_training_alone():
    model = build(dropout=0.5)
    for name, value in model(FEATURES).items():
        np.testing.assert_array_equal(value, model(FEATURES)[name])
    trained = [model(FEATURES, training=True)["fare"] for _ in range(2)]
    assert not np.allclose(*trained, rtol=1e-7)


@pytest.mark.parametrize(
    "training",
    [
        {},
        {"hidden_units": ()},
        {"hidden_units": (), "head_units": (3,)},
        {"hidden_units": (6, 5), "head_units": (4, 3), "embedding_dim": 3},
        {"normalization": "layer", "head_units": (4,)},
        {"normalization": "batch", "architecture": "separate"},
        {"architecture": "mmoe", "wide": False},
        {"architecture": "ple", "hidden_units": (6, 5, 4)},
    ],
)
def test_parameters_are_counted_without_the_model(training):
    counted = parameter_count(SPEC, TASKS, settings(**training), {"company_xf": 5}, BOUNDARIES)
    assert counted == build(**training).count_params()


def test_much_memory_is_said_before_it_is_taken(capsys, monkeypatch):
    """Ten million units: 40 million weights, and a row of the three heads for each."""
    built = []
    monkeypatch.setattr(building, "build_model", lambda *given: built.append(given))
    for units in ((64, 32), (10_000_000,)):
        config = TrainerConfig(
            tasks=TASKS, hidden_units=units, embedding_sizes={"company_xf": 5}, wide=False
        )
        data = mock.Mock(feature_spec=SPEC)
        build_for(TrainingInputs(config, None, data, 1, {}, {"company_xf": 5}, {}))
        said = capsys.readouterr().out
        assert len(built) == 1 or said.startswith("The model has 160,000,046 parameters; training")
        assert len(built) == 2 or not said
    assert "takes about 4.2 GiB of memory" in said


def test_losses_have_their_weights_on_a_common_scale():
    """An error of a deviation counts 1, whatever the label's unit."""
    weights = {"tip": 2.0, "fare": 3.0, "zone": 5.0}
    tasks = [task.model_copy(update={"loss_weight": weights[task.name]}) for task in TASKS]
    features = Features(numeric=("miles",), categorical=("company",))
    model = build()
    compile_model(
        model,
        TrainerConfig(tasks=tasks, features=features),
        tasks,
        {"fare": LabelStatistics(mean=5000.0, std=10.0)},
        steps=10,
    )
    labels = {
        "tip": tf.constant([0.0, 1.0, 1.0]),
        "fare": tf.constant([4990.0, 5020.0, 5070.0]),
        "zone": tf.constant([0, 3, 1]),
    }
    found = model.evaluate(FEATURES, labels, return_dict=True, verbose=0)
    assert found["fare_loss"] > 100
    wanted = 2 * found["tip_loss"] + 3 * found["fare_loss"] / 100 + 5 * found["zone_loss"]
    assert found["loss"] == pytest.approx(wanted, rel=1e-5)


def test_a_regressions_loss_counts_as_that_of_its_standardized_label():
    """Beside the task's own weight."""
    tasks = [task.model_copy(update={"loss_weight": 3.0}) for task in TASKS]
    config = TrainerConfig(tasks=tasks, features=Features(numeric=("miles",), categorical=()))
    model = build()
    compile_model(model, config, tasks, {"fare": LabelStatistics(mean=5000.0, std=10.0)}, steps=10)
    assert model.get_compile_config()["loss_weights"] == {"tip": 3.0, "fare": 0.03, "zone": 3.0}
