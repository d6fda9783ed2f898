"""Probing the tasks' gradients at fixed weights, in any training loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from pcgrad.probe_statistics import MIN_CHUNKS, Array, Probe, probe_statistics
from pcgrad.replicas import on_its_own
from pcgrad.task_gradients import Gradient, differentiate, named_losses, value_of
from pcgrad.weightings.weighting import Weighting, needs_gramian

# Of all chunks' gradients; where they would take more, fewer chunks are taken.
_MAX_BYTES = 1 << 30


class GradientProbe:
    """Estimates the inner products of the tasks' gradients without bias, by chunks of rows.

    It changes nothing: neither weights nor the state of random generators. For `fit` there is
    `pcgrad.keras.ConflictProbe`, which makes and calls one of these. In a loop of one's own:

        probe = pcgrad.GradientProbe(losses_of, model.trainable_variables)
        found = []
        for step, batch in enumerate(batches):
            if step % 100 == 0:
                found.append(probe(chunks_of_rows(), step, chunk_rows))
            train_step(batch)
        print(pcgrad.summarize_probes(found, probe.tasks))

    A probe holds the shared variables' gradients of all its chunks and tasks in memory, up to one
    GiB; then it takes fewer chunks, four at least. Embedding tables take part with the rows that
    the chunks touch.

    Args:
        losses: From a chunk to one scalar loss for each task, by name; the mean over its rows, as
            in training, but with dropout off. Traced once as a `tf.function`.
        variables: To differentiate by; those that only one task reaches do not count. If no two
            tasks share one, there is nothing to tell.
        weighting: Of the training: what it makes of each chunk's gradients is judged, too, if it
            says by an attribute, `is_pure = True`, that calling it changes nothing (`PCGrad` and
            `PPCGrad` do).
        jit_compile: Whether XLA compiles the gradients.

    Attributes:
        tasks: The names of the tasks, known after the first call.
    """

    def __init__(
        self,
        losses: Callable[[Any], Mapping[str, tf.Tensor]],
        variables: Sequence[tf.Variable],
        weighting: Weighting | None = None,
        jit_compile: bool = False,
    ) -> None:
        self.tasks: tuple[str, ...] = ()
        # The same in each probe, though sparse gradients differ in size.
        self._most_chunks: int | None = None
        self._losses = losses
        self._variables = list(variables)
        is_judged = weighting is not None and needs_gramian(weighting)
        self._weighting = weighting if is_judged and getattr(weighting, "is_pure", False) else None
        self._gradients = tf.function(
            self._gradients_of_chunk,
            jit_compile=jit_compile,
            autograph=False,
            reduce_retracing=True,
        )

    def __call__(
        self,
        chunks: Sequence[Any],
        step: int,
        chunk_rows: int,
        loss_weights: Mapping[str, float] | None = None,
    ) -> Probe:
        """Probes the current weights.

        Args:
            chunks: What `losses` takes, four at least, as many in each probe: rows drawn at random,
                none of them twice, the same number in each. Where there are not many rows, draw
                chunk k of all probes from the same part of them: intervals take chunks of
                different k as independent.
            step: Number of the training step that comes next.
            chunk_rows: Rows of a chunk.
            loss_weights: By task, 1 where missing.

        Raises:
            ValueError: There are fewer than four chunks.
        """
        if len(chunks) < MIN_CHUNKS:
            raise ValueError(f"`chunks` are {len(chunks)}: pass at least {MIN_CHUNKS}")
        parts: list[_ChunkGradients] = []
        for group in self._groups(chunks):
            parts += self._of_group(group)
            if self._most_chunks is None:
                self._most_chunks = max(MIN_CHUNKS, _MAX_BYTES // parts[0].size)
            if len(parts) >= self._most_chunks:
                break
        products = _inner_products(parts)
        given = loss_weights or {}
        weights = np.array([float(given.get(task, 1.0)) for task in self.tasks])
        update_weights = self._update_weights(products, weights, step)
        return probe_statistics(products, weights, update_weights, step, chunk_rows)

    def _groups(self, chunks: Sequence[Any]) -> list[Sequence[Any]]:
        """Chunks that are taken at once: one on each replica of this process."""
        size = len(tf.distribute.get_strategy().extended.worker_devices) if _is_distributed() else 1
        return [chunks[first : first + size] for first in range(0, len(chunks), size)]

    def _of_group(self, chunks: Sequence[Any]) -> list[_ChunkGradients]:
        if not _is_distributed():
            return [_ChunkGradients(*self._gradients(chunk)) for chunk in chunks]
        strategy = tf.distribute.get_strategy()
        # A last group may be smaller: what the other replicas do is thrown away.
        values = strategy.experimental_distribute_values_from_function(
            lambda context: chunks[context.replica_id_in_sync_group % len(chunks)]
        )
        found = strategy.run(self._gradients, args=(values,))
        local = map(strategy.experimental_local_results, tf.nest.flatten(found))
        return [
            _ChunkGradients(*tf.nest.pack_sequence_as(found, values))
            for values in list(zip(*local, strict=True))[: len(chunks)]
        ]

    def _gradients_of_chunk(self, chunk: Any) -> tuple[Any, ...]:
        # What a replica does is about its own chunk, no part of a global batch.
        with on_its_own():
            with tf.GradientTape(persistent=True) as tape:
                losses = self._losses(chunk)
            named, variables = named_losses(losses, self._variables)
            self.tasks = tuple(named)
            by_task = [differentiate(tape, loss, variables) for loss in named.values()]
        shared = [
            (variable, column)
            for variable, column in zip(variables, zip(*by_task, strict=True), strict=True)
            if sum(gradient is not None for gradient in column) > 1
        ]
        dense, sparse = [], []
        for variable, column in shared:
            if all(isinstance(one, tf.IndexedSlices) for one in column if one is not None):
                sparse.append(_rows(column))
            else:
                dense.append(_flat(column, variable))
        return tf.concat(dense, axis=1) if dense else tf.zeros([len(self.tasks), 0]), tuple(sparse)

    def _update_weights(self, products: Array, loss_weights: Array, step: int) -> Array | None:
        """What the weighting gives each chunk, where tasks without a conflict would get one."""
        if self._weighting is None:
            return None
        tasks = len(loss_weights)
        usual = np.mean(self._weighting(tf.eye(tasks, dtype=tf.float64), step))
        weights = np.full(products.shape[:2], np.nan)
        scale = np.outer(loss_weights, loss_weights)
        for k in range(len(products)):
            gramian = products[k, :, k, :] * scale
            if np.isfinite(gramian).all():
                weights[k] = np.asarray(self._weighting(tf.constant(gramian), step)) / usual
        return weights


@dataclasses.dataclass(frozen=True)
class _ChunkGradients:
    """The gradients of the T tasks on one chunk by the shared variables.

    Attributes:
        dense: [T, n].
        sparse: For each variable with sparse gradients: which task, which row, [m] each, and the
            values, [m, elements].
    """

    dense: tf.Tensor
    sparse: tuple[tuple[tf.Tensor, tf.Tensor, tf.Tensor], ...]

    @property
    def size(self) -> int:
        """In bytes."""
        tensors = [self.dense, *(values for *_, values in self.sparse)]
        return max(1, sum(int(tf.size(one)) * one.dtype.size for one in tensors))


def _flat(column: Sequence[Gradient | None], variable: tf.Variable) -> tf.Tensor:
    """[T, elements], zeros for a task that does not reach the variable."""
    size = value_of(variable).shape.num_elements()
    dtype = next(one.dtype for one in column if one is not None)
    dtype = tf.float64 if dtype == tf.float64 else tf.float32
    rows = [
        tf.zeros([size], dtype)
        if one is None
        else tf.cast(tf.reshape(tf.convert_to_tensor(one), [size]), dtype)
        for one in column
    ]
    return tf.stack(rows)


def _rows(column: Sequence[tf.IndexedSlices | None]) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    tasks, indices, values = [], [], []
    for task, one in enumerate(column):
        if one is not None:
            tasks.append(tf.fill(tf.shape(one.indices), task))
            indices.append(tf.cast(one.indices, tf.int64))
            flat = tf.reshape(one.values, [tf.size(one.indices), -1])
            values.append(tf.cast(flat, tf.float64 if flat.dtype == tf.float64 else tf.float32))
    return tf.concat(tasks, 0), tf.concat(indices, 0), tf.concat(values, 0)


def _inner_products(parts: Sequence[_ChunkGradients]) -> Array:
    """[K, T, K, T], float64."""
    chunks, tasks = len(parts), parts[0].dense.shape[0]
    rows = chunks * tasks
    dense = tf.concat([part.dense for part in parts], axis=0)
    products = tf.cast(tf.matmul(dense, dense, transpose_b=True), tf.float64)
    for of_variable in zip(*(part.sparse for part in parts), strict=True):
        owners = [task + tasks * chunk for chunk, (task, _, _) in enumerate(of_variable)]
        touched, places = tf.unique(tf.concat([indices for _, indices, _ in of_variable], 0))
        values = tf.concat([values for *_, values in of_variable], 0)
        # [rows, touched rows of the table, elements], repeated ones summed.
        at = tf.stack([tf.concat(owners, 0), places], axis=1)
        packed = tf.scatter_nd(at, values, [rows, tf.size(touched), values.shape[1]])
        packed = tf.reshape(packed, [rows, -1])
        products += tf.cast(tf.matmul(packed, packed, transpose_b=True), tf.float64)
    return products.numpy().reshape(chunks, tasks, chunks, tasks)


def _is_distributed() -> bool:
    """Whether variables have a copy on each replica, which only its own context can read."""
    return bool(tf.distribute.has_strategy())
