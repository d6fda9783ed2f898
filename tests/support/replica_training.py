"""One training on one replica and on several, and the variables after each of its steps.

The loop is the one that docs/distribution.md gives. Everything is in float64: what remains of a
difference is a mistake, not rounding.
"""

import contextlib
import json
import os
import pathlib
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from distribution_page import documented_train_step
from pcgrad import PCGrad, Weighting, make_weighting
from pcgrad.keras import (
    ConflictMonitor,
    ConflictProbe,
    MultiTaskModel,
    distributed_fit,
    replica_batches,
)
from replica_traffic import traffic

TASKS = "abc"
BATCH, EPOCHS = 8, 4  # five steps in each epoch
# Of the last batch's rows one replica of two gets four and the other one; or all, and the other
# none.
ROWS = {"one row": 37, "no row": 35}
AREAS, WIDTH = 6, 2
SURGERY = PCGrad("sum", seed=3)
STATEFUL = ("famo", "gradnorm")

Variables = list[np.ndarray]


def data(rows: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Labels missing unevenly: the first half of a batch is one replica's share."""
    rng = np.random.default_rng(0)
    x = {"numeric": rng.normal(size=(rows, 3)), "area": rng.integers(0, AREAS, size=rows)}
    y = {task: rng.normal(size=(rows, 1)) for task in TASKS}
    y["a"][rng.uniform(size=rows) < 0.5] = np.nan
    y["b"][:4] = np.nan  # no label at all on one replica
    y["c"][8:16] = np.nan  # nor on both
    return x, y


@contextlib.contextmanager
def float64() -> Iterator[None]:
    """Variables, data and losses in float64."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


def network(regularizer: str | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The inputs and outputs of a network with an embedding, a shared layer and a head per task."""
    keras.utils.set_random_seed(0)
    numeric = keras.Input((3,), name="numeric")
    area = keras.Input((), dtype="int64", name="area")
    joined = keras.layers.Concatenate()([numeric, keras.layers.Embedding(AREAS, WIDTH)(area)])
    trunk = keras.layers.Dense(5, activation="tanh", kernel_regularizer=regularizer)(joined)
    return {"numeric": numeric, "area": area}, {
        task: keras.layers.Dense(1, name=task)(trunk) for task in TASKS
    }


def values(model: keras.Model) -> Variables:
    return [np.array(variable) for variable in model.trainable_variables]


def fit(
    strategy: tf.distribute.Strategy,
    rows: int,
    surgery: Weighting | None = SURGERY,
    gramian: str = "tape",
) -> tuple[list[Variables], dict[str, Any]]:
    """Trains by `fit`. Adam would hide errors of scale.

    Returns:
        The variables after each step, and the history.
    """
    with float64():
        model = compiled(strategy, surgery, gramian)
        steps: list[Variables] = []
        x, y = data(rows)
        history = model.fit(
            x,
            y,
            batch_size=BATCH,
            epochs=EPOCHS,
            shuffle=False,
            verbose=0,
            validation_data=(x, y),
            callbacks=[after_step(model, steps)],
        )
    return steps, history.history


def fitted_by(strategy: tf.distribute.Strategy) -> dict[str, list[Variables]]:
    """The variables after each step, by methods that look at the losses or at features."""
    rows = ROWS["one row"]
    by_losses = {name: fit(strategy, rows, make_weighting(name))[0] for name in STATEFUL}
    return {**by_losses, "features": fit(strategy, rows, gramian="features")[0]}


def probed(strategy: tf.distribute.Strategy) -> list[dict[str, Any]]:
    """The probes of a training by `fit`."""
    with float64():
        model = compiled(strategy, SURGERY)
        x, y = data(ROWS["no row"])
        probe = ConflictProbe(x, y, chunks=5, chunk_rows=7)
        model.fit(x, y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0, callbacks=[probe])
    return [vars(one) for one in probe.probes]


def compiled(
    strategy: tf.distribute.Strategy, surgery: Weighting | None, gramian: str = "tape"
) -> MultiTaskModel:
    """The model that `fit` and `distributed_fit` train."""
    with strategy.scope():
        model = MultiTaskModel(*network("l2"))
        model.compile(
            keras.optimizers.SGD(0.1),
            loss=dict.fromkeys(TASKS, "mse"),
            loss_weights={"a": 1.0, "b": 2.0, "c": 0.5},
            metrics={"b": ["mae"]},
            surgery=surgery,
            gramian=gramian,
            jit_compile=False,
        )
        model.optimizer.build(model.trainable_variables)
    return model


def after_step(model: MultiTaskModel, steps: list[Variables]) -> keras.callbacks.Callback:
    """Keeps the variables after each step."""
    return keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: steps.append(values(model))
    )


def own_fit(
    strategy: tf.distribute.Strategy,
    rows: int,
    surgery: Weighting | None = SURGERY,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> tuple[list[Variables], dict[str, Any]]:
    """Trains by `distributed_fit`.

    Returns:
        The variables after each step, and the history.
    """
    with float64():
        model = compiled(strategy, surgery)
        steps: list[Variables] = []
        batches = tf.data.Dataset.from_tensor_slices(data(rows)).batch(BATCH)
        history = distributed_fit(
            model,
            strategy,
            lambda context: replica_batches(batches.repeat(), context),
            epochs=EPOCHS,
            steps_per_epoch=len(batches),
            validation=lambda context: replica_batches(batches, context),
            validation_steps=len(batches),
            callbacks=[after_step(model, steps), *callbacks],
        )
    return steps, history.history


def loop(
    strategy: tf.distribute.Strategy, rows: int, surgery: PCGrad | None = None
) -> list[Variables]:
    """Trains by the documented loop.

    Returns:
        The variables after each step.
    """
    with float64():
        with strategy.scope():
            model = keras.Model(*network())
            optimizer = keras.optimizers.SGD(0.1)
            optimizer.build(model.trainable_variables)
        surgery = surgery or SURGERY
        train_step = documented_train_step()(strategy, model, optimizer, surgery)
        batches = tf.data.Dataset.from_tensor_slices(data(rows)).batch(BATCH)
        distributed = strategy.experimental_distribute_dataset(batches)
        steps = []
        for _ in range(EPOCHS):
            for batch in distributed:
                train_step(*batch)
                steps.append(values(model))
    return steps


def keras_fit(strategy: tf.distribute.Strategy) -> None:
    """What Keras can do itself: `fit` of a plain model."""
    with strategy.scope():
        model = keras.Model(*network())
        model.compile(keras.optimizers.SGD(0.1), loss=dict.fromkeys(TASKS, "mse"))
    x, y = data(BATCH)
    y = {task: np.nan_to_num(labels) for task, labels in y.items()}
    model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)


def assert_same_steps(found: list[Variables], wanted: list[Variables], tolerance: float) -> None:
    """All variables agree after each step, and they moved."""
    assert len(found) == len(wanted) == 20
    for step, (one, other) in enumerate(zip(found, wanted, strict=True)):
        for variable, expected in zip(one, other, strict=True):
            np.testing.assert_allclose(variable, expected, 0, tolerance, err_msg=f"step {step}")
    assert all(np.any(first != last) for first, last in zip(wanted[0], wanted[-1], strict=True))


def assert_same_history(found: dict[str, list[float]], wanted: dict[str, list[float]]) -> None:
    """All reported values agree."""
    assert max(wanted["conflicting_pairs"]) > 0
    assert found.keys() == wanted.keys()
    for name, expected in wanted.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-6, err_msg=name)


def error_of(function: Callable[[], Any]) -> str:
    """The kind of error that a function raises, without the values in the message; else empty."""
    try:
        function()
    except Exception as error:
        return f"{type(error).__name__}: {error}".partition("(")[0]
    return ""


def work(result: pathlib.Path) -> None:
    """Trains as one of several worker processes; what comes out is written to a file."""
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    tf.random.set_seed(strategy.cluster_resolver.task_id)
    drawn = PCGrad("sum")
    with strategy.scope():
        found: dict[str, Any] = {
            "replicas": strategy.num_replicas_in_sync,
            "loop": loop(strategy, ROWS["no row"]),
            "drawn_seed": drawn.seed,
            "loop_with_drawn_seed": loop(strategy, ROWS["no row"], drawn),
            "traffic": traffic(strategy),
            "keras_fit_error": error_of(lambda: keras_fit(strategy)),
        }
    found["own_fit"] = own_fit(strategy, ROWS["no row"])
    found["plain"] = own_fit(strategy, ROWS["no row"], surgery=None)
    # As in our Trainer: what writes is with one worker only.
    is_first = strategy.cluster_resolver.task_id == 0
    monitors = [ConflictMonitor(str(result.parent / "logs"))] if is_first else []
    found["monitored"] = own_fit(strategy, ROWS["no row"], None, monitors)
    fits: list[Any] = []
    found["fit_error"] = error_of(lambda: fits.append(fit(strategy, ROWS["no row"])))
    found["fit"] = fits
    result.write_bytes(pickle.dumps(found))


def run_workers(count: int, folder: pathlib.Path, timeout: float) -> list[dict[str, Any]]:
    """Runs worker processes that talk over the loopback interface.

    A worker waits for the others without end: if one fails, or if time is up, all are killed.

    Returns:
        What each worker found.

    Raises:
        RuntimeError: A worker failed or did not finish in time.
    """
    with contextlib.ExitStack() as sockets:
        bound = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for one in bound:
            one.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in bound]
    with contextlib.ExitStack() as stack:
        workers = []
        for index in range(count):
            task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            environment = {
                **os.environ,
                "TF_CONFIG": json.dumps(task),
                "CUDA_VISIBLE_DEVICES": "-1",
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            }
            log = stack.enter_context((folder / f"{index}.log").open("w"))
            worker = subprocess.Popen(
                [sys.executable, __file__, str(folder / f"{index}.pickle")],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            stack.callback(worker.wait)
            stack.callback(worker.kill)
            workers.append(worker)
        end = time.monotonic() + timeout
        codes = [worker.poll() for worker in workers]
        while None in codes and not any(codes) and time.monotonic() < end:
            time.sleep(0.2)
            codes = [worker.poll() for worker in workers]
    if any(code != 0 for code in codes):
        logs = "\n".join((folder / f"{index}.log").read_text()[-5000:] for index in range(count))
        raise RuntimeError(f"workers ended with {codes} (None: killed after {timeout} s)\n{logs}")
    return [pickle.loads((folder / f"{index}.pickle").read_bytes()) for index in range(count)]


if __name__ == "__main__":
    work(pathlib.Path(sys.argv[1]))
