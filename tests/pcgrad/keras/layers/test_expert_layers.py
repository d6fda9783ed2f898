"""MMoE and CGC are what a Dense layer for each expert and each gate makes; which task has which."""

import functools
import math
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from multitask_models import assert_same
from pcgrad import PCGrad, projection_orders, task_gradients
from pcgrad.keras import MultiTaskModel
from pcgrad.keras.layers import CGC, MMoE
from pcgrad.layerwise import stacking
from plain_experts import PlainExperts

TASKS = ["price", "sold", "days on/market"]  # the last one cannot be a layer's name
CGC_EXPERTS = {"shared_experts": 2, "task_experts": 1}


def data(*shape, dtype="float64"):
    return np.random.default_rng(2).normal(size=shape).astype(dtype)


def ple(tasks, units, **kwargs):
    """As many CGC in a row as there are `units`."""
    *before, last = units
    return [
        *(CGC(tasks, units=width, return_shared=True, **kwargs) for width in before),
        CGC(tasks, units=last, **kwargs),
    ]


def in_a_row(layers, inputs):
    for layer in layers:
        inputs = layer(inputs)
    return inputs


def assert_gradients_agree(outputs, plain_outputs, tape, sources):
    """Of each task on its own: so also which variables it does not reach."""
    for output, plain in zip(outputs, plain_outputs, strict=True):
        np.testing.assert_allclose(output, plain, rtol=1e-12, atol=1e-13)
        plain_gradients = tape.gradient(tf.sin(plain), [source[0].value for source in sources])
        gradients = tape.gradient(tf.sin(output), [source[1].value for source in sources])
        for expected, actual, (_, variable, place) in zip(
            plain_gradients, gradients, sources, strict=True
        ):
            assert (actual is None) == (expected is None), variable.path
            if expected is not None:
                found = actual.numpy()[place]
                np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


SIZES = {
    "tasks": st.integers(1, 3),
    "units": st.lists(st.integers(1, 4), min_size=1, max_size=3),
    "activation": st.sampled_from(["relu", "tanh", "gelu", None]),
    "batch": st.sampled_from([(1,), (5,), (2, 3)]),
}


@settings(max_examples=10)
@given(experts=st.integers(1, 4), **SIZES)
def test_mmoe_is_a_dense_layer_for_each_expert(tasks, experts, units, activation, batch):
    layer = MMoE(tasks, experts, units, activation, dtype="float64")
    x = tf.constant(data(*batch, 3))
    layer.build(x.shape)
    with tf.GradientTape(persistent=True) as tape:
        plain = PlainExperts(layer)
        expected, outputs = plain.mmoe(x), layer(x)
    assert len(plain.sources) == tasks + experts * 2 * len(units)
    assert_gradients_agree(outputs, expected, tape, plain.sources)


@settings(max_examples=10)
@given(shared=st.integers(1, 3), own=st.integers(1, 2), levels=st.integers(1, 3), **SIZES)
def test_cgc_is_a_dense_layer_for_each_expert(tasks, shared, own, levels, units, activation, batch):
    layers = ple(
        tasks,
        [units] * levels,
        shared_experts=shared,
        task_experts=own,
        activation=activation,
        dtype="float64",
    )
    x = tf.constant(data(*batch, 3))
    in_a_row(layers, x)
    with tf.GradientTape(persistent=True) as tape:
        outputs = in_a_row(layers, x)
        by_task, common, sources = [x] * tasks, x, []
        for layer in layers:
            plain = PlainExperts(layer)
            by_task = plain.cgc(by_task, common)
            if layer.return_shared:
                *by_task, common = by_task
            sources += plain.sources
    assert_gradients_agree(outputs, by_task, tape, sources)


def model_of(layers, tasks=TASKS, **kwargs):
    """Some of the layers above a common Dense, a head for each task."""
    inputs = keras.Input((30,))
    trunk = keras.layers.Dense(29, activation="tanh", name="trunk", **kwargs)(inputs)
    features = in_a_row(layers, trunk)
    heads = {
        task: keras.layers.Dense(1, name=f"head_{i}", dtype="float32")(features[task])
        for i, task in enumerate(tasks)
    }
    return MultiTaskModel(inputs, heads)


def expert_layers(kind, **kwargs):
    if kind == "mmoe":
        return [MMoE(TASKS, 3, (6, 4), name="mmoe", **kwargs)]
    return [
        CGC(TASKS, **CGC_EXPERTS, units=6, return_shared=True, name="first", **kwargs),
        CGC(TASKS, **CGC_EXPERTS, units=4, name="last", **kwargs),
    ]


@pytest.fixture(params=["mmoe", "ple"])
def kind(request):
    return request.param


def targets(rows=12):
    return {task: data(rows, 1, dtype="float32") * (-1) ** i for i, task in enumerate(TASKS)}


def losses_of(model, x, y):
    return {task: tf.reduce_mean((model(x)[task] - y[task]) ** 2) for task in TASKS}


SHARED = {
    "mmoe": {"trunk", "mmoe/experts"},
    "ple": {
        "trunk", "first/shared_experts", "first/experts_0", "first/experts_1", "first/experts_2",
        "first/shared_gate", "last/shared_experts",
    },
}  # fmt: skip
OWN = {
    "mmoe": {"mmoe/gate_1", "head_1"},
    "ple": {"first/gate_1", "last/experts_1", "last/gate_1", "head_1"},
}


def test_what_is_shared_follows_from_what_the_tasks_reach(kind):
    model = model_of(expert_layers(kind))
    variables = model.trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        losses = losses_of(model, data(12, 30, dtype="float32"), targets())
    found = task_gradients(tape, losses, variables)
    paths = [v.path.rpartition("/")[0] for v in variables]
    assert {paths[index] for index in found.shared} == SHARED[kind]
    of_task = {path for path, gradient in zip(paths, found.gradients[1], strict=True)
               if gradient is not None}  # fmt: skip
    assert of_task - SHARED[kind] == OWN[kind]


def test_a_step_projects_what_is_shared_and_nothing_else(kind):
    model = model_of(expert_layers(kind))
    x, y, variables = data(12, 30, dtype="float32"), targets(), model.trainable_variables
    with tf.GradientTape(persistent=True) as tape:
        losses = losses_of(model, x, y)
    gradients = [tape.gradient(loss, [v.value for v in variables]) for loss in losses.values()]
    as_arrays = [[None if g is None else g.numpy() for g in row] for row in gradients]
    orders = projection_orders(1, 0, 3).numpy().tolist()
    update = reference.update(as_arrays, orders)
    plain = [sum(g for g in own if g is not None) for own in zip(*as_arrays, strict=True)]
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(update, plain, strict=True))
    before = model.get_weights()
    model.compile(
        keras.optimizers.SGD(1.0),
        loss=dict.fromkeys(TASKS, "mse"),
        surgery=PCGrad("sum", seed=1),
        run_eagerly=True,
    )
    model.train_on_batch(x, y)
    expected = [old - change for old, change in zip(before, update, strict=True)]
    assert_same(model.get_weights(), expected, tolerance=2e-6)


def trained(kind, *, epochs=1, policy="float32", **compile_arguments):
    keras.utils.set_random_seed(5)
    model = model_of(expert_layers(kind, dtype=policy), dtype=policy)
    arguments = {"optimizer": "adam", "surgery": PCGrad("sum", seed=1), **compile_arguments}
    model.compile(loss=dict.fromkeys(TASKS, "mse"), **arguments)
    x = data(12, 30, dtype="float32")
    model.fit(x, targets(), batch_size=4, epochs=epochs, shuffle=False, verbose=0)
    return model


@functools.cache
def by_tape(kind):
    """What others are compared with, once for each kind."""
    return trained(kind, jit_compile=False).get_weights()


@pytest.mark.parametrize("gramian", ["layerwise", "auto"])
def test_layer_by_layer_it_is_the_same(kind, gramian, monkeypatch):
    """The experts' kernels from the tape, the gates' and the trunk's as products."""
    monkeypatch.setattr(stacking, "_WORTH_VECTORIZING", 0)
    model = trained(kind, gramian=gramian, jit_compile=False)
    assert_same(model.weights, by_tape(kind), tolerance=1e-5)
    if gramian == "layerwise":
        name = {"mmoe": "mmoe/experts", "ple": "last/shared_experts"}[kind]
        assert f"{name}/kernel_0: tape (BatchMatMulV2)" in model.describe_gramian()
        assert "trunk/kernel: product" in model.describe_gramian()


def test_compiled_by_xla_it_is_the_same(kind):
    assert_same(trained(kind, jit_compile=True).weights, by_tape(kind), tolerance=1e-5)


def test_mixed_precision(kind):
    model = trained(kind, policy="mixed_bfloat16", epochs=20, optimizer=keras.optimizers.Adam(0.01))
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    features = model.get_layer("trunk").output
    layers = expert_layers(kind, dtype="mixed_bfloat16")
    assert {one.dtype for one in in_a_row(layers, features).values()} == {"bfloat16"}
    losses = model.history.history["loss"]
    assert losses[-1] < losses[0]


@keras.saving.register_keras_serializable(package="tests")
class Subclassed(keras.Model):
    """Two CGC, built when the model is called."""

    def __init__(self, tasks, **kwargs):
        super().__init__(**kwargs)
        self.tasks = tasks
        self.row = ple(tasks, [6, 4], **CGC_EXPERTS, dropout=0.1)

    def call(self, inputs, training=None):
        first, last = self.row
        return last(first(inputs, training=training), training=training)

    def get_config(self):
        return {"tasks": self.tasks}


@pytest.mark.parametrize("tasks", [TASKS, 3], ids=["names", "number"])
def test_a_subclassed_model_is_saved_and_loaded(tasks, tmp_path):
    model = Subclassed(tasks)
    x = data(5, 4, dtype="float32")
    before = model(x)
    assert isinstance(before, list if tasks == 3 else dict)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    keras.tree.map_structure(np.testing.assert_array_equal, loaded(x), before)


def test_a_functional_model_is_saved_cloned_and_exported(kind, tmp_path):
    model = model_of(expert_layers(kind))
    x = data(5, 30, dtype="float32")
    before = model(x)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    keras.tree.map_structure(np.testing.assert_array_equal, loaded(x), before)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    keras.tree.map_structure(np.testing.assert_array_equal, clone(x), before)
    model.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "served"))
    answers = served.serve(x)
    for task, output in before.items():
        np.testing.assert_allclose(answers[task], output, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        MMoE(TASKS, 2, (4, 3), "gelu", 0.2, name="own", dtype="mixed_float16"),
        CGC(2, 3, 1, 4, keras.activations.tanh, 0.1, return_shared=True, trainable=False),
    ],
    ids=["mmoe", "cgc"],
)
def test_the_configuration_is_the_constructors_arguments(layer):
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    assert again.activation is layer.activation
    assert keras.saving.get_registered_name(type(layer)) == f"pcgrad>{type(layer).__name__}"


def test_sizes():
    mmoe, x = MMoE(TASKS, 4, (8, 5)), data(7, 6, dtype="float32")
    assert {task: tuple(one.shape) for task, one in mmoe(x).items()} == dict.fromkeys(TASKS, (7, 5))
    assert mmoe.count_params() == 4 * (7 * 8 + 9 * 5) + 3 * 6 * 4
    cgc = CGC(3, **CGC_EXPERTS, units=8, return_shared=True)
    outputs, shared = cgc(x)
    assert [tuple(one.shape) for one in [*outputs, shared]] == [(7, 8)] * 4
    assert cgc.count_params() == (2 + 3) * 7 * 8 + 3 * 6 * (1 + 2) + 6 * (3 + 2)


def test_each_expert_starts_as_a_dense_layer_of_its_own():
    """Within Glorot's limit for one expert, no two of them alike, nor two of their layers."""
    layer = MMoE(2, 5, (20, 20))
    layer.build((None, 20))
    kernels = [k for v in layer.weights if "/kernel_" in v.path for k in v.numpy()]
    limit = math.sqrt(6 / (20 + 20))
    assert len(kernels) == 10
    assert all(0.95 * limit < np.abs(kernel).max() <= limit for kernel in kernels)
    assert len({kernel.tobytes() for kernel in kernels}) == 10


def test_dropout_is_of_training_only():
    x = np.ones((400, 3), np.float32)
    layer = MMoE(["a"], 1, 50, "linear", dropout=0.3)
    layer.build(x.shape)
    outputs = {training: layer(x, training=training)["a"].numpy() for training in (True, False)}
    assert np.all(outputs[False] != 0)
    assert np.mean(outputs[True] == 0) == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MMoE([], 2, 3), "`tasks` is \\[\\]: pass a list of the tasks' names"),
        (lambda: MMoE("ab", 2, 3), "`tasks` is 'ab': pass a list of the tasks' names"),
        (lambda: MMoE(["a", 1], 2, 3), "pass a list of the tasks' names, or their number"),
        (lambda: MMoE(["a", "a"], 2, 3), "two tasks have the same name"),
        (lambda: MMoE(0, 2, 3), "`tasks` must be a positive integer, not 0"),
        (lambda: MMoE(2, 2.0, 3), "`experts` must be a positive integer, not 2.0"),
        (lambda: MMoE(2, 2, (3, 0)), "`units` must be a positive integer, not 0"),
        (lambda: MMoE(2, 2, ()), "`units` is empty"),
        (lambda: CGC(2, 0, 1, 3), "`shared_experts` must be a positive integer, not 0"),
        (lambda: CGC(2, 1, True, 3), "`task_experts` must be a positive integer, not True"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("tasks", "others", "return_shared"),
    [(2, 2, False), (3, 2, True), (["a", "b"], ["a", "b"], False), (["a", "b"], ["a", "c"], True)],
)
def test_a_layer_after_one_that_does_not_fit(tasks, others, return_shared):
    before = CGC(others, **CGC_EXPERTS, units=3, return_shared=return_shared)
    inputs = before(np.ones((2, 4), np.float32))
    with pytest.raises(ValueError, match="nor what a CGC of the tasks .* `return_shared=True`"):
        CGC(tasks, **CGC_EXPERTS, units=3)(inputs)


def test_the_example_of_the_guide():
    page = (pathlib.Path(__file__).parents[4] / "docs" / "reuse.md").read_text()
    (text,) = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    names = {}
    exec(compile(text, "docs/reuse.md", "exec"), names)
    x, y = data(8, 8, dtype="float32"), np.ones((8, 1), np.float32)
    names["mmoe"].fit(x, {"price": y, "sold": y}, verbose=0)
    assert {task: tuple(one.shape) for task, one in names["features"].items()} == {
        "price": (None, 32),
        "sold": (None, 32),
    }
    assert names["ple"].count_params() > names["mmoe"].count_params() > 0
