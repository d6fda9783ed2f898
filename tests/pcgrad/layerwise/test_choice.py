"""`auto`: layer by layer where that saves work, by the shapes or by the batch in each step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pcgrad import PCGrad
from pcgrad.layerwise.backward import backward

TASKS = 4


def network(*widths, convolution=False, embedding=False):
    keras.utils.set_random_seed(3)
    if convolution:
        inputs = keras.Input((8, 8, 1))
        features = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, activation="relu")(inputs))
    elif embedding:
        inputs = keras.Input((3,), dtype="int32")
        features = keras.layers.Flatten()(keras.layers.Embedding(50, 128)(inputs))
    else:
        inputs = features = keras.Input((widths[0],))
    for width in widths[1:]:
        features = keras.layers.Dense(width, activation="relu")(features)
    heads = [keras.layers.Dense(1)(features) for _ in range(TASKS)]
    return keras.Model(inputs, heads)


class Steps:
    """One step by the tape and one by `auto`, for batches of a size known while tracing or not.

    Attributes:
        description: Of `auto`'s step.
    """

    def __init__(self, model, batch=None):
        self.description = ""
        variables = model.trainable_variables
        pcgrad = PCGrad("sum", seed=2)

        def step(way, x):
            with tf.GradientTape(persistent=True) as tape:
                losses = [tf.reduce_mean(tf.square(y - i)) for i, y in enumerate(model(x))]
            found = backward(tape, losses, variables, pcgrad, 4, way)
            self.description = found.description
            sparse = [isinstance(g, tf.IndexedSlices) for g in found.update]
            return found.gramian, [tf.convert_to_tensor(g) for g in found.update], sparse

        signature = [tf.TensorSpec([batch, *model.inputs[0].shape[1:]], model.inputs[0].dtype)]
        self._steps = [
            tf.function(lambda x, way=way: step(way, x), input_signature=signature, autograph=False)
            for way in ("tape", "auto")
        ]

    def describe(self):
        """Traces `auto`'s step."""
        self._steps[1].get_concrete_function()
        return self.description

    def agree(self, x):
        (g, one, sparse), (h, other, also) = (step(x) for step in self._steps)
        np.testing.assert_allclose(h, g, rtol=1e-4)
        assert [bool(s) for s in sparse] == [bool(s) for s in also]
        for expected, actual in zip(one, other, strict=True):
            np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-6)


def rows(count, *shape):
    return np.random.default_rng(1).normal(size=(count, *shape)).astype(np.float32)


def test_a_batch_that_decides_in_each_step():
    """Both ways in one graph, whichever the batch asks for."""
    steps = Steps(network(900, 1000, 800))
    for count in (3, 2000):
        steps.agree(rows(count, 900))
    assert steps.description.startswith("up to a batch of ")
    assert "all tasks at once" in steps.description


def test_what_is_sparse_stays_sparse_in_both():
    steps = Steps(network(384, 1000, 1000, embedding=True))
    assert not steps.description
    for count in (2, 1500):
        steps.agree(np.random.default_rng(1).integers(0, 50, (count, 3)).astype(np.int32))
    assert steps.description.startswith("up to a batch of ")


@pytest.mark.parametrize(
    ("widths", "batch", "expected"),
    [
        ((256, 1024, 1024), 64, "layer by layer"),
        ((256, 1024, 1024), 4096, "every gradient from the tape (little would be saved"),
        ((64, 192, 128), 16, "layer by layer"),
        ((64, 192, 128), None, "every gradient from the tape (little would be saved"),
    ],
)
def test_sizes_decide(widths, batch, expected):
    steps = Steps(network(*widths), batch)
    steps.agree(rows(batch or 16, widths[0]))
    assert steps.description.startswith(expected)


def test_gradients_that_oppose_each_other():
    """Where inner products in float64, too, would make a step slower: the tape's way."""
    steps = Steps(network(1024, 1024, 1024, 1024), 256)
    assert "layer by layer" not in steps.describe()
    steps = Steps(network(1024, 1024, 1024, 1024), 64)
    assert "layer by layer" in steps.describe()


def test_layers_of_which_the_cost_is_not_known():
    steps = Steps(network(144, 1000, 1000, convolution=True), 8)
    steps.agree(rows(8, 8, 8, 1))
    assert steps.description.startswith("every gradient from the tape (Conv2D in the common part")


def test_eager_mode():
    model = network(8, 8)
    with tf.GradientTape(persistent=True) as tape:
        losses = [tf.reduce_mean(y) for y in model(rows(3, 8))]
    found = backward(tape, losses, model.trainable_variables, PCGrad(), None, "auto")
    assert found.description == "every gradient from the tape (eager mode)"
