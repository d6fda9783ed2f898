"""What losses can be: that of the best constant, that of a perfect prediction."""

import numpy as np
import pytest
import tensorflow as tf

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.training.callbacks.loss_ranges import LossRange, loss_ranges
from pcgrad_tfx.training.label_statistics import LabelStatistics
from pcgrad_tfx.training.losses import task_loss

STATISTICS = LabelStatistics(mean=3.0, std=2.0)


def constants(tasks, batches):
    found = loss_ranges(tasks, {}, batches)
    assert all(one.perfect == pytest.approx(0, abs=1e-6) for one in found.values())
    return {name: one.constant for name, one in found.items()}


def test_a_gain_is_0_for_a_constant_and_1_for_a_perfect_prediction():
    of_counts = LossRange(constant=-2.0, perfect=-6.0)
    assert [of_counts.gain(loss) for loss in (-2.0, -6.0, 2.0)] == [0, 1, -1]


def test_the_losses_of_constants():
    rng = np.random.default_rng(1)
    tasks = (
        Task(name="sold", kind="binary", column="a"),
        Task(name="price", kind="regression", column="b"),
        Task(name="fare", kind="regression", column="c", log_scale=True),
        Task(name="grade", kind="multiclass", column="d", classes=["a", "b", "c"]),
        Task(name="always", kind="binary", column="e"),
        Task(name="never", kind="regression", column="f"),
    )
    labels = {
        "sold": rng.integers(0, 2, 60).astype("float32"),
        "price": rng.normal(1000, 1, 60).astype("float32"),
        "fare": rng.exponential(5, 60).astype("float32"),
        "grade": rng.integers(0, 3, 60).astype("float32"),
        "always": np.ones(60, "float32"),
        "never": np.full(60, np.nan, "float32"),
    }
    for name in ("sold", "price", "fare", "grade"):
        labels[name][rng.integers(0, 60, 9)] = np.nan
    batches = [
        ({name: tf.constant(values[start : start + 25]) for name, values in labels.items()},)
        for start in (0, 25, 50)
    ]
    found = constants(tasks, batches)
    assert set(found) == {"sold", "price", "fare", "grade"}
    known = {name: labels[name][~np.isnan(labels[name])].astype(float) for name in found}
    rate = known["sold"].mean()
    assert found["sold"] == pytest.approx(-rate * np.log(rate) - (1 - rate) * np.log(1 - rate))
    assert found["price"] == pytest.approx(known["price"].var())
    assert found["fare"] == pytest.approx(np.log1p(known["fare"]).var())
    rates = np.bincount(known["grade"].astype(int)) / len(known["grade"])
    assert found["grade"] == pytest.approx(-(rates * np.log(rates)).sum())


def test_the_losses_of_constants_are_weighted_as_keras_does_it():
    """The sum by the number of rows; a row of weight 0 is one, and its label does not vary."""
    tasks = (
        Task(name="sold", kind="binary", column="a"),
        Task(name="price", kind="regression", column="b"),
        Task(name="always", kind="binary", column="c"),
    )
    labels = {"sold": [1.0, 0, 1, np.nan], "price": [1.0, 5, 2, 9], "always": [1.0, 1, 1, 0]}
    weights = {"sold": [2.0, 3, 1, 9], "price": [1.0, 1, 0, 2], "always": [1.0, 1, 1, 0]}
    batch = tuple({n: tf.constant(v) for n, v in by_task.items()} for by_task in (labels, weights))
    found = constants(tasks, [batch])
    assert set(found) == {"sold", "price"}
    assert found["sold"] == pytest.approx(6 * np.log(2) / 3)
    assert found["price"] == pytest.approx((25 + 1 + 2 * 9) / 4)


AMOUNT = {"name": "it", "kind": "regression", "column": "it"}
BINARY = {"name": "it", "kind": "binary", "column": "it"}
CLASSES = {"name": "it", "kind": "multiclass", "column": "it", "classes": ("a", "b", "c")}


def loss_of(task, labels, predictions, weights):
    """As a model is trained and evaluated: in float32, in the label's own unit."""
    loss = task_loss(task, STATISTICS)
    predictions = np.float32(predictions).reshape(len(labels), -1)
    return float(loss(np.float32(labels), predictions, np.float32(weights)))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"loss": "mean_absolute_error"},
        {"loss": "huber", "huber_delta": 0.4},
        {"loss": "poisson"},
        {"log_scale": True},
        {"log_scale": True, "loss": "mean_absolute_error"},
        {"log_scale": True, "loss": "huber", "huber_delta": 0.3},
    ],
    ids=str,
)
@pytest.mark.parametrize("weighted", [False, True])
def test_no_constant_amount_is_better(fields, weighted):
    rng = np.random.default_rng(2)
    task = Task(**AMOUNT, **fields)
    labels = rng.poisson(rng.gamma(1, 4, 50)).astype(float)
    weights = np.ones(50)
    if weighted:
        # Large labels weigh more: mean and median are others than without weights.
        weights = rng.exponential(2, 50) * (rng.random(50) > 0.2) * (1 + labels)
    batch = ({"it": tf.constant(labels)}, {"it": tf.constant(weights)})
    found = loss_ranges([task], {"it": STATISTICS}, [batch])["it"]
    assert loss_of(task, labels, np.maximum(labels, 1e-9), weights) == pytest.approx(
        found.perfect, abs=1e-4
    )
    tried = [
        loss_of(task, labels, np.full(50, constant), weights)
        for constant in np.linspace(0.01, labels.max(), 300)
    ]
    assert found.constant <= min(tried) + 1e-4
    assert found.constant == pytest.approx(min(tried), rel=5e-3)


@pytest.mark.parametrize(
    "fields",
    [
        fields | changes
        for fields in (BINARY, CLASSES)
        for changes in ({}, {"label_smoothing": 0.2}, {"loss": "focal"})
    ],
    ids=str,
)
def test_no_constant_probabilities_are_better(fields):
    rng = np.random.default_rng(3)
    task = Task(**fields)
    classes = len(task.class_names)
    labels = rng.choice(classes, 60, p=[0.7, 0.3] if classes == 2 else [0.6, 0.3, 0.1])
    weights = rng.exponential(2, 60)
    batch = ({"it": tf.constant(labels, tf.float32)}, {"it": tf.constant(weights)})
    found = loss_ranges([task], {}, [batch])["it"]

    def loss(probabilities):
        predictions = np.broadcast_to(probabilities, (60, classes))
        return loss_of(task, labels, predictions[:, 1:] if classes == 2 else predictions, weights)

    smoothing = task.label_smoothing
    perfect = (1 - smoothing) * np.eye(classes)[labels] + smoothing / classes
    assert loss(perfect) == pytest.approx(found.perfect, abs=1e-5)
    grid = np.linspace(0.02, 0.98, 49)
    if classes == 2:
        constants = np.stack([1 - grid, grid], axis=1)
    else:
        constants = [(a, b, 1 - a - b) for a in grid[::2] for b in grid[::2] if a + b < 0.99]
    tried = [loss(constant) for constant in constants]
    assert found.constant <= min(tried) + 1e-5
    assert found.constant == pytest.approx(min(tried), rel=0.01)
