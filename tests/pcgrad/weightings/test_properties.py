"""What all methods have in common."""

import copy
import inspect
import pickle

import numpy as np
import pytest
import tensorflow as tf

import pcgrad
from gradient_families import FAMILIES, task_gradients_of
from pcgrad.weightings.weighting import ConfiguredWeighting
from weighting_methods import METHODS

TASKS = 5


def gramian_of(family, tasks=TASKS, seed=3):
    gradients = task_gradients_of(family, tasks, seed)
    return gradients @ gradients.T


@pytest.fixture(params=METHODS)
def name(request):
    return request.param


def test_every_method_is_here():
    classes = (value for value in vars(pcgrad).values() if inspect.isclass(value))
    methods = [each for each in classes if issubclass(each, ConfiguredWeighting)]
    # Those that look at losses are in test_from_losses.py.
    of_gramian = [each for each in methods if each.needs_gramian and not each.needs_losses]
    assert {each.__name__ for each in of_gramian if not inspect.isabstract(each)} == set(METHODS)


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_are_finite(name, family):
    for tasks in (2, TASKS):
        weights = METHODS[name].make()(gramian_of(family, tasks), 0)
        assert weights.dtype == tf.float64
        assert weights.shape == [tasks]
        assert np.isfinite(weights).all()


@pytest.mark.parametrize(
    "gramian",
    [
        np.zeros([3, 3]),
        np.ones([3, 3]),
        np.diag([1e30, 1e-30, 1.0]),
        np.eye(3) - (1 + 1e-7) * np.eye(3)[[1, 0, 2]] * [1, 1, 0],
    ],
    ids=["zero", "equal", "far apart", "not quite positive"],
)
def test_weights_of_degenerate_matrices_are_finite(name, gramian):
    assert np.isfinite(METHODS[name].make()(gramian, 0)).all()


def test_opposite_gradients(name):
    weights = METHODS[name].make()(np.array([[1.0, -1.0], [-1.0, 1.0]]), 0)
    assert np.isfinite(weights).all()


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [1, 2, 4, 9, 50])
@pytest.mark.parametrize("family", FAMILIES)
def test_weights_of_float32_gradients_are_finite(name, family, tasks):
    """Their Gram matrix may have negative eigenvalues."""
    for seed in range(5):
        gramian = gramian_of(family, max(tasks, 2) if name == "PrimaryTask" else tasks, seed)
        for scale in (1e-15, 1.0, 1e15):
            rounded = scale**2 * gramian.astype(np.float32).astype(np.float64)
            assert np.isfinite(METHODS[name].make()(rounded, 0)).all()


@pytest.mark.parametrize("name", [name for name, one in METHODS.items() if one.permuted])
def test_order_of_the_tasks(name):
    method, permutation = METHODS[name], np.array([3, 0, 4, 1, 2])
    gramian = gramian_of("nearly_opposite")
    weights = method.make()(gramian, 0).numpy()
    permuted = method.permuted(permutation)(gramian[permutation][:, permutation], 0)
    np.testing.assert_allclose(permuted, weights[permutation], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("scale", [1e-15, 1e15])
def test_scale(name, scale):
    method, gramian = METHODS[name], gramian_of("random")
    weights = method.make()(gramian, 0).numpy()
    scaled = method.make()(scale**2 * gramian, 0) / scale**method.power
    np.testing.assert_allclose(scaled, weights, rtol=1e-6, atol=1e-7)


def test_one_task(name):
    if name == "PrimaryTask":
        weights = pcgrad.PrimaryTask(0)(np.array([[4.0]]))
    else:
        weights = METHODS[name].make()(np.array([[4.0]]), 0)
    assert weights.shape == [1]
    assert weights[0] > 0


@pytest.mark.parametrize("name", [name for name, one in METHODS.items() if one.ignores_zero])
def test_a_zero_gradient_is_left_out(name):
    gramian = gramian_of("nearly_opposite")
    extended = np.pad(gramian, [(0, 1), (0, 1)])
    weights = METHODS[name].make()(extended, 0).numpy()
    assert np.isfinite(weights).all()
    np.testing.assert_allclose(weights[:-1], METHODS[name].make()(gramian, 0), rtol=1e-6, atol=1e-7)


def test_execution(name):
    """Eagerly, in a graph and compiled by XLA."""
    gramian = tf.constant(gramian_of("random", 4))
    eager = METHODS[name].make()(gramian, 2).numpy()
    for jit_compile in (False, True):
        method = METHODS[name].make()
        if hasattr(method, "build"):
            method.build(4)
        compiled = tf.function(method.__call__, jit_compile=jit_compile)
        np.testing.assert_allclose(
            compiled(gramian, tf.constant(2, tf.int64)), eager, rtol=1e-7, atol=1e-8
        )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_shows_in_all_weights(name, value):
    gramian = gramian_of("random")
    gramian[1, 2] = gramian[2, 1] = value
    assert np.isnan(METHODS[name].make()(gramian, 0)).all()


@pytest.mark.parametrize(
    "copied",
    [
        lambda method: type(method).from_config(method.get_config()),
        lambda method: pickle.loads(pickle.dumps(method)),
        copy.deepcopy,
    ],
    ids=["config", "pickle", "deepcopy"],
)
def test_copies(name, copied):
    method, gramian = METHODS[name].make(), gramian_of("random")
    again = copied(method)
    assert again.get_config() == method.get_config()
    assert repr(again) == repr(method)
    np.testing.assert_array_equal(again(gramian, 1), method(gramian, 1))


def test_all_can_be_saved(tmp_path):
    methods = {name: method.make() for name, method in METHODS.items()}
    gramian = tf.constant(gramian_of("random", 3))
    module = tf.Module()
    module.stateful = [method for method in methods.values() if isinstance(method, tf.Module)]
    for method in module.stateful:
        method.build(3)
    signature = [tf.TensorSpec([3, 3], tf.float64)]
    module.weigh = tf.function(
        lambda gramian: {name: method(gramian, 0) for name, method in methods.items()},
        input_signature=signature,
    )
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    saved = loaded.weigh(gramian)
    for name, weights in module.weigh(gramian).items():
        np.testing.assert_allclose(saved[name], weights, rtol=1e-12)
