"""Losses are Keras's own, on the scale on which a label is learned, and of one size."""

import keras
import numpy as np
import pytest

from pcgrad.keras import MultiTaskModel
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.training.label_statistics import LabelStatistics
from pcgrad_tfx.training.losses import loss_scale, task_loss
from trips import TASKS, trainer_config

pytestmark = pytest.mark.long

RNG = np.random.default_rng(0)
AMOUNT = {"name": "fare", "kind": "regression", "column": "fare"}
BINARY = {"name": "tip", "kind": "binary", "column": "tip"}
CLASSES = {"name": "way", "kind": "multiclass", "column": "way", "classes": ("a", "b", "c")}

LABELS, PREDICTED = RNG.gamma(2, 50, 40), RNG.gamma(2, 50, 40)
POSITIVE, PROBABILITY = RNG.integers(0, 2, 40).astype(float), RNG.uniform(0.02, 0.98, 40)
IDS, PROBABILITIES = RNG.integers(0, 3, 40), RNG.dirichlet([1, 1, 1], 40)
STATISTICS = LabelStatistics(mean=100.0, std=60.0)
LOG_STATISTICS = LabelStatistics(mean=4.0, std=0.8)


def huber(error, delta):
    return np.where(np.abs(error) <= delta, error**2 / 2, delta * (np.abs(error) - delta / 2))


def cross_entropy(targets, probabilities):
    return -(targets * np.log(probabilities)).sum(axis=-1)


def smoothed(share):
    return (1 - share) * np.eye(3)[IDS] + share / 3


LOG_ERROR = np.log1p(LABELS) - np.log1p(PREDICTED)
RIGHT = np.where(POSITIVE == 1, PROBABILITY, 1 - PROBABILITY)
RIGHT_CLASS = PROBABILITIES[np.arange(40), IDS]

OF_AMOUNTS = [
    ({}, (LABELS - PREDICTED) ** 2),
    ({"loss": "mean_absolute_error"}, np.abs(LABELS - PREDICTED)),
    ({"loss": "huber"}, huber(LABELS - PREDICTED, 60)),
    ({"loss": "huber", "huber_delta": 0.5}, huber(LABELS - PREDICTED, 30)),
    ({"loss": "poisson"}, PREDICTED - LABELS * np.log(PREDICTED)),
    ({"log_scale": True}, LOG_ERROR**2),
    ({"log_scale": True, "loss": "mean_absolute_error"}, np.abs(LOG_ERROR)),
    ({"log_scale": True, "loss": "huber", "huber_delta": 0.5}, huber(LOG_ERROR, 0.4)),
]
OF_CLASSES = [
    (BINARY, -np.log(RIGHT)),
    (BINARY | {"loss": "focal"}, -((1 - RIGHT) ** 2) * np.log(RIGHT)),
    (BINARY | {"loss": "focal", "focal_gamma": 0.5}, -np.sqrt(1 - RIGHT) * np.log(RIGHT)),
    (
        BINARY | {"label_smoothing": 0.2},
        -0.9 * np.log(RIGHT) - 0.1 * np.log(1 - RIGHT),
    ),
    (CLASSES, -np.log(RIGHT_CLASS)),
    (CLASSES | {"loss": "focal"}, -((1 - RIGHT_CLASS) ** 2) * np.log(RIGHT_CLASS)),
    (CLASSES | {"loss": "focal", "focal_gamma": 0}, -np.log(RIGHT_CLASS)),
    (CLASSES | {"label_smoothing": 0.3}, cross_entropy(smoothed(0.3), PROBABILITIES)),
]


def found(task, labels, predictions, statistics=None):
    return float(task_loss(task, statistics)(np.float32(labels), np.float32(predictions)))


@pytest.mark.parametrize(("fields", "values"), OF_AMOUNTS, ids=str)
@pytest.mark.parametrize("shape", [(40,), (40, 1)])
def test_losses_of_amounts(fields, values, shape):
    """In the label's unit; a delta is in standard deviations."""
    task = Task(**AMOUNT, **fields)
    statistics = LOG_STATISTICS if task.log_scale else STATISTICS
    loss = found(task, LABELS, PREDICTED.reshape(shape), statistics)
    assert loss == pytest.approx(values.mean(), rel=1e-5)


@pytest.mark.parametrize(("fields", "values"), OF_CLASSES, ids=str)
def test_losses_of_classes(fields, values):
    task = Task(**fields)
    if task.kind == "binary":
        loss = found(task, POSITIVE, PROBABILITY[:, np.newaxis])
    else:
        loss = found(task, IDS, PROBABILITIES)
    assert loss == pytest.approx(values.mean(), rel=1e-5)


@pytest.mark.parametrize(
    "fields", [fields for fields, _ in OF_AMOUNTS if "log_scale" not in fields]
)
def test_a_loss_counts_the_same_in_every_unit(fields):
    """Dollars or cents. Of counts it is so but for what no prediction changes."""
    task = Task(**AMOUNT, **fields)
    worse = PREDICTED * 1.1
    counted = []
    for unit in (1.0, 100.0):
        statistics = LabelStatistics(unit * STATISTICS.mean, unit * STATISTICS.std)
        one, other = (found(task, unit * LABELS, unit * p, statistics) for p in (worse, PREDICTED))
        counted.append(loss_scale(task, statistics) * (one - other))
    assert counted[0] == pytest.approx(counted[1], rel=2e-3)
    assert 0.01 < abs(counted[0]) < 10


@pytest.mark.parametrize(
    "fields",
    [
        AMOUNT | {"log_scale": True, "loss": "huber"},
        CLASSES | {"loss": "focal", "label_smoothing": 0.1},
        BINARY | {"loss": "focal", "focal_gamma": 1.5},
    ],
    ids=str,
)
def test_a_saved_model_is_loaded_with_its_loss(tmp_path, fields):
    task = Task(**fields)
    inputs = keras.Input((2,))
    model = MultiTaskModel(
        inputs, {task.name: keras.layers.Dense(task.units, task.activation)(inputs)}
    )
    # Not another deviation: Keras saves no Huber loss's delta.
    model.compile("sgd", loss={task.name: task_loss(task, LabelStatistics(mean=4.0, std=1.0))})
    x, y = RNG.normal(size=(6, 2)).astype("float32"), {task.name: np.array([0.0, 1] * 3)}
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.evaluate(x, y, verbose=0), model.evaluate(x, y, verbose=0), rtol=1e-6
    )


# On the label's own scale a Huber loss is the two that it is made of; tests above know its values.
LEARNED = [
    {"loss": "mean_absolute_error"},
    pytest.param({"loss": "huber"}, marks=pytest.mark.slow),
    {"loss": "huber", "log_scale": True},
    pytest.param({"loss": "poisson"}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("fields", LEARNED, ids=str)
@pytest.mark.usefixtures("not_exported")
def test_every_loss_learns_and_answers_in_the_labels_own_unit(transformed_data, tmp_path, fields):
    changes = {"regression": fields, "binary": {"loss": "focal"}, "multiclass": {"loss": "focal"}}
    tasks = [Task.model_validate(task.model_dump() | changes[task.kind]) for task in TASKS]
    config = trainer_config(
        epochs=60,
        patience=0,
        restore_best=False,
        tasks=[task.model_dump(mode="json") for task in tasks],
    )
    run = transformed_data.train(tmp_path, config)
    features, labels = transformed_data.rows("train")
    prices = labels["price"].numpy()
    known = np.isfinite(prices)
    answers = run.model(features, training=False)["price"].numpy()[known, 0]
    error = np.abs(answers - prices[known])
    constant = np.abs(prices[known] - np.median(prices[known])).mean()
    assert error.mean() < 0.8 * constant
    # Keras's metric is of dollars, whatever the loss.
    assert run.history["price_mean_absolute_error"][-1] == pytest.approx(error.mean(), rel=0.3)
    gains = np.array(run.history["val_gain"])
    assert (gains < 1).all()
    assert gains[-1] > gains[0] - 0.05
    assert gains.max() > 0.2
