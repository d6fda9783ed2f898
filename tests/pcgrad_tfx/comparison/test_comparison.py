"""The comparison's trainings: what differs between them, and what does not."""

import itertools
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import psutil
import pytest
import tensorflow as tf
from sklearn import metrics

import comparison_runs
from comparison_runs import TEST_ROWS, compare, fit_eagerly
from pcgrad.keras import MultiTaskModel
from pcgrad_tfx.comparison import trainings
from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS
from pcgrad_tfx.comparison.wording import sentences
from trips import ROWS, TASKS, trainer_config

pytestmark = pytest.mark.long

METHODS = [EQUAL_WEIGHTS, "PCGrad", "PPCGrad", "static weights", "single task"]
NAMES = [task.name for task in TASKS]
RATE = trainer_config()["learning_rate"]


class Subclassed(MultiTaskModel):
    """A user's model that is not functional."""

    def __init__(self, tasks):
        super().__init__()
        self.shared = keras.layers.Dense(4, "relu")
        self.heads = {task.name: keras.layers.Dense(task.units, task.activation) for task in tasks}

    def call(self, features):
        columns = [tf.reshape(tf.cast(column, tf.float32), [-1, 1]) for column in features.values()]
        shared = self.shared(tf.concat(columns, axis=1))
        return {name: head(shared) for name, head in self.heads.items()}


def subclassed_model(feature_spec, tasks, hyperparameters):
    """For `model_fn`."""
    model = Subclassed(tasks)
    model({name: tf.zeros([1], feature.dtype) for name, feature in feature_spec.items()})
    return model


class Clock:
    """Steps of the three methods, in turn, take one, two and four seconds; the first ones more."""

    def __init__(self):
        warm_up = [0, 90, 0, 9, 0, 9] * 5
        self._now = 0.0
        self._seconds = itertools.chain(warm_up, itertools.cycle([0, 1, 0, 2, 0, 4]))

    def perf_counter(self):
        self._now += next(self._seconds)
        return self._now


class Watch:
    """What each training of a comparison began with and saw."""

    def __init__(self):
        self.trainings = []

    def fit(self, model, data, **kwargs):
        batches = [(features, labels) for features, labels in data]
        weights = {weight.path: weight.numpy() for weight in model.trainable_variables}
        self.trainings.append((model, weights, batches))
        return fit_eagerly(model, data, **kwargs)


@pytest.fixture(scope="module")
def watched(transformed_data, test_examples, tmp_path_factory):
    """A comparison, and what its trainings began with and saw."""
    watch = Watch()

    def fit(model, data, **kwargs):
        return watch.fit(model, data, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainings.MultiTaskModel, "fit", fit)
        patch.setattr(trainings, "time", Clock())
        folder = tmp_path_factory.mktemp("comparison")
        settings = {"static_weights": [{name: 4} for name in NAMES]}
        found = compare(transformed_data, test_examples, folder, settings=settings)
    return found, watch.trainings


def test_every_method_is_trained_with_every_seed(watched):
    found, trainings = watched
    assert [method.name for method in found.methods] == METHODS
    assert [(run.method, run.seed) for run in found.runs] == [
        (method, seed) for method in METHODS for seed in range(2)
    ]
    # Three single tasks; of static weights there is a choice, whose trainings come first.
    assert len(trainings) == 3 + 2 * (4 + 3)
    assert found.rows == {"train": len(ROWS["train"]), "eval": len(ROWS["eval"]), "test": 60}
    assert found.metrics == {"big_tip": "auc", "price": "r_squared", "payment": "auc"}
    assert sentences(found)


def by_seed(trainings):
    return trainings[3:10], trainings[10:]


def test_with_one_seed_all_begin_alike_and_see_the_same_batches(watched):
    _, trainings = watched
    first, second = by_seed(trainings)
    for (_, reference, batches), *others in (first, second):
        for _, weights, seen in others:
            # A single task has fewer variables; those that it has are the same.
            assert len(weights) > 4
            for path, values in weights.items():
                np.testing.assert_array_equal(values, reference[path], err_msg=path)
            assert len(seen) == len(batches)
            for (features, labels), (expected, expected_labels) in zip(seen, batches, strict=True):
                for name, values in features.items():
                    np.testing.assert_array_equal(values, expected[name])
                for name, values in labels.items():
                    np.testing.assert_array_equal(values, expected_labels[name])
    orders = [
        np.concatenate([labels["price"] for _, labels in half[0][2]]) for half in (first, second)
    ]
    assert not np.array_equal(*orders, equal_nan=True)
    kernel = next(path for path in first[0][1] if "kernel" in path)
    assert np.any(first[0][1][kernel] != second[0][1][kernel])


def compile_config(model):
    config = model.get_compile_config()
    return config.get("config", config)


def test_the_surgeries_and_the_loss_weights_are_those_of_the_methods(watched):
    found, trainings = watched
    grid = [compile_config(model) for model, _, _ in trainings[:3]]
    first = [compile_config(model) for model, _, _ in by_seed(trainings)[0]]
    surgeries = [config["surgery"] and config["surgery"]["class_name"] for config in first]
    assert surgeries == [None, "PCGrad", "PPCGrad", *[None] * 4]
    assert {config["surgery"]["config"]["reduction"] for config in first[1:3]} == {"sum"}
    for seed, half in enumerate(by_seed(trainings)):
        pcgrad = compile_config(half[1][0])["surgery"]["config"]
        assert pcgrad["seed"] == seed
    equal = first[0]["loss_weights"]
    factors = [
        {name: config["loss_weights"][name] / equal[name] for name in NAMES} for config in grid
    ]
    for emphasized, of_grid in zip(NAMES, factors, strict=True):
        expected = {name: 3 * (4 if name == emphasized else 1) / 6 for name in NAMES}
        assert of_grid == pytest.approx(expected)
    chosen = next(method.loss_weights for method in found.methods if method.loss_weights)
    assert pytest.approx(chosen) in factors
    assert {name: first[3]["loss_weights"][name] / equal[name] for name in NAMES} == (
        pytest.approx(chosen)
    )
    assert [list(config["loss_weights"]) for config in first[4:]] == [[name] for name in NAMES]


def test_no_test_row_reaches_a_training(watched):
    _, trainings = watched
    rows = {len(ROWS["train"]) * 2}
    for _, _, batches in trainings:
        assert {sum(len(labels[next(iter(labels))]) for _, labels in batches)} == rows


def test_conflicts_are_those_of_the_runs_with_surgery(watched):
    """The others take one backward pass for all tasks."""
    found, _ = watched
    for run in found.runs:
        expected = 3 if run.method in ("PCGrad", "PPCGrad") else 0
        assert len(run.pairs) == expected
        assert all(abs(pair["mean_cosine"]) <= 1 for pair in run.pairs)


def test_steps_are_timed_in_units_of_the_plain_one(watched):
    found, _ = watched
    assert [time.method for time in found.step_times] == METHODS[:3]
    times = [(time.low, time.ratio, time.high) for time in found.step_times]
    assert times == [(1, 1, 1), (2, 2, 2), (4, 4, 4)]


def test_scores_are_those_of_the_trained_model(watched, transformed_data, test_examples):
    """Of the test split, transformed as a served model does it."""
    found, trainings = watched
    model = by_seed(trainings)[0][0][0]
    layer = transformed_data.output.transform_features_layer()
    records = tf.data.TFRecordDataset(str(test_examples / "Split-test" / "data.gz"), "GZIP")
    raw = tf.io.parse_example(
        next(iter(records.batch(100))), transformed_data.output.raw_feature_spec()
    )
    rows = {name: tf.reshape(values, [-1]) for name, values in layer(raw).items()}
    features = {name: rows[name] for name in transformed_data.input_data().feature_spec}
    predicted = {name: values.numpy() for name, values in model(features).items()}
    known = rows["price_label_mask"].numpy() > 0
    assert 0 < known.sum() < len(TEST_ROWS)
    expected = metrics.r2_score(
        rows["price_label"].numpy()[known], predicted["price"][known].reshape(-1)
    )
    assert found.runs[0].test["price"] == pytest.approx(expected, rel=1e-4)
    known = rows["big_tip_label_mask"].numpy() > 0
    expected = metrics.roc_auc_score(
        rows["big_tip_label"].numpy()[known], predicted["big_tip"][known].reshape(-1)
    )
    assert found.runs[0].test["big_tip"] == pytest.approx(expected, abs=1e-6)


def test_the_way_to_the_best_epoch_is_followed(watched):
    found, _ = watched
    for run in found.runs:
        if run.method == "single task":
            assert not run.improvements
        else:
            assert run.epochs == 2
            assert [one.epochs for one in run.improvements] in ([1], [2], [1, 2])
            # The weights that were kept.
            assert run.improvements[-1].test == pytest.approx(run.test)


@pytest.mark.parametrize("how", [{"architecture": "mmoe"}, {"method": "upgrad"}], ids=str)
def test_architectures_and_methods_by_name(
    transformed_data, test_examples, tmp_path, monkeypatch, how
):
    monkeypatch.setattr(trainings.MultiTaskModel, "fit", fit_eagerly)
    settings = {"methods": [how], "single_task": False, "static_weights": []}
    found = compare(transformed_data, test_examples, tmp_path, settings=settings, epochs=1)
    names = [method.name for method in found.methods]
    assert names == [EQUAL_WEIGHTS, {"mmoe": "mmoe"}.get(how.get("architecture"), "UPGrad")]
    by_method = [run.test for run in found.runs if run.seed == 0]
    assert by_method[0] != by_method[1]


def test_a_method_without_a_gram_matrix_takes_none_now_and_then(
    transformed_data, test_examples, tmp_path, monkeypatch
):
    monkeypatch.setattr(trainings.MultiTaskModel, "fit", fit_eagerly)
    settings = {"methods": ["famo"], "single_task": False, "static_weights": []}
    how = {"surgery_every": 3, "epochs": 1}
    found = compare(transformed_data, test_examples, tmp_path, settings=settings, **how)
    assert [method.name for method in found.methods] == [EQUAL_WEIGHTS, "FAMO"]


@pytest.mark.slow
def test_a_killed_comparison_of_several_processes_goes_on_in_one(
    transformed_data, test_examples, tmp_path
):
    checkpoints = tmp_path / "checkpoints"
    command = [
        sys.executable, comparison_runs.__file__, transformed_data.folder, test_examples,
        tmp_path / "killed", checkpoints,
    ]  # fmt: skip
    with subprocess.Popen(list(map(str, command))) as process:
        while len(list(checkpoints.rglob("run-*-*.json"))) < 3:
            assert process.poll() is None
            time.sleep(0.05)
        processes_of_it = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
    # Nobody is left who trains on.
    psutil.wait_procs(processes_of_it, timeout=60)
    assert not [one for one in processes_of_it if one.is_running()]
    kept = {path.name: path.read_text() for path in checkpoints.rglob("run-*-*.json")}

    trained = []
    with pytest.MonkeyPatch.context() as patch:
        original = trainings.Trainings.run
        patch.setattr(
            trainings.Trainings, "run",
            lambda self, job: trained.append(job) or original(self, job),
        )  # fmt: skip
        found = compare(
            transformed_data, test_examples, tmp_path / "again",
            checkpoint_root=str(checkpoints), settings=comparison_runs.FEW,
        )  # fmt: skip
        assert len(trained) == 8 - len(kept)
        assert not list(checkpoints.rglob("run-*"))
        # Another process, another number of them: the same results.
        fresh = compare(
            transformed_data, test_examples, tmp_path / "fresh", settings=comparison_runs.FEW
        )
    assert len(trained) == 8 - len(kept) + 8
    assert found.runs == fresh.runs


@pytest.mark.parametrize(
    "model_fn",
    [
        "test_comparison.subclassed_model",
        pytest.param("trips.dropout_model", marks=pytest.mark.slow),
    ],
)
def test_a_model_of_the_users_own_is_compared(
    transformed_data, test_examples, tmp_path, monkeypatch, model_fn
):
    """One of named outputs in a list, and one that cannot be cut to a single task."""
    monkeypatch.setattr(trainings.MultiTaskModel, "fit", fit_eagerly)
    settings = {"static_weights": []}
    found = compare(
        transformed_data, test_examples, tmp_path,
        model_fn=model_fn, features=None, epochs=1, settings=settings,
    )  # fmt: skip
    by_run = {(run.method, run.seed): run for run in found.runs}
    assert len(by_run) == 2 * 4
    for (method, _), run in by_run.items():
        assert None not in [run.test[name] for name in NAMES]
        assert bool(run.pairs) == (method in ("PCGrad", "PPCGrad"))
    # Trained, and not as together with the others.
    assert by_run["single task", 0].test != by_run[EQUAL_WEIGHTS, 0].test
