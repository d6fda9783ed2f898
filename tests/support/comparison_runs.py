"""The comparison's executor, run on a small output of Transform."""

import json
import sys

import keras
import tensorflow as tf
from tfx.components.util import examples_utils
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_artifacts

from pcgrad_tfx.comparison.component import ComparisonResults
from pcgrad_tfx.comparison.executor import Executor
from pcgrad_tfx.comparison.results import read_comparison
from transform_runs import to_example
from transformed import TransformedData, artifact
from trips import raw_row, trainer_config

# As fast as can be, in this process.
UNTUNED = {"search": 0, "reference": False, "jobs": 1, "seeds": 2, "methods": ["pcgrad", "ppcgrad"]}

# Four candidates with two seeds: equal weights, two surgeries, one static weighting.
FEW = {**UNTUNED, "single_task": False, "static_weights": [{"big_tip": 3}]}

TEST_ROWS = [raw_row(i) for i in range(130, 190)]


def write_test_split(folder, rows=TEST_ROWS):
    """Writes raw examples, as ExampleGen does, with a test split only."""
    split = folder / "Split-test"
    split.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(split / "data.gz"), "GZIP") as file:
        for row in rows:
            file.write(to_example(row))
    return folder


def compare(transformed_data, examples_dir, folder, *, settings=None, **config):
    """Runs the executor, and reads what it wrote."""
    examples = artifact(standard_artifacts.Examples, examples_dir)
    examples.split_names = artifact_utils.encode_split_names(["test"])
    examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
    inputs = transformed_data.inputs()
    folder.mkdir(parents=True, exist_ok=True)
    custom_config = trainer_config(**({"epochs": 2} | config))
    custom_config["comparison"] = {**UNTUNED, **(settings or {})}
    Executor().Do(
        {
            "examples": [examples],
            "transformed_examples": inputs["examples"],
            "transform_graph": inputs["transform_graph"],
        },
        {"comparison": [artifact(ComparisonResults, folder)]},
        {
            "custom_config": json.dumps(
                custom_config | {"comparison": {**UNTUNED, **(settings or {})}}
            )
        },
    )
    return read_comparison(str(folder))


def fit_eagerly(model, data, **kwargs):
    """Such trainings take less time than to trace a step; every method's is traced to be timed."""
    model.run_eagerly = True
    return keras.Model.fit(model, data, **kwargs)


if __name__ == "__main__":
    # For tests that kill it.
    transformed_folder, examples_folder, output, checkpoints = sys.argv[1:]
    from pathlib import Path

    compare(
        TransformedData(Path(transformed_folder)),
        Path(examples_folder),
        Path(output),
        checkpoint_root=checkpoints,
        settings={**FEW, "jobs": 2},
    )
