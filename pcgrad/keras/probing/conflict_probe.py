"""A callback that measures the tasks' conflict on rows of its own, at fixed weights."""

from __future__ import annotations

import dataclasses
import importlib.util
import io
import math
import posixpath
import zipfile
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pcgrad.gradient_probe import GradientProbe
from pcgrad.keras.model import MultiTaskModel
from pcgrad.keras.optimizers import steps_taken
from pcgrad.keras.probing.probe_losses import probe_losses
from pcgrad.keras.probing.probe_rows import ProbeRows
from pcgrad.probe_statistics import MIN_CHUNKS, Probe
from pcgrad.probe_summary import summarize_probes

PROBES_FILE = "probes.npz"

# Of a probe: enough for its own variance, and more small ones, so that the rows are enough.
_CHUNKS, _MOST_CHUNKS, _ROWS = 16, 32, 2048


class ConflictProbe(keras.callbacks.Callback):
    """Measures, while a model is trained, whether its tasks pull its shared weights apart.

    The cosine of two tasks' gradients on one batch is not that of the tasks: noise shrinks it, and
    rows that the tasks share may even turn its sign. So this callback stops at some steps of the
    training, takes chunks of training rows, and estimates from pairs of different chunks what the
    gradients on all rows would give; see `pcgrad.summarize_probes`. Dropout is off, batch
    normalization as in inference.

    The n-th probe of P is at step N(n/P)² of the N planned ones: most changes at the beginning, and
    a training that is stopped at a quarter has half of the probes. As long as N is not known, as in
    the first epoch of a generator, probes are at steps 0, 1, 4, 9 and so on.

    For a `MultiTaskModel` and any other compiled `keras.Model` with several outputs, with surgery
    or without. The training is not changed, to the bit. After each epoch its logs get
    `<task>_progress_kept` (the ledger's `kept` so far), and, with `log_dir`, TensorBoard the
    scalars `progress_kept/<task>` and `probe_cosine/<task>/<task>`.

        probe = pcgrad.keras.ConflictProbe(x, y)
        model.fit(x, y, callbacks=[probe])
        print(probe.summary()["tasks"]["price"]["kept"])

    Args:
        x: Features of the training rows: arrays or tensors in any structure, as for `fit`; or a
            `tf.data.Dataset` of batches (features, labels) or (features, labels, weights), of which
            the first 65,536 rows are kept in memory. Give one of its own: to go through a shuffled
            dataset changes the order in which the training sees it.
        y: Labels, likewise; not with a dataset.
        sample_weight: Weights of the rows, likewise.
        probes: How many in a training of the planned length.
        chunks: Chunks of a probe, four at least; by default 16, and up to 32 where they are small.
        chunk_rows: Rows of a chunk; by default those of the dataset's first batch, at most 128, or
            32. With the batch size of the training `opposed` tells what surgery sees. Fewer where
            there are too few rows for all chunks.
        seed: Of the rows that are drawn.
        log_dir: A folder, local or remote, for TensorBoard and the probes themselves, which a
            resumed training goes on with.

    Raises:
        ValueError: There are too few rows, or a number is out of its range.
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        probes: int = 48,
        chunks: int | None = None,
        chunk_rows: int | None = None,
        seed: int = 0,
        log_dir: str | None = None,
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("probes", probes, 1),
            ("chunks", chunks, MIN_CHUNKS),
            ("chunk_rows", chunk_rows, 1),
        ):
            if value is not None and value < least:
                raise ValueError(f"`{name}` is {value}: pass {least} or more")
        self._rows = ProbeRows(x, y, sample_weight)
        size = chunk_rows or min(self._rows.batch_rows, _ROWS // _CHUNKS)
        usual = min(_MOST_CHUNKS, max(_CHUNKS, _ROWS // size))
        count = chunks or min(usual, max(MIN_CHUNKS, len(self._rows)))
        self._chunk_rows = min(size, len(self._rows) // count)
        if not self._chunk_rows:
            raise ValueError(
                f"there are {len(self._rows)} rows for {count} chunks: pass more rows, or fewer "
                "`chunks`"
            )
        # Each chunk comes from rows of its own in all probes, so that the variance of sums over
        # them is known, whatever these rows have in common.
        order = np.random.default_rng(seed).permutation(len(self._rows))
        self._blocks = np.array_split(order, count)
        self._wanted = probes
        self._seed = seed
        self._log_dir = None if log_dir is None else str(log_dir)
        self._writer: Any = None
        self._losses: Any = None
        self._loss_weights: Mapping[str, Any] = {}
        self._probe: GradientProbe | None = None
        self._found: list[Probe] = []
        self._tasks: tuple[str, ...] = ()
        self._pace = 1.0
        self._epoch_start = self._next_step = self._next_probe = 0

    @property
    def probes(self) -> list[Probe]:
        """Those that count, in the order of their steps."""
        return list(self._found)

    def summary(self) -> dict[str, Any]:
        """What the probes so far say; see `pcgrad.summarize_probes`."""
        return summarize_probes(self._found, self._tasks)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begins, or goes on with the probes of an interrupted training.

        Raises:
            ValueError: The model has no losses for several outputs.
        """
        self._losses, self._loss_weights = probe_losses(self.model)
        self._probe = None
        self._found = []
        optimizer = getattr(self.model, "optimizer", None)
        is_begun = optimizer is not None and optimizer.built
        self._next_step = int(steps_taken(optimizer).numpy()) if is_begun else 0
        self._pace = 1.0
        self._plan(self.params.get("steps"))
        self._next_probe = self._next_step
        if self._log_dir is not None:
            tf.io.gfile.makedirs(self._log_dir)
            if self._next_step:
                self._resume()
            if importlib.util.find_spec("tensorboard"):
                self._writer = tf.summary.create_file_writer(self._log_dir)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts the steps."""
        self._epoch_start = self._next_step

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Probes, if it is time to."""
        step = self._epoch_start + batch
        # A subclassed model has no weights before its first step.
        if step >= self._next_probe and self.model.built:
            self._take(step)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts the steps."""
        # With `steps_per_execution` the last call of an epoch may be for fewer steps.
        steps = min(batch + 1, self.params.get("steps") or math.inf)
        self._next_step = self._epoch_start + int(steps)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds to the logs what is known so far."""
        self._plan(self.params.get("steps") or self._next_step - self._epoch_start)
        summary = self.summary()
        if not summary:
            return
        kept = {
            task: math.nan if found["kept"]["value"] is None else found["kept"]["value"]
            for task, found in summary["tasks"].items()
        }
        if logs is not None:
            logs.update({f"{task}_progress_kept": value for task, value in kept.items()})
        if self._writer:
            with self._writer.as_default(step=epoch):
                for task, value in kept.items():
                    tf.summary.scalar(f"progress_kept/{task}", value)
                for pair in summary["pairs"]:
                    name = "/".join(pair["tasks"])
                    if pair["cosine"]["value"] is not None:
                        tf.summary.scalar(f"probe_cosine/{name}", pair["cosine"]["value"])
            self._writer.flush()
        if self._log_dir is not None:
            self._save()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the log files."""
        if self._writer:
            self._writer.close()
            self._writer = None

    def _take(self, step: int) -> None:
        if self._probe is None:
            is_ours = isinstance(self.model, MultiTaskModel)
            self._probe = GradientProbe(
                self._losses,
                self.model.trainable_weights,
                self.model.compiled_training.weighting if is_ours else None,
                bool(self.model.jit_compile),
            )
        # A function of the step, so that a resumed training draws what another one draws.
        generator = np.random.default_rng([self._seed, step])
        chunks = self._rows.draw(generator, self._blocks, self._chunk_rows)
        weights = {task: float(weight) for task, weight in self._loss_weights.items()}
        with self.model.distribute_strategy.scope():
            probe = self._probe(chunks, step, self._chunk_rows, weights)
        # After a restart the memory may be enough for another number of chunks.
        self._found = [one for one in self._found if one.chunks == probe.chunks] + [probe]
        self._tasks = self._probe.tasks
        self._set_next()

    def _plan(self, steps: int | None) -> None:
        """Spaces the probes for a training whose epochs have so many steps."""
        if steps:
            self._pace = self.params.get("epochs", 1) * steps / self._wanted**2

    def _set_next(self) -> None:
        """The next probe is at the next of the steps start + pace n²."""
        start, last = self._found[0].step, self._found[-1].step
        # The one that was taken may be late by a step, with rounding a little early.
        count = math.floor(math.sqrt((last - start) / self._pace) + 1e-6) + 1
        self._next_probe = max(last + 1, start + math.ceil(self._pace * count**2))

    def _save(self) -> None:
        file = io.BytesIO()
        columns = {
            field.name: np.stack([getattr(probe, field.name) for probe in self._found])
            for field in dataclasses.fields(Probe)
        }
        # A probe may have taken fewer, for want of memory.
        np.savez(file, tasks=np.array(self._tasks), planned=len(self._blocks), **columns)
        with tf.io.gfile.GFile(self._path, "wb") as written:
            written.write(file.getvalue())

    def _resume(self) -> None:
        """Reads the probes of the steps before, unless they are cut off or of another kind."""
        if not tf.io.gfile.exists(self._path):
            return
        with tf.io.gfile.GFile(self._path, "rb") as saved:
            content = io.BytesIO(saved.read())
        try:
            found = np.load(content)
            columns = {field.name: found[field.name] for field in dataclasses.fields(Probe)}
            tasks, planned = tuple(map(str, found["tasks"])), int(found["planned"])
        except (KeyError, ValueError, EOFError, zipfile.BadZipFile):
            return
        if planned != len(self._blocks) or {*columns["chunk_rows"]} != {self._chunk_rows}:
            return
        self._tasks = tasks
        # Numbers as Python has them: they go into logs.
        probes = [
            Probe(**{name: one if np.ndim(one) else one.item() for name, one in row})
            for row in (
                zip(columns, values, strict=True) for values in zip(*columns.values(), strict=True)
            )
        ]
        self._found = [probe for probe in probes if probe.step < self._next_step]
        if self._found:
            self._set_next()

    @property
    def _path(self) -> str:
        assert self._log_dir is not None
        return posixpath.join(self._log_dir, PROBES_FILE)
