"""Runs the executors of ExampleGens, and reads what they wrote."""

from pathlib import Path

import tensorflow as tf
from tfx import v1 as tfx

SPLITS = ("train", "eval", "test")
OUTPUT = tfx.proto.Output(
    split_config=tfx.proto.SplitConfig(
        splits=[
            tfx.proto.SplitConfig.Split(name=name, hash_buckets=buckets)
            for name, buckets in zip(SPLITS, (8, 1, 1), strict=True)
        ]
    )
)


def generate(executor_class, component, folder: Path) -> Path:
    """Runs an executor on a component's properties, as an orchestrator would."""
    examples = tfx.types.standard_artifacts.Examples()
    examples.uri = str(folder)
    executor_class().Do({}, {"examples": [examples]}, dict(component.exec_properties))
    return folder


def examples(folder: Path, split: str) -> list[tf.train.Example]:
    files = [str(path) for path in (folder / f"Split-{split}").iterdir()]
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()
    return [tf.train.Example.FromString(record) for record in records]


def read_split(folder: Path, split: str) -> list[str]:
    return sorted(map(str, examples(folder, split)))
