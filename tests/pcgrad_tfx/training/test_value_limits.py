"""Labels and ids of somebody else's Transform: what a network cannot take is refused."""

import numpy as np
import pytest
import tensorflow as tf

from pcgrad_tfx.config.features import Features
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.training.dataset import InputData
from pcgrad_tfx.training.label_statistics import label_statistics
from transform_runs import config_of
from trips import trainer_config

FLAG = Task(name="flag", kind="binary", column="flag")
CLASS = Task(name="way", kind="multiclass", column="way", classes=("a", "b", "c"))
AMOUNT = Task(name="amount", kind="regression", column="amount")
COUNT = Task(name="count", kind="regression", column="count", loss="poisson")


def check(task, values, dtype=np.float32, sizes=None, batch_size=3):
    values = np.asarray(values, dtype)
    batch = (
        {"shop": values} if sizes else {},
        {task.name: np.float32(values) if sizes else values},
    )
    dataset = tf.data.Dataset.from_tensor_slices(batch).batch(batch_size)
    label_statistics(dataset, [task], sizes)


@pytest.mark.parametrize(
    ("task", "values", "dtype"),
    [
        (FLAG, [0, 1, np.nan, 1], np.float32),
        (FLAG, [0.1, 0.9], np.float32),
        (FLAG, [np.nan] * 4, np.float32),
        (CLASS, [0, 2, 1, 1], np.int64),
        (CLASS, [np.nan, 2, 1, 1], np.float32),
        (CLASS, [], np.int64),
        (AMOUNT, [-5, 1e9, np.nan], np.float32),
        (COUNT, [0, 1e9, np.nan], np.float32),
    ],
)
def test_right_labels(task, values, dtype):
    check(task, values, dtype)


@pytest.mark.parametrize(
    ("task", "values", "dtype", "message"),
    [
        (FLAG, [1, 1, 1, 2, 1], np.float32, r"'flag': .*from 1 to 2, but kind 'binary'.* 0 to 1"),
        (FLAG, [-1, 1, np.nan], np.float32, r"'flag': .*from -1 to 1, .* 0 to 1; count from 0"),
        (CLASS, [1, 2, 1, 1, 3], np.int64, r"'way': .*from 1 to 3, but kind 'multiclass'.* 0 to 2"),
        (
            COUNT,
            [3, 0, -1],
            np.float32,
            r"'count': .*from -1 to 3, but loss 'poisson' needs labels",
        ),
        (AMOUNT, [1, np.nan, np.inf], np.float32, r"'amount': .*from 1 to inf, .* are finite.*NaN"),
        (AMOUNT, [1, 2, 3, -np.inf], np.float32, r"'amount': .*from -inf to 3, .* are finite"),
        (COUNT, [1, np.inf], np.float32, r"'count': .*from 1 to inf, .* are finite"),
        (CLASS, [0, 0, 0, 0, -1], np.int64, r"'way': .*from -1 to 0, .*NaN, or 0 in the label's"),
    ],
)
def test_wrong_labels(task, values, dtype, message):
    with pytest.raises(ValueError, match=rf"\Atask {message}"):
        check(task, values, dtype)


def test_ids_beyond_their_number():
    check(AMOUNT, [0, 3, 2, 1], np.int64, {"shop": 4})
    with pytest.raises(ValueError, match=r"'shop' holds ids from 0 to 4, .* 4 ids .*from 0 to 3"):
        check(AMOUNT, [0, 3, 2, 4], np.int64, {"shop": 4})
    with pytest.raises(ValueError, match=r"'shop' holds ids from -1 to 3, .*an unknown value"):
        check(AMOUNT, [0, 3, 2, -1], np.int64, {"shop": 4})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none(value):
    """Of the first rows or later ones, beside ids; features of a model of one's own may be NaN."""
    numbers = np.float32([1e30, -5, 0, 7, value])
    features = {"miles": numbers, "shop": np.arange(5)}
    labels = {"amount": np.zeros(5, np.float32)}
    dataset = tf.data.Dataset.from_tensor_slices((features, labels)).batch(3)
    label_statistics(dataset.take(1), [AMOUNT], {"shop": 5})
    label_statistics(dataset, [AMOUNT])
    message = "the transformed feature 'miles' holds NaN or infinite numbers; write a finite one"
    with pytest.raises(ValueError, match=message):
        label_statistics(dataset, [AMOUNT], {"shop": 5})


def test_before_training(transformed_data, tmp_path):
    """In the order of the checks: the features' kinds, the labels' and the ids' values."""
    way = Task(
        name="way", kind="multiclass", column="hour", classes=("0", "1", "2"), label_key="hour_xf"
    )
    tasks = config_of((way,), Features(numeric=("miles",)))["tasks"]

    def train(**changes):
        transformed_data.train(tmp_path, trainer_config(features=None, epochs=1, **changes))

    with pytest.raises(ValueError, match="embedding_sizes: 'shop' is not among the transformed"):
        train(embedding_sizes={"shop": 3})
    with pytest.raises(ValueError, match=r"'company_xf' holds ids from 0 to \d, .* 2 ids"):
        train(embedding_sizes={"company_xf": 2, "hour_xf": 4})
    with pytest.raises(ValueError, match=r"task 'way': .*from 0 to 3, .*from 0 to 2"):
        train(embedding_sizes={"company_xf": 9}, tasks=[*trainer_config()["tasks"], *tasks])
    assert not (tmp_path / "model").exists()


class Output:
    """Transform's output, of which only the spec is read."""

    def __init__(self, **spec) -> None:
        self._spec = {"miles_xf": tf.io.FixedLenFeature([], tf.float32), **spec}

    def transformed_feature_spec(self):
        return self._spec


@pytest.mark.parametrize(
    "feature",
    [
        tf.io.FixedLenFeature([], tf.string),
        tf.io.FixedLenFeature([2], tf.float32),
        tf.io.VarLenFeature(tf.float32),
        tf.io.RaggedFeature(tf.float32),
    ],
)
@pytest.mark.parametrize("key", ["amount_label", "amount_label_mask"])
def test_a_label_or_mask_that_is_not_one_number(feature, key):
    spec = {"amount_label": tf.io.FixedLenFeature([1], tf.float32), key: feature}
    with pytest.raises(ValueError, match=rf"'amount': the transformed feature '{key}' is not one"):
        InputData(Output(**spec), [AMOUNT], 4)


def test_whole_numbers_are_labels_of_every_kind():
    """Without a mask, which would make them floats."""
    spec = tf.io.FixedLenFeature([1], tf.int64)
    tasks = [FLAG, CLASS, AMOUNT]
    data = InputData(Output(**{task.label_key: spec for task in tasks}), tasks, 4)
    row = {task.label_key: tf.constant([[1], [0]], tf.int64) for task in tasks}
    _, labels = data.split({"miles_xf": tf.zeros([2]), **row})
    assert {name: label.dtype.name for name, label in labels.items()} == {
        "flag": "float32",
        "way": "int64",
        "amount": "float32",
    }


@pytest.mark.parametrize(
    ("weights", "found"),
    [([1, -1, 2], "from -1 to 2"), ([0, np.nan, 2], "from 0 to inf"), ([np.inf, 0, 1], "to inf")],
)
def test_wrong_weights(weights, found):
    task = AMOUNT.model_copy(update={"weight": "cost"})
    by_task = ({"amount": np.float32(values)} for values in ([1, 2, 3], weights))
    dataset = tf.data.Dataset.from_tensor_slices(({}, *by_task)).batch(2)
    with pytest.raises(
        ValueError, match=rf"\Atask 'amount': the transformed weights are .*{found}"
    ):
        label_statistics(dataset, [task])


def test_a_weight_that_transform_did_not_write():
    task = AMOUNT.model_copy(update={"weight": "cost"})
    message = "'amount' has a `weight`, but 'amount_label_weight' is not among the transformed"
    with pytest.raises(ValueError, match=message):
        InputData(Output(amount_label=tf.io.FixedLenFeature([], tf.float32)), [task], 4)
