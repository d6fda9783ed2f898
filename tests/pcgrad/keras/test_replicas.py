"""Two replicas train as one process does on the whole batch.

Logical devices must be set up before TensorFlow starts, and the collective operations of two
strategies in one process get into each other's way, hence the processes.
"""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from distribution_page import page_blocks, run_block
from pcgrad import PCGrad
from pcgrad.keras import MultiTaskModel
from replica_means import (
    averaged,
    error_of_one_number,
    packed_and_not,
    trained_on_numbers,
    trained_on_sequences,
)
from replica_traffic import expected_traffic, traffic
from replica_training import (
    ROWS,
    assert_same_history,
    assert_same_steps,
    fit,
    fitted_by,
    loop,
    own_fit,
    probed,
)

pytestmark = pytest.mark.long


def in_new_process(function: Callable[[], Any]) -> Any:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as process:
        return process.submit(function).result()


def make_two_devices() -> None:
    (cpu,) = tf.config.list_physical_devices("CPU")
    devices = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, devices)


def trained_on_two_replicas() -> dict[str, Any]:
    make_two_devices()
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    return {
        "replicas": strategy.num_replicas_in_sync,
        "fit": fit(strategy, ROWS["no row"]),
        "own_fit": own_fit(strategy, ROWS["one row"]),
        "loop": loop(strategy, ROWS["one row"]),
        "traffic": traffic(strategy),
        "error": error_without_step(strategy),
        "nothing_shared": update_without_shared_variables(strategy),
        "sequences": trained_on_sequences(strategy),
        "averaged": averaged(strategy, by_fit=False),
        "packed": packed_and_not(strategy),
        "numbers": trained_on_numbers(strategy),
        "one_number": error_of_one_number(strategy),
        "every": error_of_steps_between(strategy),
        "probes": probed(strategy),
        "methods": fitted_by(strategy),
    }


def update_without_shared_variables(strategy: tf.distribute.Strategy) -> list[float]:
    with strategy.scope():
        variables = [tf.Variable(2.0), tf.Variable(3.0)]
    surgery = PCGrad()

    @tf.function
    def step() -> list[tf.Tensor]:
        with tf.GradientTape(persistent=True) as tape:
            losses = [tf.square(variable) for variable in variables]
        return surgery.pc_backward(tape, losses, variables, step=0)

    found = strategy.run(step)
    return [float(strategy.experimental_local_results(one)[0]) for one in found]


def error_without_step(strategy: tf.distribute.Strategy) -> str:
    """The message for a loop of one's own that leaves the counting of steps to PCGrad."""
    with strategy.scope():
        variable = tf.Variable([1.0, 2.0])
    surgery = PCGrad()

    def step() -> None:
        with tf.GradientTape(persistent=True) as tape:
            losses = [tf.reduce_sum(variable), -tf.reduce_sum(variable)]
        surgery.pc_backward(tape, losses, [variable])

    try:
        strategy.run(tf.function(step))
    except ValueError as error:
        return str(error)
    return ""


def error_of_steps_between(strategy: tf.distribute.Strategy) -> str:
    """The message for a Gram matrix that is not taken in every step."""
    with strategy.scope():
        inputs = keras.Input((2,))
        model = MultiTaskModel(inputs, {task: keras.layers.Dense(1)(inputs) for task in "ab"})
        try:
            model.compile("sgd", {"a": "mse", "b": "mse"}, surgery=PCGrad(), surgery_every=3)
        except ValueError as error:
            return str(error)
    return ""


def what_the_page_trains() -> dict[str, Any]:
    """Runs the Python blocks of the documentation page one after the other."""
    make_two_devices()
    namespace: dict[str, Any] = {}
    for block in page_blocks():
        run_block(block, namespace)
    return {
        "replicas": namespace["strategy"].num_replicas_in_sync,
        "steps": int(namespace["optimizer"].iterations.numpy()),
        "weights": namespace["model"].get_weights(),
    }


@pytest.fixture(scope="module")
def on_two_replicas() -> dict[str, Any]:
    return in_new_process(trained_on_two_replicas)


@pytest.fixture(scope="module")
def fitted_on_one() -> tuple[Any, dict[str, list[float]]]:
    return fit(tf.distribute.get_strategy(), ROWS["no row"])


def test_the_steps_of_fit_are_those_of_whole_batches(on_two_replicas, fitted_on_one):
    assert on_two_replicas["replicas"] == 2
    assert_same_steps(on_two_replicas["fit"][0], fitted_on_one[0], 1e-12)


def test_methods_see_whole_batches(on_two_replicas):
    for method, wanted in fitted_by(tf.distribute.get_strategy()).items():
        # The sums over replicas, of the losses and of the products at features, are in float32.
        assert_same_steps(on_two_replicas["methods"][method], wanted, 1e-6)


def test_probes_are_those_of_one_replica(on_two_replicas):
    """The chunks are spread over the replicas, five over two; each is whole."""
    wanted = probed(tf.distribute.get_strategy())
    assert len(on_two_replicas["probes"]) == len(wanted) > 1
    for one, other in zip(on_two_replicas["probes"], wanted, strict=True):
        for name, value in other.items():
            np.testing.assert_allclose(one[name], value, rtol=1e-7, atol=1e-7, err_msg=name)


def test_the_steps_of_the_loop_are_those_of_whole_batches(on_two_replicas):
    wanted = loop(tf.distribute.get_strategy(), ROWS["one row"])
    assert_same_steps(on_two_replicas["loop"], wanted, 1e-12)


def test_the_reported_losses_and_conflicts_are_those_of_whole_batches(
    on_two_replicas, fitted_on_one
):
    assert_same_history(on_two_replicas["fit"][1], fitted_on_one[1])


def test_distributed_fit_trains_as_fit_does_on_one_replica(on_two_replicas):
    one = tf.distribute.get_strategy()
    steps, history = fit(one, ROWS["one row"])
    for found_steps, found_history in (on_two_replicas["own_fit"], own_fit(one, ROWS["one row"])):
        assert_same_steps(found_steps, steps, 1e-12)
        assert_same_history(found_history, history)


def test_means_over_positions_and_weights_are_those_of_whole_batches(on_two_replicas):
    variables, losses = on_two_replicas["sequences"]
    wanted, wanted_losses = trained_on_sequences(tf.distribute.get_strategy())
    # Keras adds 1e-7 to the number of positions that are not masked.
    np.testing.assert_allclose(losses, wanted_losses, rtol=1e-6)
    for variable, expected in zip(variables, wanted, strict=True):
        np.testing.assert_allclose(variable, expected, rtol=1e-6, atol=1e-7)


def test_one_number_or_parts_of_rows_are_those_of_whole_batches(on_two_replicas):
    """Weighted by a variable that changes; metrics, too, and those of validation."""
    variables, history = on_two_replicas["numbers"]
    wanted, wanted_history = trained_on_numbers(tf.distribute.get_strategy())
    for variable, expected in zip(variables, wanted, strict=True):
        np.testing.assert_allclose(variable, expected, rtol=0, atol=1e-12)
    assert_same_history(history, wanted_history)


def test_a_gram_matrix_now_and_then_is_refused(on_two_replicas):
    assert on_two_replicas["every"].startswith("`surgery_every` is 3: on several replicas, here 2")


def test_one_number_that_is_neither_a_mean_nor_a_sum(on_two_replicas):
    message = on_two_replicas["one_number"]
    assert "the loss of task 'b' returns one number" in message
    assert "one value for each row" in message


def test_distributed_fit_ends_with_the_moving_averages(on_two_replicas):
    wanted = averaged(tf.distribute.get_strategy(), by_fit=True)
    for variable, expected in zip(on_two_replicas["averaged"], wanted, strict=True):
        np.testing.assert_allclose(variable, expected, rtol=0, atol=1e-12)


def test_packed_gradients_are_compared_globally(on_two_replicas):
    packed, direct = on_two_replicas["packed"]
    # By hand: (3, 1) + 3/13 (-2, 3), and (-2, 3) + 3/10 (3, 1).
    np.testing.assert_allclose(direct, [3 - 6 / 13 - 2 + 0.9, 1 + 9 / 13 + 3 + 0.3], rtol=1e-6)
    np.testing.assert_allclose(packed, direct, rtol=1e-6)


def test_steps_cannot_be_counted_by_each_replica(on_two_replicas):
    assert "`step`" in on_two_replicas["error"]
    assert "replicas" in on_two_replicas["error"]


def test_what_a_replica_sends(on_two_replicas):
    """T·D numbers to compare the task gradients, D and the heads' to complete the update."""
    assert on_two_replicas["traffic"] == expected_traffic()


def test_the_blocks_of_the_documentation_run_on_two_replicas():
    page = in_new_process(what_the_page_trains)
    assert page["replicas"] == 2
    assert page["steps"] == 4  # 100 rows by 32
    assert all(np.isfinite(weight).all() for weight in page["weights"])


def test_a_model_without_shared_variables(on_two_replicas):
    assert on_two_replicas["nothing_shared"] == [4.0, 6.0]
