"""`ConflictProbe` in `fit`: what it measures, and that it changes nothing."""

import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from pcgrad import PCGrad
from pcgrad.keras import ConflictProbe, MultiTaskModel
from pcgrad.keras.probing.probe_rows import ProbeRows
from pcgrad.probe_statistics import probe_statistics
from probed_training import ROWS, WIDTH, fit, model_of, rows, same_probes


class Weights(keras.callbacks.Callback):
    """All that a training leaves, step by step."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        variables = [*self.model.variables, *self.model.optimizer.variables]
        self.steps.append([np.array(variable) for variable in variables])


@pytest.mark.parametrize(
    ("cls", "surgery"),
    [(MultiTaskModel, None), (MultiTaskModel, PCGrad("sum", seed=1)), (keras.Model, None)],
)
def test_the_training_is_the_same_to_the_bit(cls, surgery):
    """With dropout, batch normalization and rows in a random order."""
    trainings = []
    for probed in (False, True):
        arguments = {"surgery": surgery} if surgery else {}
        model = model_of(cls, True, keras.optimizers.Adam(0.01), **arguments)
        weights = Weights()
        callbacks = [ConflictProbe(*rows(), probes=4)] if probed else []
        history = fit(model, *callbacks, weights).history
        trainings.append((weights.steps, history["loss"]))
        if probed:
            assert len(callbacks[0].probes) >= 4
            assert set(history) > {"price_progress_kept", "sold_progress_kept"}
    (steps, losses), (others, other_losses) = trainings
    assert losses == other_losses
    for one, other in zip(steps, others, strict=True):
        for values, other_values in zip(one, other, strict=True):
            np.testing.assert_array_equal(values, other_values)


def expected_at_first(x, y, chunks, chunk_rows, seed=0):
    """The first probe of `model_of()`, from Keras's own losses of drawn rows."""
    model = model_of()
    blocks = np.array_split(np.random.default_rng(seed).permutation(ROWS), chunks)
    generator = np.random.default_rng([seed, 0])
    drawn = [generator.choice(block, chunk_rows, replace=False) for block in blocks]
    shared = model.trainable_variables[:3]
    gradients = []
    for chunk in drawn:
        with tf.GradientTape(persistent=True) as tape:
            found = model({name: tf.gather(values, chunk) for name, values in x.items()})
            labelled = ~np.isnan(y["price"][chunk, 0])
            error = found["price"][labelled] - y["price"][chunk][labelled]
            losses = [
                tf.reduce_mean(error**2) if labelled.any() else tf.constant(0.0),
                tf.reduce_mean(keras.losses.binary_crossentropy(y["sold"][chunk], found["sold"])),
            ]
        of_tasks = [
            tape.gradient(loss, [one.value for one in shared], unconnected_gradients="zero")
            for loss in losses
        ]
        gradients.append(
            [
                np.concatenate([np.ravel(tf.convert_to_tensor(one)) for one in row])
                for row in of_tasks
            ]
        )
    gradients = np.array(gradients, np.float64)
    products = np.einsum("kin,ljn->kilj", gradients, gradients)
    return probe_statistics(products, np.array([1.0, 0.5]), None, 0, chunk_rows)


@pytest.mark.parametrize(
    ("cls", "missing"), [(MultiTaskModel, 0.0), (MultiTaskModel, 0.9), (keras.Model, 0.0)]
)
def test_what_it_measures(cls, missing):
    """Means over the labelled rows, with the loss weights, by shared variables only."""
    x, y = rows(missing=missing)
    probe = ConflictProbe(x, y, chunks=16, chunk_rows=8)
    fit(model_of(cls), probe, x=x, y=y, epochs=1)
    same_probes(probe.probes[:1], [expected_at_first(x, y, 16, 8)], 1e-4)


def test_weights_of_rows_count():
    """Weights of two make gradients of twice the length; a row without weight adds nothing."""
    x, y = rows(8)
    without_half = {task: labels.copy() for task, labels in y.items()}
    for labels in without_half.values():
        labels[::2] += 1000

    def first(labels, weights):
        probe = ConflictProbe(x, labels, np.array(weights, "float32"), chunks=4, chunk_rows=2)
        fit(model_of(), probe, x=x, y=y, epochs=1)
        return probe.probes[0]

    one, two = first(y, [1.0] * 8), first(y, [2.0] * 8)
    np.testing.assert_allclose(two.lengths, 2 * one.lengths, rtol=1e-5)
    np.testing.assert_allclose(two.products, one.products, rtol=1e-4, atol=1e-5)
    same_probes([first(without_half, [0.0, 1.0] * 4)], [first(y, [0.0, 1.0] * 4)], 1e-4)


def test_a_dataset_is_as_arrays():
    x, y = rows()
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(32)
    one, other = ConflictProbe(batches), ConflictProbe(x, y)
    fit(model_of(), one)
    fit(model_of(), other)
    same_probes(one.probes, other.probes)
    # Sixteen chunks at least, so less than the 32 rows of a batch.
    assert one.summary()["chunk_rows"] == 5
    # At most 128, as the rows of larger batches take long.
    x, y = rows(4000)
    whole = ConflictProbe(tf.data.Dataset.from_tensor_slices((x, y)).batch(512))
    fit(model_of(), whole, epochs=1)
    assert (whole.summary()["chunk_rows"], whole.summary()["rows"]) == (128, 2048)
    large = ConflictProbe(tf.data.Dataset.from_tensor_slices(rows(4000)).batch(64))
    fit(model_of(), large, epochs=1)
    assert (large.summary()["chunk_rows"], large.summary()["rows"]) == (64, 2048)


def test_rows_of_sparse_and_ragged_features():
    values = tf.ragged.constant([[1, 2], [3], [4, 5, 6]] * 20, dtype=tf.int64)
    labels = {task: np.random.default_rng(0).normal(size=(60, 1)) for task in "ab"}
    found = {}
    for name, features in (
        ("dense", values.to_tensor()),
        ("sparse", values.to_sparse()),
        ("ragged", values),
    ):
        drawn_from = ProbeRows(tf.data.Dataset.from_tensor_slices((features, labels)).batch(20))
        blocks = np.split(np.random.default_rng(0).permutation(60), 4)
        drawn = drawn_from.draw(np.random.default_rng(0), blocks, 10)[0][0]
        if not isinstance(drawn, tf.Tensor):
            drawn = drawn.to_tensor() if name == "ragged" else tf.sparse.to_dense(drawn)
        found[name] = tf.pad(drawn, [[0, 0], [0, 3 - drawn.shape[1]]]).numpy()
    np.testing.assert_array_equal(found["sparse"], found["dense"])
    np.testing.assert_array_equal(found["ragged"], found["dense"])


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision(policy):
    x, y = rows()
    full = ConflictProbe(x, y)
    fit(model_of(), full)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        probe = ConflictProbe(x, y)
        fit(model_of(), probe)
    finally:
        keras.config.set_dtype_policy(before)
    # Before the scale of the losses is settled, some chunks' gradients are not finite.
    half = probe.probes[0].products / np.outer(*[probe.probes[0].labelled] * 2)
    assert half == pytest.approx(full.probes[0].products, abs=0.1)


def test_under_xla():
    probe, plain = ConflictProbe(*rows()), ConflictProbe(*rows())
    fit(model_of(jit_compile=True), probe, epochs=1)
    fit(model_of(jit_compile=False), plain, epochs=1)
    same_probes(probe.probes, plain.probes, 1e-3)


def test_the_ledger_is_what_a_small_step_of_gradient_descent_does():
    """Of all rows: with the other task, a step changes the loss by `kept` times as much."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2048, WIDTH)).astype("float32")
    y = {
        "price": x[:, :1] - 0.5 * x[:, 1:2],
        "sold": (-0.6 * x[:, :1] + x[:, 2:3] > 0).astype("float32"),
    }
    features = {"numbers": x, "area": np.zeros(2048, int)}
    probe = ConflictProbe(features, y, chunks=32, chunk_rows=64)
    model_of().fit(features, y, batch_size=2048, epochs=1, verbose=0, callbacks=[probe])
    changes = {}
    for weights in ({"price": 1.0, "sold": 0.5}, {"price": 1.0, "sold": 0.0}):
        model = model_of()
        model.compile(
            keras.optimizers.SGD(1e-3),
            loss={"price": "mse", "sold": "binary_crossentropy"},
            loss_weights=weights,
        )
        # The heads are each task's own, and stay.
        for head in model.layers[-2:]:
            head.trainable = False
        before = model.evaluate(features, y, batch_size=2048, verbose=0, return_dict=True)
        model.fit(features, y, batch_size=2048, epochs=1, verbose=0)
        after = model.evaluate(features, y, batch_size=2048, verbose=0, return_dict=True)
        changes[weights["sold"]] = after["price_loss"] - before["price_loss"]
    kept = probe.summary()["tasks"]["price"]["kept"]
    assert kept["value"] == pytest.approx(changes[0.5] / changes[0.0], abs=0.03)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"probes": 0}, "`probes` is 0: pass 1 or more"),
        ({"chunks": 3}, "`chunks` is 3: pass 4 or more"),
        ({"chunk_rows": 0}, "`chunk_rows` is 0: pass 1 or more"),
        ({"chunks": 200}, "there are 160 rows for 200 chunks: pass more rows"),
        ({"y": None}, "`y` is missing"),
        ({"y": {"price": np.zeros(3)}}, r"have \[3, 160\] rows: pass as many"),
    ],
)
def test_errors(arguments, message):
    x, y = rows()
    with pytest.raises(ValueError, match=message):
        ConflictProbe(x, **{"y": y, **arguments})


def test_the_page_about_conflict(capsys):
    page = pathlib.Path(__file__).parents[3] / "docs" / "conflict.md"
    (block,) = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)
    exec(block, {})
    assert re.search(r"price keeps \{'value': -?\d", capsys.readouterr().out)


def test_errors_of_datasets():
    x, y = rows()
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(32)
    with pytest.raises(ValueError, match="`x` is a dataset: its elements hold labels"):
        ConflictProbe(batches, y)
    with pytest.raises(ValueError, match="the dataset is empty"):
        ConflictProbe(batches.take(0))
    with pytest.raises(ValueError, match="the dataset has no labels"):
        ConflictProbe(batches.map(lambda x, y: x))


def test_errors_at_the_start_of_a_training():
    x, y = rows()
    single = keras.Sequential([keras.layers.Dense(1)])
    single.compile("sgd", {"price": "mse"})
    with pytest.raises(ValueError, match="ConflictProbe: the model has one task, 'price'"):
        single.fit(x["numbers"], y["price"], verbose=0, callbacks=[ConflictProbe(x, y)])
