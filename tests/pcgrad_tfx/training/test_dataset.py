"""The batches that the Trainer sees, and their order."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.training.dataset import reshape_features
from trips import BATCH_SIZE, ROWS, STEPS_PER_EPOCH, TASKS

FARES = [row.get("fare", [np.nan])[0] for row in ROWS["train"]]


@pytest.fixture(autouse=True)
def _seeded():
    """As in `run_fn`."""
    keras.utils.set_random_seed(1)


def fares_of(batches):
    return np.concatenate([labels["price"].numpy() for _, labels in batches])


def epochs(data, seed=5, first=0, last=4):
    """The fares of each epoch, in order."""
    batches = list(data.input_data().epochs(data.files("train"), seed, first, last))
    assert len(batches) == (last - first) * STEPS_PER_EPOCH
    starts = range(0, len(batches), STEPS_PER_EPOCH)
    return [fares_of(batches[start : start + STEPS_PER_EPOCH]) for start in starts]


def test_batches_are_the_rows_in_order(transformed_data):
    batches = list(transformed_data.input_data().batches(transformed_data.files("train")))
    assert [len(labels["price"]) for _, labels in batches] == [BATCH_SIZE] * 5 + [10]
    np.testing.assert_array_equal(fares_of(batches), np.float32(FARES))


def test_labels_are_nan_where_missing(transformed_data):
    _, labels = transformed_data.rows("train")
    for i, row in enumerate(ROWS["train"]):
        fare, tips, payment = (row.get(name, [None])[0] for name in ("fare", "tips", "payment"))
        tip = np.nan if None in (fare, tips) else float(tips / fare > 0.2)
        way = np.nan if payment is None else ("Cash", "Card", "Other").index(payment)
        wanted = {"big_tip": tip, "price": np.nan if fare is None else fare, "payment": way}
        for name, value in wanted.items():
            np.testing.assert_equal(float(labels[name][i]), value)


def test_features_are_scalars_of_their_spec_and_hold_no_label(transformed_data):
    data = transformed_data.input_data()
    features, _ = transformed_data.rows("train")
    assert set(features) == set(data.feature_spec) == {"miles_xf", "company_xf", "hour_xf"}
    for name, value in features.items():
        assert value.shape == (len(ROWS["train"]),)
        assert value.dtype == data.feature_spec[name].dtype
    assert not any(np.isnan(value).any() for value in features.values())


def test_features_and_labels_of_a_row_stay_together(transformed_data):
    features, labels = transformed_data.rows("train")
    miles = dict(zip(labels["price"].numpy(), features["miles_xf"].numpy(), strict=True))
    data = transformed_data.input_data()
    for features, labels in data.epochs(transformed_data.files("train"), 5, 0, 1):
        for price, value in zip(labels["price"].numpy(), features["miles_xf"].numpy(), strict=True):
            assert np.isnan(price) or miles[price] == value


def test_every_epoch_has_each_row_once(transformed_data):
    for fares in epochs(transformed_data):
        np.testing.assert_array_equal(np.sort(fares), np.sort(np.float32(FARES)))


def test_every_epoch_and_every_seed_has_an_order_of_its_own(transformed_data):
    orders = [np.float32(FARES), *epochs(transformed_data), *epochs(transformed_data, seed=6)]
    assert len({order.tobytes() for order in orders}) == 1 + 4 + 4


@pytest.mark.parametrize("first", [1, 2, 3])
def test_an_epochs_order_does_not_depend_on_the_first_epoch(transformed_data, first):
    resumed = epochs(transformed_data, first=first)
    np.testing.assert_array_equal(resumed, epochs(transformed_data)[first:])


def test_a_label_without_a_mask_keeps_its_dtype(transformed_data):
    """As written by a Transform that is not ours."""
    hour = Task(
        name="hour", kind="multiclass", column="hour", classes=("0", "1", "2"), label_key="hour_xf"
    )
    data = transformed_data.input_data([hour])
    features, labels = next(iter(data.batches(transformed_data.files("train"))))
    assert labels["hour"].dtype == tf.int64
    assert "hour_xf" not in features


def test_a_label_that_transform_did_not_write_is_named(transformed_data):
    task = Task(name="tip", kind="binary", column="tips", label_key="tip_xf")
    message = "^task 'tip': label_key 'tip_xf' is not among the transformed features .*'miles_xf'"
    with pytest.raises(ValueError, match=message):
        transformed_data.input_data([*TASKS, task])


def test_labels_without_features_are_refused(transformed_data):
    others = [
        Task(name=name, kind="regression", column=name, label_key=f"{name}_xf")
        for name in ("miles", "company", "hour")
    ]
    with pytest.raises(ValueError, match="Transform wrote labels but no features"):
        transformed_data.input_data([*TASKS, *others])


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_reshape_features(shape):
    spec = {
        "scalar": tf.io.FixedLenFeature([], tf.float32),
        "pair": tf.io.FixedLenFeature([2], tf.float32),
        "sparse": tf.io.VarLenFeature(tf.float32),
    }
    sparse = tf.sparse.from_dense([[1.0], [0.0], [2.0]])
    row = {"scalar": tf.zeros(shape), "pair": tf.zeros([3, 2]), "sparse": sparse, "other": sparse}
    reshaped = reshape_features(row, spec)
    assert {name: tuple(value.shape) for name, value in reshaped.items()} == {
        "scalar": (3,),
        "pair": (3, 2),
        "sparse": (3, 1),
    }
