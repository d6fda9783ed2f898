"""The splits that trainings are compared on."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_transform as tft
from tfx import v1 as tfx
from tfx.components.util import tfxio_utils
from tfx.types import artifact_utils
from tfx.utils import io_utils
from tfx_bsl.public import tfxio

from pcgrad_tfx.training.dataset import InputData

TRAIN, EVAL, TEST = "train", "eval", "test"

# Of a batch of the test split.
_SCORED_ROWS = 1024


def split_files(examples: tfx.dsl.Artifact, split: str) -> list[str]:
    """The file patterns of a split."""
    return [io_utils.all_files_pattern(artifact_utils.get_split_uri([examples], split))]


def read_test_split(
    examples: tfx.dsl.Artifact, tft_output: tft.TFTransformOutput, data: InputData
) -> tf.data.Dataset:
    """The raw test split, transformed as a served model does it.

    Args:
        examples: Of an ExampleGen.
        tft_output: Transform's output.
        data: Of Transform's examples.

    Returns:
        Batches as from `InputData.batches`.
    """
    layer = tft_output.transform_features_layer()
    options = tfxio.TensorFlowDatasetOptions(batch_size=_SCORED_ROWS, num_epochs=1, shuffle=False)
    read = tfxio_utils.get_tf_dataset_factory_from_artifact([examples], ["Comparison"])
    raw = read(split_files(examples, TEST), options, tft_output.raw_metadata.schema)
    return raw.map(lambda row: data.split(layer(row)))
