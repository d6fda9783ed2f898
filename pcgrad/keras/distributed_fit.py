"""Training under a `tf.distribute` strategy, on several machines too, where Keras's `fit` fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import keras
import tensorflow as tf

from pcgrad.keras.compiled_training import without_tensors
from pcgrad.keras.model import MultiTaskModel

DatasetFn: TypeAlias = Callable[[tf.distribute.InputContext], tf.data.Dataset]


def distributed_fit(
    model: MultiTaskModel,
    strategy: tf.distribute.Strategy,
    batches: DatasetFn,
    *,
    epochs: int,
    steps_per_epoch: int,
    initial_epoch: int = 0,
    validation: DatasetFn | None = None,
    validation_steps: int = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 0,
) -> keras.callbacks.History:
    """Trains as `fit` does, under any synchronous strategy.

    With Keras 3 on TensorFlow `fit` itself does not run under `MultiWorkerMirroredStrategy`. Every
    worker calls this function with the same arguments; callbacks that write belong to one worker
    only. A step of training sees a whole batch, of which each replica has a part, so the weights
    become what they become in one process. Of `compile`'s arguments `run_eagerly`, `jit_compile`
    and `steps_per_execution` are not regarded.

    Args:
        model: Built and compiled in the strategy's scope, its optimizer built.
        strategy: Mirrored or MultiWorkerMirrored.
        batches: Makes this process's input; see `replica_batches`. One element for each replica
            and step, `steps_per_epoch` steps for each epoch from `initial_epoch` on.
        epochs: Number after the last epoch.
        steps_per_epoch: Number of batches of an epoch.
        initial_epoch: Number of the first epoch.
        validation: Makes the input of validation, or None.
        validation_steps: Number of its batches.
        callbacks: As in `fit`.
        verbose: As in `fit`: 0, 1 or 2.

    Returns:
        The history, as from `fit`.
    """

    @tf.function
    def train_step(rest: Iterator[Any]) -> dict[str, tf.Tensor]:
        return _mean(strategy, strategy.run(model.train_step, args=(next(rest),)))

    @tf.function
    def test_step(rest: Iterator[Any]) -> None:
        strategy.run(model.test_step, args=(next(rest),))

    called = keras.callbacks.CallbackList(
        list(callbacks),
        add_history=True,
        add_progbar=verbose != 0,
        model=model,
        verbose=verbose,
        epochs=epochs,
        steps=steps_per_epoch,
    )
    model.stop_training = False
    rest = iter(strategy.distribute_datasets_from_function(batches))
    first = next(iter(strategy.distribute_datasets_from_function(batches)))
    part = tf.nest.map_structure(lambda one: strategy.experimental_local_results(one)[0], first)
    with strategy.scope():
        model.build_metrics(part)
    were_followed = model.follows_conflicts
    called.on_train_begin()
    # What replicas sum must be the same on all of them; a callback may be with one worker only.
    model.follows_conflicts = _on_any_worker(strategy, model.follows_conflicts)
    logs: dict[str, Any] = {}
    for epoch in range(initial_epoch, epochs):
        model.reset_metrics()
        called.on_epoch_begin(epoch)
        for step in range(steps_per_epoch):
            called.on_train_batch_begin(step)
            called.on_train_batch_end(step, without_tensors(train_step(rest)))
            if model.stop_training:
                break
        logs = without_tensors(model.get_metrics_result())
        if validation is not None:
            with model.evaluating():
                model.reset_metrics()
                called.on_test_begin()
                held_out = iter(strategy.distribute_datasets_from_function(validation))
                for step in range(validation_steps):
                    called.on_test_batch_begin(step)
                    test_step(held_out)
                    called.on_test_batch_end(step)
                found = without_tensors(model.get_metrics_result())
                called.on_test_end(found)
            logs |= {f"val_{name}": value for name, value in found.items()}
        called.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    if epochs > initial_epoch:
        model.optimizer.finalize_variable_values(model.trainable_weights)
    called.on_train_end(logs)
    model.follows_conflicts = were_followed
    return model.history


def replica_batches(
    batches: tf.data.Dataset, context: tf.distribute.InputContext
) -> tf.data.Dataset:
    """Cuts whole batches into the parts of this process's replicas.

    A batch of N rows becomes parts of ⌊N/R⌋ or ⌈N/R⌉ successive rows for R replicas; some have no
    row if N < R. (The sharding of `experimental_distribute_dataset` joins the rest of one epoch
    with the beginning of the next.)

    Args:
        batches: Tensors with N rows, in any structure; the same in every process.
        context: What `strategy.distribute_datasets_from_function` hands over.

    Returns:
        The parts, one element for each replica of this process and batch.
    """
    replicas = context.num_replicas_in_sync
    own = replicas // context.num_input_pipelines
    first = own * context.input_pipeline_id

    def parts(*batch: Any) -> tf.data.Dataset:
        def part(number: tf.Tensor) -> Any:
            def rows(values: tf.Tensor) -> tf.Tensor:
                size = tf.shape(values, tf.int64)[0]
                return values[size * number // replicas : size * (number + 1) // replicas]

            cut = tf.nest.map_structure(rows, batch)
            return cut if len(cut) > 1 else cut[0]

        return tf.data.Dataset.range(first, first + own).map(part)

    return batches if replicas == 1 else batches.flat_map(parts)


def _on_any_worker(strategy: tf.distribute.Strategy, value: bool) -> bool:
    @tf.function
    def count() -> tf.Tensor:
        own = strategy.run(lambda: tf.constant(float(value)))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, own, axis=None)

    return bool(count() > 0)


def _mean(strategy: tf.distribute.Strategy, logs: dict[str, Any]) -> dict[str, tf.Tensor]:
    """Over the replicas, each of which knows its own part."""
    return {
        name: strategy.reduce(tf.distribute.ReduceOp.MEAN, value, axis=None)
        for name, value in logs.items()
    }
