"""Weights of rows and classes, from the raw columns to the Evaluator's numbers."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics as sk
from sklearn.utils.class_weight import compute_class_weight

from evaluator_runs import evaluate
from pcgrad_tfx.comparison.methods import Candidate
from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS
from pcgrad_tfx.comparison.trainings import Job, Trainings
from pcgrad_tfx.config.features import Features
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.training_config import trainer_config as pcgrad_config
from pcgrad_tfx.evaluation.eval_config import eval_config, read_results
from pcgrad_tfx.evaluation.scores import Scorer, primary_metric
from pcgrad_tfx.training.building import build, compile_model
from pcgrad_tfx.training.inputs import read_inputs
from pcgrad_tfx.training.label_statistics import label_statistics
from pcgrad_tfx.transform.preprocessing import preprocessing_fn
from transform_runs import config_of, to_example
from transformed import TransformedData, write_transformed
from trips import trainer_config

pytestmark = pytest.mark.long

TASKS = (
    Task(name="click", kind="binary", column="click", weight="cost", class_weight="balanced"),
    Task(name="bought", kind="binary", column="bought", weight="cost", only_where={"click": 1}),
    Task(name="amount", kind="regression", column="amount", weight="cost"),
    Task(
        name="grade",
        kind="multiclass",
        column="grade",
        classes=("a", "b", "c"),
        only_where={"zone": ["n", "s"]},
        class_weight={"b": 3.0, "c": 0.5},
    ),
)
# Those that every row has a label for.
LABELLED = (TASKS[0], TASKS[2])
FEATURES = Features(numeric=("x",), categorical=("shop",))
SPEC = {
    "x": tf.io.VarLenFeature(tf.float32),
    "shop": tf.io.VarLenFeature(tf.string),
    "click": tf.io.VarLenFeature(tf.int64),
    "bought": tf.io.VarLenFeature(tf.int64),
    "amount": tf.io.VarLenFeature(tf.float32),
    "grade": tf.io.VarLenFeature(tf.string),
    "zone": tf.io.VarLenFeature(tf.string),
    "cost": tf.io.VarLenFeature(tf.float32),
}


def made(count, seed):
    """Rows of which some lack a weight, or have one that is 0."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        x = rng.normal()
        row = {
            "x": [float(np.float32(x))],
            "shop": [str(rng.choice(["north", "mall"]))],
            "click": [int(x + rng.normal() > 0.7)],
            "bought": [int(x + rng.normal() > 0.3)],
            "amount": [float(20 + 5 * x + rng.normal())],
            "grade": [str(rng.choice([*"abc"], p=[0.6, 0.3, 0.1]))],
            "zone": [str(rng.choice([*"nsw"]))],
            "cost": [float(rng.exponential(1000))],
        }
        if rng.random() < 0.1:
            row["cost"] = [0.0] if rng.random() < 0.5 else []
        rows.append(row)
    return rows


ROWS = {"train": made(120, 1), "eval": made(60, 2), "test": made(150, 3)}


def config(**changes):
    return trainer_config(**config_of(TASKS, FEATURES), **changes)


def transform(folder, tasks, features=FEATURES):
    function = functools.partial(preprocessing_fn, custom_config=config_of(tasks, features))
    write_transformed(folder, function, SPEC, {name: ROWS[name] for name in ("train", "eval")})
    return TransformedData(folder)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return transform(tmp_path_factory.mktemp("weights"), TASKS)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return data.train(
        tmp_path_factory.mktemp("run"), config(epochs=3, patience=0, restore_best=False)
    )


def column(rows, name):
    return np.array([(row[name] or [np.nan])[0] for row in rows])


def weights_of(rows, task):
    """A task's labels, NaN where it has none, and weights."""
    labels = column(rows, task.name)
    if task.classes:
        labels = np.array([task.classes.index(value) for value in labels])
    labels = labels.astype(float)
    for name, values in (task.only_where or {}).items():
        labels[~np.isin(column(rows, name).astype(str), values)] = np.nan
    weights = np.nan_to_num(column(rows, task.weight)) if task.weight else np.ones(len(rows))
    return labels, np.where(np.isnan(labels), 0, weights)


def factors_of(rows, task):
    """By hand: the mean weight is 1, and then there are the classes' weights."""
    labels, weights = weights_of(rows, task)
    labels, weights = labels[~np.isnan(labels)], weights[~np.isnan(labels)]
    if task.class_weight == "balanced":
        by_class = compute_class_weight("balanced", classes=np.array([0, 1]), y=labels)
    elif task.class_weight:
        by_class = np.array([task.class_weight.get(name, 1.0) for name in task.classes])
    else:
        by_class = np.ones(1)
    return by_class / (weights.mean() if task.weight else 1)


def test_transform_writes_the_weights(data):
    """Those of the column, 0 without one and without a label."""
    ((_, labels, weights),) = data.input_data(TASKS, 120).batches(data.files("train"))
    for task in TASKS:
        wanted, weight = weights_of(ROWS["train"], task)
        np.testing.assert_allclose(labels[task.name], wanted, rtol=1e-6)
        # One without a column of weights has no 0 where a label is missing.
        counted = slice(None) if task.weight else ~np.isnan(wanted)
        np.testing.assert_allclose(weights[task.name][counted], weight[counted], rtol=1e-6)


def test_factors_are_those_of_scikit_learn_and_of_the_mean_weight(data):
    found = label_statistics(data.input_data(TASKS).batches(data.files("train")), TASKS)
    assert set(found.weight_factors) == {task.name for task in TASKS}
    for task in TASKS:
        wanted = factors_of(ROWS["train"], task)
        np.testing.assert_allclose(found.weight_factors[task.name], wanted, rtol=1e-5)
    labels, weights = weights_of(ROWS["train"], TASKS[2])
    mean = np.average(labels, weights=weights)
    np.testing.assert_allclose(found.labels["amount"].mean, mean, rtol=1e-6)
    variance = np.average((labels - mean) ** 2, weights=weights)
    np.testing.assert_allclose(found.labels["amount"].std, np.sqrt(variance), rtol=1e-5)


def test_training_is_that_of_keras_with_the_same_sample_weights(tmp_path):
    # Of embeddings Keras's Adam takes the squares of single rows' gradients.
    features = Features(numeric=("x",))
    data = transform(tmp_path / "data", LABELLED, features)
    settings = trainer_config(
        **config_of(LABELLED, features), epochs=2, surgery="none", restore_best=False, seed=4,
        optimizer="adam", weight_decay=0.0, learning_rate_schedule="constant",
    )  # fmt: skip
    trained = data.train(tmp_path / "run", settings)
    inputs = read_inputs(pcgrad_config(settings), data.output, data.files("train"))
    parsed = inputs.config
    keras.utils.clear_session()
    keras.utils.set_random_seed(parsed.seed + 1)
    ours = build(inputs)
    compile_model(ours, parsed, LABELLED, inputs.statistics, steps=10)
    plain = keras.Model(ours.input, ours.output)
    plain.compile(
        keras.optimizers.Adam(parsed.learning_rate),
        loss={task.name: task.loss for task in LABELLED},
        loss_weights={"click": 1.0, "amount": inputs.statistics["amount"].std ** -2},
    )
    # The rows are known by their label `amount`, which differs in each.
    place = {np.float32(row["amount"][0]): i for i, row in enumerate(ROWS["train"])}
    by_hand = {}
    for task in LABELLED:
        labels, weights = weights_of(ROWS["train"], task)
        factors = factors_of(ROWS["train"], task)
        by_hand[task.name] = weights * factors[labels.astype(int) if len(factors) > 1 else 0]
    for features, labels, *_ in inputs.data.epochs(data.files("train"), parsed.seed, 0, 2):
        rows = [place[amount] for amount in labels["amount"].numpy()]
        sample_weight = {name: tf.constant(w[rows], tf.float32) for name, w in by_hand.items()}
        plain.train_on_batch(features, labels, sample_weight)
    for one, other in zip(trained.weights, plain.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_serving_needs_no_column_of_a_task(run):
    rows = [{"x": row["x"], "shop": row["shop"]} for row in ROWS["test"]]
    whole, needed = run.serve(ROWS["test"]), run.serve(rows)
    for name, answers in needed.items():
        np.testing.assert_array_equal(answers, whole[name])


class Examples:
    def __init__(self, rows):
        self._rows = rows

    def write(self, folder):
        split = folder / "Split-test"
        split.mkdir(parents=True)
        options = tf.io.TFRecordOptions(compression_type="GZIP")
        with tf.io.TFRecordWriter(str(split / "data_tfrecord-00000.gz"), options) as writer:
            for row in self._rows:
                writer.write(to_example(row))


def test_the_evaluators_numbers_are_those_of_numpy_on_the_served_answers(run, tmp_path):
    rows = ROWS["test"]
    answers = run.serve(rows)
    path, _ = evaluate(
        tmp_path, TASKS, Examples(rows), run.folder / "model", config=eval_config(TASKS)
    )
    for task, result in zip(TASKS, read_results(path, TASKS), strict=True):
        labels, weights = weights_of(rows, task)
        known = ~np.isnan(labels) & (weights > 0)
        assert 0.2 < known.mean() < 0.99
        labels, weights, answer = labels[known], weights[known], answers[task.name][known]
        value = answer[:, 0].astype(float)
        common = {"example_count": weights.sum()}
        if task.kind == "regression":
            primary = sk.r2_score(labels, value, sample_weight=weights)
            squares = sk.mean_squared_error(labels, value, sample_weight=weights)
            common |= {
                "mean_absolute_error": sk.mean_absolute_error(labels, value, sample_weight=weights),
                "root_mean_squared_error": np.sqrt(squares),
                "mean_label": np.average(labels, weights=weights),
            }
        elif task.kind == "binary":
            primary = sk.roc_auc_score(labels, value, sample_weight=weights)
            common |= {
                "binary_crossentropy": sk.log_loss(labels, value, sample_weight=weights),
                "binary_accuracy": sk.accuracy_score(labels, value > 0.5, sample_weight=weights),
                "mean_label": np.average(labels, weights=weights),
            }
        else:
            primary = sk.roc_auc_score(labels, answer, multi_class="ovr", average="macro")
            common["sparse_categorical_accuracy"] = (answer.argmax(axis=1) == labels).mean()
        assert result.value == pytest.approx(primary, abs=1e-3)
        assert result.details == pytest.approx(common, rel=1e-5)


def test_validation_is_weighted_and_its_metrics_know_no_class_weight(run, data):
    """Without weights of rows they are means over rows, as those of the Evaluator."""
    rows = ROWS["eval"]
    answers = run.serve(rows)
    click, _, amount, grade = TASKS
    labels, weights = weights_of(rows, amount)
    factor = factors_of(ROWS["train"], amount)[0]
    errors = answers["amount"][:, 0] - labels
    logs = {name: values[-1] for name, values in run.history.items()}
    assert logs["val_amount_loss"] == pytest.approx(np.mean(factor * weights * errors**2), rel=1e-4)
    assert logs["val_amount_mean_absolute_error"] == pytest.approx(
        np.average(np.abs(errors), weights=weights), rel=1e-4
    )
    labels, weights = weights_of(rows, click)
    auc = sk.roc_auc_score(labels, answers["click"][:, 0], sample_weight=weights)
    assert logs["val_click_auc"] == pytest.approx(auc, abs=0.02)
    labels, _ = weights_of(rows, grade)
    known = ~np.isnan(labels)
    labels, answer = labels[known].astype(int), answers["grade"][known]
    accuracy = (answer.argmax(axis=1) == labels).mean()
    assert logs["val_grade_sparse_categorical_accuracy"] == pytest.approx(accuracy, rel=1e-5)
    by_class = factors_of(ROWS["train"], grade)[labels]
    losses = -np.log(answer[np.arange(len(labels)), labels])
    assert logs["val_grade_loss"] == pytest.approx(np.mean(by_class * losses), rel=1e-4)


def test_a_comparison_trains_and_scores_with_the_weights(run, data):
    held_out = data.input_data(TASKS).batches(data.files("eval"))
    answers = run.serve(ROWS["eval"])
    for task_name, found in Scorer(run.model, TASKS).scores(held_out).items():
        (task,) = (task for task in TASKS if task.name == task_name)
        labels, weights = weights_of(ROWS["eval"], task)
        if task.kind == "regression":
            wanted = sk.r2_score(labels, answers[task.name][:, 0], sample_weight=weights)
        else:
            wanted = primary_metric(task, labels, answers[task.name], weights)
        assert found == pytest.approx(wanted, rel=1e-4)
    files = data.files("train")
    inputs = read_inputs(pcgrad_config(config(epochs=1)), data.output, files)
    trainings = Trainings(inputs, files, data.files("eval"), held_out)
    alone = trainings.run(Job(Candidate(method="single task", task="amount"), seed=0))
    assert set(alone.test) == {"amount"}
    together = trainings.run(Job(Candidate(method=EQUAL_WEIGHTS), seed=0))
    assert set(together.test) == {task.name for task in TASKS}
    # Its test split is the eval split here, and factors of classes are for the loss alone.
    assert together.eval == pytest.approx(together.test)
    (time,) = trainings.step_times([Candidate(method=EQUAL_WEIGHTS)], seed=0)
    assert time.ratio == 1
