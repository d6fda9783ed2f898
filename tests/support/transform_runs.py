"""Runs Transform on small data, and its graph on rows as a served model does."""

import functools
import json
import math

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

from pcgrad_tfx.config.features import Features
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.transform.preprocessing import preprocessing_fn

NAN = float("nan")

RAW_SPEC = {
    "miles": tf.io.VarLenFeature(tf.float32),
    "started": tf.io.VarLenFeature(tf.int64),
    "same": tf.io.VarLenFeature(tf.float32),
    "empty": tf.io.VarLenFeature(tf.float32),
    "company": tf.io.VarLenFeature(tf.string),
    "area": tf.io.VarLenFeature(tf.int64),
    "dropoff": tf.io.VarLenFeature(tf.float32),
    "never": tf.io.VarLenFeature(tf.string),
    "hour": tf.io.VarLenFeature(tf.int64),
    "zeros": tf.io.VarLenFeature(tf.float32),
    "when": tf.io.VarLenFeature(tf.string),
    "tips": tf.io.VarLenFeature(tf.float32),
    "fare": tf.io.VarLenFeature(tf.float32),
    "seconds": tf.io.VarLenFeature(tf.int64),
    "shared": tf.io.VarLenFeature(tf.int64),
    "payment": tf.io.VarLenFeature(tf.string),
    "zone": tf.io.VarLenFeature(tf.int64),
    "stars": tf.io.VarLenFeature(tf.float32),
}
FEATURES = Features(
    numeric=("miles", "started", "same", "empty"),
    categorical=("company", "area", "dropoff", "never"),
    bucketized={"hour": 4, "zeros": 5},
    dates={"when": "iso"},
    vocabulary_size=3,
    oov_buckets=2,
)
TASKS = (
    Task(name="big_tip", kind="binary", column="tips", divide_by="fare", above=0.2),
    Task(name="long", kind="binary", column="seconds", above=600),
    Task(name="shared", kind="binary", column="shared"),
    Task(name="fare", kind="regression", column="fare", valid_above=0),
    Task(name="rate", kind="regression", column="tips", divide_by="seconds"),
    Task(name="payment", kind="multiclass", column="payment", classes=("Cash", "Card", "Other")),
    Task(name="zone", kind="multiclass", column="zone", classes=("7", "8", "9")),
    Task(name="by_card", kind="binary", column="payment", positive="Card"),
    Task(name="zone_8", kind="binary", column="zone", positive="8"),
    Task(name="log_fare", kind="regression", column="fare", log_scale=True),
    Task(name="log_rate", kind="regression", column="tips", divide_by="seconds", log_scale=True),
    Task(name="stars", kind="multiclass", column="stars", classes=("1", "2", "3")),
    Task(name="half", kind="multiclass", column="stars", classes=("2.50", "0.1", "one")),
    Task(name="tenth", kind="binary", column="stars", positive="0.1"),
)
LABEL_COLUMNS = {column for task in TASKS for column in task.source_columns}

COMPANIES = ["Blue", "Blue", "Blue", "Red", "Red", "Top", "Top", "Rare"]
TRAINING_ROWS = [
    {
        "miles": [float(i)],
        "started": [1_400_000_000 + i],
        "same": [3.3],
        "company": [COMPANIES[i % 8]],
        "area": [i % 2],
        "dropoff": [8.0 + i % 2],
        "hour": [i],
        "zeros": [0.0 if i < 16 else float(i)],
        "when": [f"2013-{1 + i % 12:02}-01 {i:02}:00"],
        "tips": [float(i % 4)],
        "fare": [10.0],
        "seconds": [60 * i],
        "shared": [i % 2],
        "payment": ["Cash"],
        "zone": [7],
        "stars": [1.0],
    }
    for i in range(24)
] + [{}, {"miles": [NAN], "empty": [NAN], "zeros": [math.inf], "fare": [NAN]}]


def run_transform(rows, spec, config, folder):
    """Transforms `rows`; returns the transformed training rows."""
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    rows = [{name: row.get(name, []) for name in spec} for row in rows]
    with tft_beam.Context(temp_dir=str(folder / "tmp")), beam.Pipeline(FnApiRunner()) as pipeline:
        raw = pipeline | beam.Create(rows)
        analyze = tft_beam.AnalyzeAndTransformDataset(
            functools.partial(preprocessing_fn, custom_config=config)
        )
        (transformed, _), transform_fn = (raw, metadata) | analyze
        _ = transform_fn | tft_beam.WriteTransformFn(str(folder / "graph"))
        _ = (
            transformed
            | beam.Map(lambda row: json.dumps({k: np.asarray(v).item() for k, v in row.items()}))
            | beam.io.WriteToText(str(folder / "rows"), shard_name_template="")
        )
    return [json.loads(line) for line in (folder / "rows").read_text().splitlines()]


def config_of(tasks, features):
    return {
        "tasks": [task.model_dump(mode="json") for task in tasks],
        "features": features.model_dump(mode="json"),
        "code_version": "1",
    }


def to_example(row):
    example = tf.train.Example()
    for name, values in row.items():
        feature = example.features.feature[name]
        for value in values:
            if isinstance(value, str):
                feature.bytes_list.value.append(value.encode())
            elif isinstance(value, int):
                feature.int64_list.value.append(value)
            else:
                feature.float_list.value.append(value)
    return example.SerializeToString(deterministic=True)


class Transformed:
    """The outcome of one Transform run, and the serving function made of its graph."""

    def __init__(self, folder):
        self.training_rows = run_transform(
            TRAINING_ROWS, RAW_SPEC, config_of(TASKS, FEATURES), folder
        )
        self.output = tft.TFTransformOutput(str(folder / "graph"))
        self._layer = self.output.transform_features_layer()
        self.serve_all = self._parse_and_transform(RAW_SPEC)
        self.serve_features = self._parse_and_transform(
            {name: spec for name, spec in RAW_SPEC.items() if name not in LABEL_COLUMNS}
        )

    def _parse_and_transform(self, spec):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def transform(examples):
            return self._layer(tf.io.parse_example(examples, spec))

        def serve(rows):
            outputs = transform(tf.constant([to_example(row) for row in rows]))
            return {name: value.numpy() for name, value in outputs.items()}

        return serve
