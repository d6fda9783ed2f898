"""A probe in a loop of one's own: the right gradients, once traced, and nothing changed."""

import warnings

import numpy as np
import pytest
import tensorflow as tf

import pcgrad
from pcgrad import gradient_probe
from pcgrad.probe_statistics import probe_statistics

ROWS = 8


class Model:
    """Two tasks over a dense and an embedded feature, and a head of each task's own."""

    def __init__(self, dtype=tf.float32):
        rng = np.random.default_rng(0)

        def variable(*shape):
            return tf.Variable(rng.normal(size=shape), dtype=dtype)

        self.kernel, self.table = variable(3, 4), variable(1000, 4)
        self.heads = [variable(4), variable(4)]
        self.variables = [self.kernel, self.table, *self.heads]
        self.traces = 0

    def losses(self, chunk):
        self.traces += 1
        features, ids, labels = chunk
        hidden = tf.tanh(features @ self.kernel) + tf.gather(self.table, ids)
        outputs = [tf.linalg.matvec(hidden, head) for head in self.heads]
        return {
            name: tf.reduce_mean((output - labels[:, place]) ** 2)
            for place, (name, output) in enumerate(zip("ab", outputs, strict=True))
        }


def chunks_of(count, seed=0, dtype="float32", rows=ROWS):
    rng = np.random.default_rng(seed)
    return [
        (
            tf.constant(rng.normal(size=(rows, 3)).astype(dtype)),
            tf.constant(rng.integers(0, 20, rows)),
            tf.constant(rng.normal(size=(rows, 2)).astype(dtype)),
        )
        for _ in range(count)
    ]


def expected(model, chunks, weights=(1.0, 1.0), updates=None):
    """From whole gradients of the shared variables, in float64."""
    gradients = []
    for chunk in chunks:
        with tf.GradientTape(persistent=True) as tape:
            losses = model.losses(chunk)
        gradients.append(
            [
                np.concatenate(
                    [
                        np.ravel(tf.convert_to_tensor(one))
                        for one in tape.gradient(loss, [model.kernel, model.table])
                    ]
                )
                for loss in losses.values()
            ]
        )
    gradients = np.array(gradients, np.float64)
    products = np.einsum("kin,ljn->kilj", gradients, gradients)
    return probe_statistics(products, np.array(weights), updates, 7, ROWS)


def assert_equal(found, wanted, tolerance):
    for name, value in vars(wanted).items():
        np.testing.assert_allclose(getattr(found, name), value, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_about_the_gradients_of_shared_variables(dtype):
    model, chunks = Model(dtype), chunks_of(5, dtype=dtype)
    probe = pcgrad.GradientProbe(model.losses, model.variables)
    found = probe(chunks, 7, ROWS, {"a": 2.0})
    assert probe.tasks == ("a", "b")
    assert_equal(found, expected(model, chunks, (2.0, 1.0)), 1e-4 if dtype == "float32" else 1e-9)


def test_under_xla():
    model, chunks = Model(), chunks_of(5)
    found = pcgrad.GradientProbe(model.losses, model.variables, jit_compile=True)(chunks, 7, ROWS)
    assert_equal(found, expected(model, chunks), 1e-4)


def test_what_the_surgery_makes_of_the_chunks():
    model, chunks = Model(), chunks_of(6)
    surgery = pcgrad.PCGrad("sum", seed=3)
    found = pcgrad.GradientProbe(model.losses, model.variables, surgery)(
        chunks, 7, ROWS, {"a": 1.0, "b": 0.5}
    )
    updates = []
    for chunk in chunks:
        with tf.GradientTape(persistent=True) as tape:
            losses = model.losses(chunk)
            losses["b"] *= 0.5
        gradients = pcgrad.task_gradients(tape, losses, model.variables)
        updates.append(surgery(pcgrad.gram_matrix(gradients), 7))
    assert_equal(found, expected(model, chunks, (1.0, 0.5), np.array(updates)), 1e-4)


def test_the_ledger_of_the_mean_of_the_gradients_is_that_of_their_sum():
    """Whatever factor a reduction has: a learning rate undoes it."""
    model, chunks = Model(), chunks_of(6)
    by_sum, by_mean = (
        pcgrad.GradientProbe(model.losses, model.variables, pcgrad.PCGrad(reduction, seed=3))
        for reduction in ("sum", "mean")
    )
    assert_equal(by_mean(chunks, 7, ROWS), by_sum(chunks, 7, ROWS), 1e-6)


def test_a_weighting_that_may_change_is_not_asked():
    model = Model()
    asked = []

    def weighting(gramian, step):
        asked.append(step)
        return tf.ones(2)

    found = pcgrad.GradientProbe(model.losses, model.variables, weighting)(chunks_of(4), 7, ROWS)
    assert not asked
    assert np.isnan(found.update_weights).all()


def test_it_is_traced_once_and_changes_nothing():
    model = Model()
    probe = pcgrad.GradientProbe(model.losses, model.variables, pcgrad.PCGrad("sum", seed=0))
    tf.random.set_seed(5)
    before = [one.numpy() for one in model.variables]
    drawn = tf.random.normal([3]).numpy()
    tf.random.set_seed(5)
    for step in range(4):
        probe(chunks_of(5, seed=step), step, ROWS)
    assert model.traces == 1
    np.testing.assert_array_equal(tf.random.normal([3]), drawn)
    for one, other in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_variable_that_is_trained_in_between_is_read_anew():
    model, chunks = Model(), chunks_of(5)
    probe = pcgrad.GradientProbe(model.losses, model.variables)
    probe(chunks, 7, ROWS)
    model.table.assign_add(tf.ones_like(model.table))
    assert_equal(probe(chunks, 7, ROWS), expected(model, chunks), 1e-4)


def test_large_gradients_take_fewer_chunks(monkeypatch):
    """As many in each probe, also where the gradients of a table are smaller in another one."""
    model, chunks = Model(), chunks_of(9)
    probe = pcgrad.GradientProbe(model.losses, model.variables)
    one = 4 * (2 * 12 + 2 * ROWS * 4)
    monkeypatch.setattr(gradient_probe, "_MAX_BYTES", 6 * one)
    assert_equal(probe(chunks, 7, ROWS), expected(model, chunks[:6]), 1e-4)
    smaller = chunks_of(9, rows=2)
    assert probe(smaller, 8, 2).chunks == 6
    monkeypatch.setattr(gradient_probe, "_MAX_BYTES", 1)
    fewest = pcgrad.GradientProbe(model.losses, model.variables)
    assert fewest(chunks, 7, ROWS).chunks == 4


def test_tasks_that_share_nothing():
    model = Model()
    probe = pcgrad.GradientProbe(model.losses, model.heads)
    found = pcgrad.summarize_probes([probe(chunks_of(4), 0, ROWS)], probe.tasks)
    assert found["pairs"][0]["cosine"]["value"] is None
    assert found["pairs"][0]["opposed"] is None
    assert found["tasks"]["a"]["kept"]["value"] is None


def test_errors():
    model = Model()
    probe = pcgrad.GradientProbe(model.losses, model.variables)
    with pytest.raises(ValueError, match="`chunks` are 3: pass at least 4"):
        probe(chunks_of(3), 0, ROWS)


def test_chunks_of_other_sizes_are_traced_once_more():
    model = Model()
    probe = pcgrad.GradientProbe(model.losses, model.variables)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for rows in (8, 7, 6, 5):
            probe(chunks_of(4, rows=rows), 0, rows)
    assert model.traces == 2
