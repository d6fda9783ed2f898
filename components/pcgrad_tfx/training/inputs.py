"""What Transform has written, looked through once: all that a model is built from."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import tensorflow as tf
import tensorflow_transform as tft

from pcgrad.keras import ConflictProbe
from pcgrad_tfx.config.training_config import TrainerConfig
from pcgrad_tfx.config.training_rule import with_choices
from pcgrad_tfx.training.dataset import InputData
from pcgrad_tfx.training.label_statistics import LabelStatistics, label_statistics
from pcgrad_tfx.training.model import check_feature_spec
from pcgrad_tfx.training.network.intervals import boundaries
from pcgrad_tfx.transform.preprocessing import embedding_sizes

# Of a batch that is looked at, not trained on.
_ROWS = 1024

# Of which probes draw theirs.
_PROBED_ROWS = 2**16
_FEWEST_ROWS = 4
# Of the eval split, to take them in the place of training rows: those of a whole probe.
_ENOUGH_HELD_OUT = 2048


@dataclasses.dataclass(frozen=True)
class TrainingInputs:
    """What a model is built from.

    Attributes:
        config: The Trainer's configuration; what it left open is chosen.
        tft_output: Transform's graph.
        data: Transform's examples, in batches as the configuration says, with the weights that are
            trained with.
        rows: Number of rows of the training data.
        statistics: Of the regression labels, by task.
        embedding_sizes: Of the features that hold ids their number; empty for a `model_fn`.
        boundaries: Of the numbers that are given as positions in intervals, too, the limits.
    """

    config: TrainerConfig
    tft_output: tft.TFTransformOutput
    data: InputData
    rows: int
    statistics: Mapping[str, LabelStatistics]
    embedding_sizes: Mapping[str, int]
    boundaries: Mapping[str, Sequence[float]]

    @property
    def steps_per_epoch(self) -> int:
        """Batches of the training data."""
        assert self.config.batch_size is not None
        return math.ceil(self.rows / self.config.batch_size)

    @property
    def epochs(self) -> int:
        """Passes over the training data at most."""
        assert self.config.epochs is not None
        return self.config.epochs

    def conflict_probe(
        self, train_files: Sequence[str], eval_files: Sequence[str], log_dir: str | None = None
    ) -> ConflictProbe | None:
        """Measures what the tasks do to each other in a training; `None` if nothing is to be.

        It takes rows of the eval split if there are 2,048, as a network that fits the noise of its
        training rows has gradients on them that others would not give.

        Args:
            train_files: File patterns of the training split.
            eval_files: Those of the eval split.
            log_dir: Where the probes are kept.
        """
        if not self.config.probes or len(self.config.tasks) < 2 or self.rows < _FEWEST_ROWS:
            return None
        batches = self._held_out(eval_files)
        if batches is None:
            # From all over the files, as rows that are not in a random order may be of a kind.
            batches = self.data.epochs(train_files, self.config.seed, 0, 1)
            batches = batches.shard(math.ceil(self.rows / _PROBED_ROWS), 0)
        return ConflictProbe(
            batches,
            probes=self.config.probes,
            seed=self.config.seed,
            log_dir=log_dir,
        )

    def _held_out(self, eval_files: Sequence[str]) -> tf.data.Dataset | None:
        """The batches of the eval split, if it has enough rows."""
        batches, rows = self.data.batches(eval_files), 0
        for _, labels, *_ in batches:
            rows += len(next(iter(labels.values())))
            if rows >= _ENOUGH_HELD_OUT:
                return batches
        return None


def read_inputs(
    config: TrainerConfig, tft_output: tft.TFTransformOutput, train_files: Sequence[str]
) -> TrainingInputs:
    """Passes over the training data once, and chooses what the configuration leaves open.

    Args:
        config: The Trainer's configuration.
        tft_output: Transform's output.
        train_files: File patterns of the training split.

    Raises:
        ValueError: A label, a feature or an id does not fit the configuration; there is no row.
    """
    data = InputData(tft_output, config.tasks, _ROWS)
    user_sizes = None
    if not config.model_fn and config.features is None:
        assert config.embedding_sizes is not None  # checked with the configuration
        user_sizes = config.embedding_sizes
        check_feature_spec(data.feature_spec, user_sizes)
    batches = data.batches(train_files)
    found = label_statistics(batches, config.tasks, user_sizes)
    if not found.rows:
        raise ValueError(f"there is no row in {train_files}; check the train split")
    config = with_choices(config, found.rows, len(data.feature_spec), len(config.tasks))
    assert config.batch_size is not None
    assert config.encoding_bins is not None
    sizes: Mapping[str, int] = {}
    limits: Mapping[str, Sequence[float]] = {}
    if not config.model_fn:
        if user_sizes is None:
            assert config.features is not None
            sizes = embedding_sizes(config.features, tft_output)
        else:
            sizes = user_sizes
        numbers = [name for name in data.feature_spec if name not in sizes]
        limits = boundaries(batches, numbers, config.encoding_bins)
    return TrainingInputs(
        config=config,
        tft_output=tft_output,
        data=InputData(tft_output, config.tasks, config.batch_size).with_factors(
            found.weight_factors
        ),
        rows=found.rows,
        statistics=found.labels,
        embedding_sizes=sizes,
        boundaries=limits,
    )
