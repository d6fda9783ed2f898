"""The rule by which what `[training]` leaves open is chosen for the data."""

from __future__ import annotations

import math
from typing import TypeVar

from pcgrad_tfx.config.training_config import Training

AnyTraining = TypeVar("AnyTraining", bound=Training)

# Rows up to which a batch is so large, and beyond.
_BATCH_SIZES = ((2_000, 32), (8_000, 64), (64_000, 128))
_LARGE_BATCH = 256

# Early stopping ends most trainings before; the largest tables get the fewest epochs.
_STEPS = 12_000
_FEWEST_EPOCHS, _MOST_EPOCHS = 12, 100

_HIDDEN_UNITS = (256, 256)

# Positions are worth their weights where many rows lie in each interval.
_BINS = 16
_ROWS_OF_BINS = 2_000
_MOST_POSITIONS = 2_048

# Of fewer, the gradients by the layers' weights are made as fast as what takes their place.
_TASKS_BY_LAYER = 16


def with_choices(training: AnyTraining, rows: int, columns: int, tasks: int = 1) -> AnyTraining:
    """Chooses what is open.

    - `batch_size`: 32 rows below 2,000, 64 below 8,000, 128 below 64,000, 256 beyond.
    - `epochs`: 12,000 steps, but at least 12 and at most 100 epochs; most trainings stop earlier.
    - `hidden_units`: 256, 256.
    - `encoding_bins`: 16 from 2,000 rows on, fewer with more than 128 columns, at least 2.
    - `gramian`: "layerwise" from 16 tasks on, "tape" below.

    benchmarks/defaults.py measures it.

    Args:
        training: What is given.
        rows: Number of rows of the training data.
        columns: Number of features.
        tasks: Number of tasks.

    Returns:
        A copy without anything open.
    """
    batch_size = training.batch_size or next(
        (size for limit, size in _BATCH_SIZES if rows < limit), _LARGE_BATCH
    )
    epochs = math.ceil(_STEPS / math.ceil(rows / batch_size))
    bins = min(_BINS, _MOST_POSITIONS // columns) if rows >= _ROWS_OF_BINS else 0
    choices = {
        "batch_size": batch_size,
        "epochs": min(_MOST_EPOCHS, max(_FEWEST_EPOCHS, epochs)),
        "hidden_units": _HIDDEN_UNITS,
        "encoding_bins": bins if bins > 1 else 0,
        "gramian": "layerwise" if tasks >= _TASKS_BY_LAYER else "tape",
    }
    open_ones = {key: value for key, value in choices.items() if getattr(training, key) is None}
    return training.model_copy(update=open_ones)
