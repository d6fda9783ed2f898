"""Labels that are NaN: their rows leave the task's loss, gradient and metrics, nothing else."""

import keras
import numpy as np
import pytest

from multitask_models import (
    MODES,
    TAXI_LOSSES,
    UNIT_ROWS,
    assert_same,
    labels,
    linear_model,
    product,
    taxi_data,
    taxi_model,
    taxi_weights,
)
from pcgrad import PCGrad, PPCGrad
from pcgrad.keras import MultiTaskModel

# A task without labels is told by a warning, see test_unlabelled_tasks.py.
pytestmark = pytest.mark.filterwarnings("ignore:task '[ab]' had no label")

NAN = np.nan


def step_of(model: MultiTaskModel, y: dict[str, np.ndarray], **arguments) -> np.ndarray:
    """The update of one step of gradient descent at rate one."""
    trunk = model.get_layer("trunk")
    before = trunk.kernel.numpy()
    model.train_on_batch(UNIT_ROWS, y, **arguments)
    return (before - trunk.kernel.numpy())[:, 0]


def test_the_gradient_is_the_mean_over_labelled_rows(mode):
    model = linear_model(**mode)
    np.testing.assert_allclose(step_of(model, labels(a=[1, NAN], b=[2, 4])), [1 + 1, 2])


@pytest.mark.parametrize("surgery_class", [PCGrad, PPCGrad])
def test_a_task_without_labelled_rows_counts_in_the_mean_only(surgery_class, mode):
    """It is no projection target, its cosines are undefined; the other two conflict."""
    model = linear_model("abc", surgery=surgery_class("mean"), **mode)
    y = labels(a=[2, 0], b=[NAN, NAN], c=[-2, 2])
    np.testing.assert_allclose(step_of(model, y), [0.5 / 3, 1.5 / 3], atol=1e-6)
    pairs = {tuple(pair["tasks"]): pair for pair in model.conflicts()}
    assert pairs["a", "c"]["steps"] == 1
    assert pairs["a", "c"]["conflicting"] == 1.0
    for undefined in (pairs["a", "b"], pairs["b", "c"]):
        assert undefined["steps"] == 0
        assert np.isnan(undefined["mean_cosine"])
    logs = model.get_metrics_result()
    np.testing.assert_allclose(float(logs["conflicting_pairs"]), 1.0)
    np.testing.assert_allclose(float(logs["mean_cosine"]), -np.sqrt(0.5), rtol=1e-6)


def test_no_task_has_a_labelled_row(mode):
    model = linear_model(surgery=PCGrad("sum"), **mode)
    np.testing.assert_array_equal(step_of(model, labels(a=[NAN, NAN], b=[NAN, NAN])), [0, 0])


def taxi_labels_with_gaps() -> dict[str, np.ndarray]:
    """Some of every task's labels missing, all of one task's in one batch of eight."""
    _, y = taxi_data()
    rng = np.random.default_rng(9)
    gaps = {}
    for task, whole in y.items():
        values = whole.astype(np.float32)
        values[rng.uniform(size=len(values)) < 0.4] = NAN
        gaps[task] = values
    gaps["fare"][8:16] = NAN
    return gaps


def labelled_rows(values: np.ndarray) -> np.ndarray:
    return ~np.isnan(values.reshape(len(values), -1)).any(axis=1)


@pytest.mark.parametrize(
    ("mode", "batch_size"), [("graph", 24), ("graph", 8), ("graph", 7), ("eager", 7), ("xla", 7)]
)
def test_evaluation_equals_dropping_the_rows(mode, batch_size):
    """Also with batches of unequal size, missing labels spread unevenly, sample weights."""
    x, _ = taxi_data()
    y, weights = taxi_labels_with_gaps(), taxi_weights()
    model = taxi_model()
    model.compile(
        loss=TAXI_LOSSES,
        loss_weights={"tip": 2.0, "fare": 0.5, "zone": 1.0},
        metrics={"tip": ["binary_accuracy"], "fare": ["mae"], "zone": ["accuracy"]},
        weighted_metrics={"fare": ["mse"]},
        **MODES[mode],
    )
    found = model.evaluate(
        x, y, sample_weight=weights, batch_size=batch_size, verbose=0, return_dict=True
    )
    outputs = {task: np.array(output) for task, output in model(x).items()}
    kept = {task: labelled_rows(values) for task, values in y.items()}
    known = {task: values[kept[task]] for task, values in y.items()}
    predicted = {task: outputs[task][kept[task]] for task in y}
    weight = {task: weights[task][kept[task]] for task in y}
    tip, fare = known["tip"][:, 0], known["fare"]
    tip_p, fare_p = predicted["tip"][:, 0], predicted["fare"][:, 0]
    zone = known["zone"].astype(int)
    zone_p = predicted["zone"]
    expected = {
        "tip_loss": np.mean(-weight["tip"] * (tip * np.log(tip_p) + (1 - tip) * np.log(1 - tip_p))),
        "fare_loss": np.mean(weight["fare"] * (fare - fare_p) ** 2),
        "zone_loss": np.mean(-weight["zone"] * np.log(zone_p[np.arange(len(zone)), zone])),
        "tip_binary_accuracy": np.mean(tip == (tip_p > 0.5)),
        "fare_mae": np.mean(np.abs(fare - fare_p)),
        "fare_mse": np.average((fare - fare_p) ** 2, weights=weight["fare"]),
        "zone_accuracy": np.mean(zone == zone_p.argmax(axis=1)),
    }
    regularization = float(sum(model.losses))
    expected["loss"] = (
        2 * expected["tip_loss"]
        + 0.5 * expected["fare_loss"]
        + expected["zone_loss"]
        + regularization
    )
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)


def test_training_reports_means_over_labelled_rows():
    """Of an epoch with an uneven last batch; the weights do not move at rate zero."""
    model = linear_model(optimizer=keras.optimizers.SGD(0.0), loss=dict.fromkeys("ab", "mse"))
    model.get_layer("trunk").kernel.assign([[1.0], [2.0]])
    x = np.array([[1, 0], [0, 1], [1, 1], [2, 0], [0, 2]], np.float32)
    y = labels(a=[NAN, NAN, 1, 2, 3], b=[1, 1, 1, NAN, 1])
    logs = model.fit(x, y, batch_size=2, epochs=1, verbose=0).history
    outputs = x @ [1.0, 2.0]
    means = {task: np.nanmean((y[task] - outputs) ** 2) for task in "ab"}
    np.testing.assert_allclose(logs["a_loss"], [means["a"]], rtol=1e-6)
    np.testing.assert_allclose(logs["b_loss"], [means["b"]], rtol=1e-6)
    np.testing.assert_allclose(logs["loss"], [means["a"] + means["b"]], rtol=1e-6)


def test_training_equals_dropping_the_rows_from_a_single_task():
    x, y = taxi_data()
    y = {"fare": taxi_labels_with_gaps()["fare"]}
    kept = labelled_rows(y["fare"])
    models = []
    for rows in (slice(None), kept):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((3,))
        hidden = keras.layers.Dense(4, activation="tanh")(inputs)
        model = MultiTaskModel(inputs, {"fare": keras.layers.Dense(1, name="fare")(hidden)})
        model.compile("adam", loss={"fare": "mse"}, surgery=PCGrad(), run_eagerly=True)
        weights = taxi_weights()["fare"][rows]
        for _ in range(3):
            model.train_on_batch(x["numeric"][rows], {"fare": y["fare"][rows]}, weights)
        models.append(model)
    assert_same(models[0].weights, models[1].weights)


def test_integer_labels_are_never_missing():
    model = linear_model()
    y = {"a": np.array([2, 4]), "b": np.array([0, 0])}
    np.testing.assert_allclose(step_of(model, y), [1, 2])


def test_integer_labels_are_exact_beside_predictions_in_half_precision():
    """2049 is no number of float16."""
    inputs = keras.Input((2,), dtype="float16")
    output = keras.layers.Softmax(dtype="float16")(
        keras.layers.Dense(2050, dtype="float16")(inputs)
    )
    model = MultiTaskModel(inputs, {"a": output})
    model.compile(loss="sparse_categorical_crossentropy", run_eagerly=True)
    found = model.evaluate(UNIT_ROWS, {"a": np.array([2049, 2047])}, verbose=0)
    predicted = model(UNIT_ROWS)["a"].numpy().astype(np.float32)
    expected = -np.log(predicted[[0, 1], [2049, 2047]]).mean()
    assert found == pytest.approx(expected, rel=1e-3)


def test_a_cross_entropy_that_has_saturated():
    """It is taken of the logits, also where labels are missing."""
    inputs = keras.Input((1,))
    heads = {"a": keras.layers.Dense(1, "sigmoid", kernel_initializer="ones", use_bias=False)}
    found = []
    for y in (np.array([[0.0], [1.0]]), np.array([[0.0], [NAN]])):
        model = MultiTaskModel(inputs, {name: layer(inputs) for name, layer in heads.items()})
        model.compile(loss="binary_crossentropy", jit_compile=False)
        found.append(model.evaluate(np.array([[50.0], [50.0]]), {"a": y}, verbose=0))
    assert found == pytest.approx([25.0, 50.0])


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_labels_with_and_without_a_last_dimension(shape):
    model = linear_model(loss=dict.fromkeys("ab", "mse"))
    y = {task: values.reshape(shape) for task, values in labels(a=[1, NAN], b=[2, 4]).items()}
    np.testing.assert_allclose(step_of(model, y), [-2 - 2, -4])


@pytest.mark.parametrize("surgery", [None, PCGrad("sum")])
def test_a_loss_that_is_not_finite_for_the_label_zero(surgery):
    """Whatever stands in for a missing label must not reach the loss's value or gradient."""

    def logarithmic(y_true, y_pred):
        return keras.ops.mean((keras.ops.log(y_true) - y_pred) ** 2, axis=-1)

    model = linear_model(loss=dict.fromkeys("ab", logarithmic), surgery=surgery)
    e = np.exp(1)
    np.testing.assert_allclose(
        step_of(model, labels(a=[e, NAN], b=[e, e])), [-2 - 1, -1], atol=1e-6
    )


def test_a_summed_loss_is_the_sum_over_labelled_rows():
    loss = keras.losses.MeanSquaredError(reduction="sum")
    model = linear_model(loss={"a": loss, "b": product})
    np.testing.assert_allclose(step_of(model, labels(a=[1, NAN], b=[2, 4])), [-2 + 1, 2])


def test_sample_weights_of_missing_rows_do_not_matter():
    model = linear_model(loss=dict.fromkeys("ab", product))
    weights = {"a": np.array([3.0, NAN], np.float32), "b": np.array([1.0, 0.5], np.float32)}
    y = labels(a=[1, NAN], b=[2, 4])
    np.testing.assert_allclose(step_of(model, y, sample_weight=weights), [3 + 1, 1])


def test_one_array_of_sample_weights_counts_for_every_task():
    model = linear_model()
    y = labels(a=[1, NAN], b=[2, 4])
    weights = np.array([2.0, 0.5], np.float32)
    np.testing.assert_allclose(step_of(model, y, sample_weight=weights), [2 + 2, 1])


def sequence_model(cls):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3, 2))
    shared = keras.layers.Dense(4)(keras.layers.Masking()(inputs))
    model = cls(inputs, {task: keras.layers.Dense(1, name=task)(shared) for task in "ab"})
    model.compile(keras.optimizers.SGD(0.1), dict.fromkeys("ab", "mse"), metrics={"a": ["mae"]})
    return model


def test_masked_positions_of_a_sequence_do_not_count():
    """Whether labels are missing or not."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=(8, 3, 2)).astype(np.float32)
    x[::2, 1:] = 0
    y = {task: rng.normal(size=(8, 3, 1)).astype(np.float32) for task in "ab"}
    wanted = sequence_model(keras.Model)
    wanted.fit(x[:6], {task: y[task][:6] for task in y}, batch_size=6, verbose=0)
    for value in y.values():
        value[6:] = np.nan
    for rows in (6, 8):
        model = sequence_model(MultiTaskModel)
        part = x[:rows], {task: y[task][:rows] for task in y}
        model.fit(*part, batch_size=rows, verbose=0)
        assert_same(model.get_weights(), wanted.get_weights(), tolerance=1e-5)
        found = model.evaluate(*part, verbose=0, return_dict=True)
        reference = wanted.evaluate(x[:6], {t: y[t][:6] for t in y}, verbose=0, return_dict=True)
        for name in ("a_mae", "a_loss", "b_loss"):
            assert found[name] == pytest.approx(reference[name], rel=1e-4), name
