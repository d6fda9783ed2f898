"""The reference's numbers, against scikit-learn called by hand on the same rows."""

import functools
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from tfx.components.util import examples_utils
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_artifacts

from comparison_runs import write_test_split
from pcgrad_tfx.comparison import references
from pcgrad_tfx.comparison.processes import Inputs
from pcgrad_tfx.comparison.references import best_linear, best_trees, reference_tasks
from pcgrad_tfx.config.features import Features
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.training_config import TrainerConfig
from pcgrad_tfx.reference import component
from pcgrad_tfx.reference import rows as row_limits
from pcgrad_tfx.reference.component import Executor, Reference, ReferenceScores
from pcgrad_tfx.reference.results import read_reference
from pcgrad_tfx.training.task_definitions import definitions
from pcgrad_tfx.transform.preprocessing import preprocessing_fn
from transform_runs import config_of
from transformed import TransformedData, artifact, cut_silently, write_transformed

TASKS = (
    Task(name="click", kind="binary", column="click", weight="cost", class_weight="balanced"),
    Task(name="bought", kind="binary", column="bought", only_where={"click": 1}),
    Task(name="amount", kind="regression", column="amount", weight="cost"),
    Task(name="income", kind="regression", column="income", log_scale=True, loss="huber"),
    Task(name="grade", kind="multiclass", column="grade", classes=("a", "b", "c")),
)
FEATURES = Features(numeric=("x",), categorical=("shop",), bucketized={"age": 4})
SPEC = {
    **dict.fromkeys(("x", "amount", "income", "cost"), tf.io.VarLenFeature(tf.float32)),
    **dict.fromkeys(("age", "click", "bought"), tf.io.VarLenFeature(tf.int64)),
    **dict.fromkeys(("shop", "grade"), tf.io.VarLenFeature(tf.string)),
}


def made(count, seed):
    """Rows whose labels follow from the features, some of them without a label or a weight."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        x, age, shop = float(np.float32(rng.normal())), int(rng.integers(90)), int(rng.integers(20))
        row = {
            "x": [x],
            "age": [age],
            "shop": [f"shop {shop}"],
            "click": [int(x + shop % 3 + rng.normal() > 1)],
            "bought": [int(x - shop % 2 + rng.normal() > 0)],
            "amount": [20 + 5 * abs(x) + age / 10 + shop % 3 + float(rng.normal())],
            "income": [float(np.exp(5 + x + rng.normal() / 2))],
            "grade": ["abc"[int(np.clip(x + 1 + shop % 2 - rng.random(), 0, 2))]],
            "cost": [float(rng.exponential(10))],
        }
        for column in ("x", "amount", "grade", "cost"):
            if rng.random() < 0.1:
                row[column] = []
        rows.append(row)
    return rows


ROWS = {"train": made(600, 1), "eval": made(20, 2), "test": made(300, 3)}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    config = config_of(TASKS, FEATURES)
    function = functools.partial(preprocessing_fn, custom_config=config)
    write_transformed(folder, function, SPEC, ROWS)
    write_test_split(folder / "raw", ROWS["test"])
    return TransformedData(folder)


def artifacts(data):
    """What the components are given."""
    raw = artifact(standard_artifacts.Examples, data.folder / "raw")
    raw.split_names = artifact_utils.encode_split_names(["test"])
    examples_utils.set_payload_format(raw, example_gen_pb2.FORMAT_TF_EXAMPLE)
    inputs = data.inputs()
    return {
        "examples": raw,
        "transformed_examples": inputs["examples"][0],
        "transform_graph": inputs["transform_graph"][0],
    }


def run(data, folder):
    """Runs the executor, and reads what it wrote."""
    properties = {
        "tasks": json.dumps(list(definitions(TASKS).values())),
        "categorical": json.dumps(["shop_xf"]),
    }
    Executor().Do(
        {key: [one] for key, one in artifacts(data).items()},
        {"reference": [artifact(ReferenceScores, folder)]},
        properties,
    )
    return read_reference(str(folder))


@pytest.fixture(scope="module")
def outcome(data, tmp_path_factory):
    return run(data, tmp_path_factory.mktemp("outcome"))


def rows_of(data, split):
    """All of a split that Transform wrote: features, labels, weights."""
    (batch,) = data.input_data(TASKS, batch_size=len(ROWS[split])).batches(data.files(split))
    features, labels, weights = batch
    columns = ["x_xf", "shop_xf", "age_xf"]
    values = np.stack([features[name].numpy().astype("float32") for name in columns], axis=1)
    numpy = {name: value.numpy().astype(float) for name, value in labels.items()}
    return values, numpy, {name: value.numpy() for name, value in weights.items()}


def by_hand(task, train, test):
    """scikit-learn's own defaults, and its own metrics, on the rows that have the label."""
    settings = {"categorical_features": [False, True, False], "random_state": 0}
    (x, label, weight), (x_test, label_test, weight_test) = (
        [values[known] for values in (features, labels[task], weights[task])]
        for features, labels, weights in (train, test)
        for known in [np.isfinite(labels[task]) & (weights[task] > 0)]
    )
    if task in ("amount", "income"):
        trees = HistGradientBoostingRegressor(**settings)
        if task == "income":
            predicted = np.expm1(trees.fit(x, np.log1p(label), weight).predict(x_test))
        else:
            predicted = trees.fit(x, label, weight).predict(x_test)
        return metrics.r2_score(label_test, predicted, sample_weight=weight_test)
    trees = HistGradientBoostingClassifier(**settings).fit(x, label, weight)
    predicted = trees.predict_proba(x_test)
    if task == "grade":
        return metrics.roc_auc_score(label_test, predicted, multi_class="ovr")
    return metrics.roc_auc_score(label_test, predicted[:, 1], sample_weight=weight_test)


@pytest.mark.parametrize("task", [task.name for task in TASKS])
def test_each_value_is_scikit_learns(data, outcome, task):
    (found,) = [score for score in outcome.tasks if score.task == task]
    expected = by_hand(task, rows_of(data, "train"), rows_of(data, "test"))
    assert found.value == pytest.approx(expected, abs=1e-6)
    assert found.value > {"r_squared": 0.1, "auc": 0.6}[found.metric]


def test_it_says_which_rows_the_values_are_of(outcome):
    assert (outcome.rows, outcome.all_rows, outcome.left_out) == (600, 600, ())
    counts = {score.task: score.test_rows for score in outcome.tasks}
    test = ROWS["test"]
    assert counts == {
        "click": sum(bool(row["cost"]) for row in test),
        "bought": sum(row["click"] == [1] for row in test),
        "amount": sum(bool(row["cost"] and row["amount"]) for row in test),
        "income": len(test),
        "grade": sum(bool(row["grade"]) for row in test),
    }


@pytest.mark.parametrize("split", ["Split-train", "raw/Split-test"])
def test_a_truncated_file_is_named_before_anything_is_learned(data, tmp_path, split):
    shutil.copytree(data.folder, tmp_path / "data")
    copied = TransformedData(tmp_path / "data")
    folder = copied.examples_dir if split == "Split-train" else copied.folder
    (path,) = (folder / split).iterdir()
    cut_silently(path)
    with pytest.raises(ValueError, match=rf"^{path} is damaged"):
        run(copied, tmp_path / "outcome")
    assert not (tmp_path / "outcome").exists()


def test_of_many_rows_it_takes_one_of_several(data, tmp_path, monkeypatch):
    monkeypatch.setattr(row_limits, "_MOST_ROWS", 250)
    found = run(data, tmp_path)
    assert (found.rows, found.all_rows) == (200, 600)
    train = rows_of(data, "train")
    third = (
        train[0][::3],
        *({name: values[::3] for name, values in of.items()} for of in train[1:]),
    )
    values = {score.task: score.value for score in found.tasks}
    assert values["income"] == pytest.approx(by_hand("income", third, rows_of(data, "test")))
    assert found.sentences(dict.fromkeys(values, 1.0)) == [
        "Boosted trees were given 200 of the 600 rows of train."
    ]


def test_tasks_that_take_too_long_are_left_out(data, tmp_path, monkeypatch):
    # Three columns, 600 rows: enough for three outputs; a multiclass task has three.
    monkeypatch.setattr(row_limits, "_MOST_WORK", 3 * 3 * (600 + row_limits._ROWS_OF_A_COLUMN))
    found = run(data, tmp_path)
    assert [score.task for score in found.tasks] == ["click", "bought", "amount"]
    assert found.left_out == ("income", "grade")
    assert found.sentences({"click": 1.0, "bought": 1.0, "amount": 1.0}) == [
        "Boosted trees of income and grade would have taken too long."
    ]


def test_what_a_network_learns_a_task_by_is_none_of_its_business():
    channels = {
        "examples": standard_artifacts.Examples,
        "transformed_examples": standard_artifacts.Examples,
        "transform_graph": standard_artifacts.TransformGraph,
    }

    def properties(task):
        given = {name: component.tfx.dsl.Channel(type=kind) for name, kind in channels.items()}
        return Reference(**given, tasks=[task]).exec_properties

    amount = Task(name="amount", kind="regression", column="amount")
    huber = amount.model_copy(update={"loss": "huber", "loss_weight": 3.0})
    assert properties(huber) == properties(amount)
    assert properties(amount.model_copy(update={"log_scale": True})) != properties(amount)


# In a comparison they are tuned.


@pytest.fixture(scope="module")
def compared(data):
    config = TrainerConfig(tasks=TASKS, features=FEATURES)
    return Inputs.of(config, artifacts(data))


def known_rows(data, split, task):
    features, labels, weights = rows_of(data, split)
    known = np.isfinite(labels[task]) & (weights[task] > 0)
    return features[known], labels[task][known], weights[task][known]


def test_the_number_of_trees_is_chosen_on_eval(data, compared):
    """Without a search: scikit-learn's settings, the best of 10, 20 … 200 trees."""
    train, held_out, test = (known_rows(data, s, "amount") for s in ("train", "eval", "test"))
    trees = HistGradientBoostingRegressor(
        categorical_features=[False, True, False], random_state=0, max_iter=200,
        early_stopping=False,
    ).fit(*train)  # fmt: skip
    on_eval, on_test = (
        [
            metrics.r2_score(label, found, sample_weight=weight)
            for found in list(trees.staged_predict(features))[9::10]
        ]
        for features, label, weight in (held_out, test)
    )
    best = int(np.argmax(on_eval))
    assert on_eval[best] > on_eval[-1]
    found = best_trees("amount", 0, compared)
    assert found.test == pytest.approx(on_test[best])
    # More settings are at least as good on eval; on test they need not be.
    searched = best_trees("amount", 4, compared)
    assert searched.test != found.test


def test_settings_of_trees_are_spread_over_their_ranges(monkeypatch):
    tried = []
    monkeypatch.setattr(
        references, "_best", lambda *given: tried.extend(model.keywords for model in given[3])
    )
    best_trees("amount", 64, Inputs("", ""))
    first, *others = tried
    assert "learning_rate" not in first
    places = {
        name: np.log([one[name] / low for one in others]) / np.log(high / low)
        for name, low, high in (
            ("learning_rate", 0.02, 0.3), ("max_leaf_nodes", 8, 64), ("min_samples_leaf", 5, 80),
        )
    }  # fmt: skip
    for found in places.values():
        assert np.quantile(found, [0, 0.25, 0.5, 0.75, 1]) == pytest.approx(
            [0, 0.25, 0.5, 0.75, 1], abs=0.06
        )
    assert np.abs(np.corrcoef(list(places.values())) - np.eye(3)).max() < 0.15


def test_the_penalty_of_the_linear_model_is_chosen_on_eval(data, compared):
    train, held_out, test = (known_rows(data, s, "amount") for s in ("train", "eval", "test"))
    shops = np.unique(train[0][:, 1])
    numbers = train[0][:, [0, 2]]

    def columns(features):
        scaled = (features[:, [0, 2]] - numbers.mean(axis=0)) / numbers.std(axis=0)
        return np.concatenate([features[:, [1]] == shops, scaled], axis=1)

    scores = []
    for penalty in np.logspace(-3, 4, 5):
        model = Ridge(penalty).fit(columns(train[0]), train[1], train[2])
        scores.append(
            [
                metrics.r2_score(label, model.predict(columns(x)), sample_weight=weight)
                for x, label, weight in (held_out, test)
            ]
        )
    expected = max(scores)[1]
    assert best_linear("amount", 5, compared).test == pytest.approx(expected, abs=1e-4)


# Of the twenty rows of eval one has half of all income's squares.
@pytest.mark.parametrize("task", ["click", "bought", "amount", "grade"])
def test_each_task_has_a_linear_model_that_learns_something(compared, task):
    found = best_linear(task, 3, compared)
    assert (found.model, found.task) == ("linear model", task)
    assert found.test > (0.1 if task == "amount" else 0.6)


def test_the_tasks_that_take_a_minute_have_references(compared, monkeypatch):
    assert reference_tasks(compared) == [task.name for task in TASKS]
    monkeypatch.setattr(row_limits, "_MOST_WORK", 3 * 3 * (600 + row_limits._ROWS_OF_A_COLUMN))
    assert reference_tasks(compared) == ["click", "bought", "amount"]
