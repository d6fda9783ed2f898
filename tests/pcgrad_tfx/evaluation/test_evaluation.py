"""The Evaluator's metrics equal scikit-learn's, and gates stop what they should."""

import math

import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from sklearn import metrics as sk

from evaluator_runs import TASKS, EchoModel, evaluate, make_rows
from pcgrad_tfx.config.tasks import Gate, parse_tasks
from pcgrad_tfx.evaluation.eval_config import _reasons, eval_config, read_results


@pytest.fixture(scope="module")
def rows():
    return make_rows(TASKS)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "echo": EchoModel(TASKS).save(folder / "echo"),
        "constant": EchoModel(TASKS, constant=True).save(folder / "constant"),
    }


@pytest.fixture(scope="module")
def first_run(tmp_path_factory, rows, models):
    return evaluate(tmp_path_factory.mktemp("first"), TASKS, rows, models["echo"])


def test_metrics_equal_scikit_learn_on_labelled_rows(first_run, rows):
    path, blessed = first_run
    tip, fare, zone = read_results(path, TASKS)
    assert blessed

    label, answer = rows.known("tip")
    assert (tip.task, tip.metric, tip.constant_value) == ("tip", "auc", 0.5)
    assert tip.value == pytest.approx(sk.roc_auc_score(label, answer), abs=1e-3)
    assert tip.details == pytest.approx(
        {
            "binary_crossentropy": sk.log_loss(label, answer.astype(float)),
            "binary_accuracy": sk.accuracy_score(label, answer > 0.5),
            "mean_label": label.mean(),
            "example_count": len(label),
        },
        rel=1e-5,
    )

    label, answer = rows.known("fare")
    assert (fare.task, fare.metric, fare.constant_value) == ("fare", "r_squared", 0)
    assert fare.value == pytest.approx(sk.r2_score(label, answer), rel=1e-5)
    assert fare.details == pytest.approx(
        {
            "mean_absolute_error": sk.mean_absolute_error(label, answer),
            "root_mean_squared_error": math.sqrt(sk.mean_squared_error(label, answer)),
            "mean_label": label.mean(),
            "example_count": len(label),
        },
        rel=1e-5,
    )

    label, answer = rows.known("zone")
    assert (zone.task, zone.metric, zone.constant_value) == ("zone", "auc", 0.5)
    one_vs_rest = sk.roc_auc_score(label, answer, multi_class="ovr", average="macro")
    assert zone.value == pytest.approx(one_vs_rest, abs=1e-3)
    assert zone.details == pytest.approx(
        {
            "sparse_categorical_accuracy": sk.accuracy_score(label, answer.argmax(axis=1)),
            "example_count": len(label),
        },
        rel=1e-5,
    )


def test_first_run_has_no_baseline(first_run):
    for result in read_results(first_run[0], TASKS):
        assert result.baseline_value is None
        assert result.passed
        assert result.reasons == ()


def test_slices(first_run, rows):
    found = {}
    for metrics in tfma.load_metrics(first_run[0]):
        for entry in metrics.metric_keys_and_values:
            if (entry.key.output_name, entry.key.name) == ("fare", "r_squared"):
                hours = [key.int64_value for key in metrics.slice_key.single_slice_keys]
                found[tuple(hours)] = entry.value.double_value.value
    assert set(found) == {(), (0,), (1,), (2,)}
    for hour in range(3):
        label, answer = rows.known("fare", rows.hour == hour)
        assert found[hour,] == pytest.approx(sk.r2_score(label, answer), rel=1e-5)


def test_a_constant_prediction_is_stopped(tmp_path, rows, models):
    gate = Gate(min_gain=0.01, max_drop=0.05)
    tasks = [task.model_copy(update={"gate": gate}) for task in TASKS]
    path, blessed = evaluate(tmp_path, tasks, rows, models["constant"], baseline=models["echo"])
    tip, fare, zone = read_results(path, tasks)
    assert not blessed
    assert not any(result.passed for result in (tip, fare, zone))
    assert tip.value == pytest.approx(tip.constant_value, abs=1e-6)
    assert zone.value == pytest.approx(zone.constant_value, abs=1e-6)
    assert fare.value < fare.constant_value
    assert tip.reasons == (
        "auc 0.5000 is below 0.5100: min_gain 0.01 above a constant prediction's 0.5",
        (
            "auc 0.5000 is more than max_drop 0.05 below the last blessed model's"
            f" {tip.baseline_value:.4f}"
        ),
    )


def test_a_model_as_good_as_the_last_blessed_one_passes(tmp_path, rows, models, first_run):
    path, blessed = evaluate(tmp_path, TASKS, rows, models["echo"], baseline=models["echo"])
    assert blessed
    for result, first in zip(
        read_results(path, TASKS), read_results(first_run[0], TASKS), strict=True
    ):
        assert result.passed
        assert result.value == pytest.approx(first.value)
        assert result.baseline_value == pytest.approx(first.value)
        assert result.details == pytest.approx(first.details)


def test_only_the_task_that_fails_is_blamed(tmp_path, models):
    rows = make_rows(TASKS, count=60)
    rows.labels["fare"][:] = np.nan
    path, blessed = evaluate(tmp_path, TASKS, rows, models["echo"])
    tip, fare, zone = read_results(path, TASKS)
    assert not blessed
    assert (tip.passed, fare.passed, zone.passed) == (True, False, True)
    assert fare.reasons == ("no evaluated row has a label",)
    assert math.isnan(fare.value)


@pytest.mark.parametrize("task", TASKS[1:], ids=lambda task: task.name)
def test_one_task(tmp_path, task):
    rows = make_rows([task], count=60)
    model = EchoModel([task]).save(tmp_path / "model")
    path, blessed = evaluate(tmp_path, [task], rows, model, baseline=model)
    (result,) = read_results(path, [task])
    assert blessed
    assert result.passed
    assert result.baseline_value == pytest.approx(result.value)
    assert result.details["example_count"] == len(rows.known(task.name)[0])


def test_labels_that_do_not_vary_are_the_reason(tmp_path):
    tasks = TASKS[1:2]
    rows = make_rows(tasks, count=30)
    rows.labels["fare"][:] = 5.0
    path, blessed = evaluate(tmp_path, tasks, rows, EchoModel(tasks).save(tmp_path / "model"))
    (fare,) = read_results(path, tasks)
    assert not blessed
    assert math.isnan(fare.value)
    (reason,) = fare.reasons
    assert reason.startswith("r_squared is not defined: the labels of the evaluated rows do not")


def test_a_class_without_rows_is_the_reason():
    (task,) = parse_tasks(
        [{"name": "sort", "kind": "multiclass", "column": "sort", "classes": ["a", "b", "c"]}]
    )
    reasons = _reasons(task, {"example_count": 30, "auc": math.nan}, None, set())
    assert reasons == ("auc is not defined: the evaluated rows lack one of the classes",)


def test_without_masks_all_rows_count(tmp_path):
    tasks = TASKS[:2]
    rows = make_rows(tasks, count=60)
    model = EchoModel(tasks).save(tmp_path / "model")
    config = eval_config(tasks, has_masks=False)
    path, _ = evaluate(tmp_path, tasks, rows, model, config=config)
    for result in read_results(path, tasks):
        assert result.details["example_count"] == 60


@pytest.mark.parametrize("has_masks", [True, False])
@pytest.mark.parametrize("weight", [None, "cost"])
def test_rows_count_for_a_task_alone_as_beside_others(weight, has_masks):
    task = TASKS[0].model_copy(update={"weight": weight})
    (alone,) = eval_config([task], has_masks=has_masks).model_specs
    (beside,) = eval_config([task, *TASKS[1:]], has_masks=has_masks).model_specs
    assert alone.label_key == beside.label_keys[task.name]
    assert alone.example_weight_key == beside.example_weight_keys[task.name]
    assert bool(alone.example_weight_key) == (has_masks or weight is not None)


def test_no_task_is_an_error():
    with pytest.raises(ValueError, match="there is no task"):
        eval_config([])
