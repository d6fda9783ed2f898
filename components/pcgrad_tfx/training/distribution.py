"""On which replicas the Trainer trains: those of this machine, or of the workers in TF_CONFIG."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator

import tensorflow as tf

# Names the accelerator that was asked for, as `tfx-pcgrad compile --resources` sets it for a step.
ACCELERATOR_VARIABLE = "PCGRAD_TFX_ACCELERATOR"

_PARAMETER_SERVER = "ps"


def check_accelerator() -> None:
    """Refuses to train on CPUs while an accelerator is reserved, as TensorFlow does silently.

    Raises:
        ValueError: `PCGRAD_TFX_ACCELERATOR` names one, and TensorFlow sees none.
    """
    wanted = os.environ.get(ACCELERATOR_VARIABLE)
    if wanted and {device.device_type for device in tf.config.list_physical_devices()} <= {"CPU"}:
        raise ValueError(
            f"an accelerator ({wanted}) was asked for, but TensorFlow sees none; build the image "
            "with --build-arg GPU=1 (see Dockerfile), or take it out of --resources"
        )


def training_strategy() -> tf.distribute.Strategy:
    """Several workers if TF_CONFIG names them, else all GPUs of this machine.

    Returns:
        `MultiWorkerMirroredStrategy`, `MirroredStrategy`, or the default one.

    Raises:
        ValueError: TF_CONFIG is not JSON, names parameter servers, or TensorFlow cannot start
            collective operations any more.
    """
    given = os.environ.get("TF_CONFIG", "")
    try:
        cluster = json.loads(given or "{}").get("cluster", {})
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"TF_CONFIG is not the JSON of a cluster ({error}): {given[:100]!r}"
        ) from error
    if cluster.get(_PARAMETER_SERVER):
        raise ValueError(
            "TF_CONFIG names parameter servers, whose workers step each by itself; gradient "
            "surgery compares the tasks' gradients of a whole batch: name workers only"
        )
    workers = [*cluster.get("chief", []), *cluster.get("worker", [])]
    if len(workers) > 1:
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except RuntimeError as error:
            raise ValueError(
                f"{error} TF_CONFIG names {len(workers)} workers: run the Trainer of each in a "
                "process of its own"
            ) from error
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    has_chief = "chief" in resolver.cluster_spec().jobs
    first = "chief" if has_chief else "worker"
    return resolver.task_type == first and resolver.task_id == 0


@contextlib.contextmanager
def output_folders(strategy: tf.distribute.Strategy, *folders: str) -> Iterator[tuple[str, ...]]:
    """Where this process writes: what all workers must save, but the chief, goes to nowhere.

    Args:
        strategy: That of the training.
        *folders: Of the chief.

    Yields:
        The folders themselves, or temporary ones that are deleted in the end.
    """
    if is_chief(strategy):
        yield folders
    else:
        with tempfile.TemporaryDirectory() as temporary:
            yield tuple(os.path.join(temporary, str(number)) for number in range(len(folders)))


def wait_for_workers(strategy: tf.distribute.Strategy) -> None:
    """Returns when all workers have come so far."""

    def together() -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.ones([]))

    if strategy.num_replicas_in_sync > 1:
        strategy.run(tf.function(together))


@contextlib.contextmanager
def lost_workers_named(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Says what to do when another worker has gone, which TensorFlow reports as a lost heartbeat.

    Raises:
        RuntimeError: Another worker has gone.
    """
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
        if strategy.num_replicas_in_sync == 1 or strategy.cluster_resolver is None:
            raise
        raise RuntimeError(
            "another worker has stopped, or cannot be reached any more; start all workers again: "
            "training goes on after the last complete epoch"
        ) from error
