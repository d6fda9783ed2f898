"""From a CSV file to one training step, with everything in one process and as little as possible.

ExampleGen's executor, TFDV's statistics and schema, TFT's analysis and our model are the real ones;
what Beam and Keras need for size is left out: components, files between them, graph mode.
"""

import dataclasses
import functools
import math
import pathlib
import warnings
from unittest import mock

import apache_beam as beam
import keras
import numpy as np
import tensorflow as tf
import tensorflow_data_validation as tfdv
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils
from tfx import v1 as tfx
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from pcgrad_pipelines.config import PipelineConfig
from pcgrad_pipelines.local.data_check import CheckedData
from pcgrad_tfx.config.features import required_columns
from pcgrad_tfx.config.training_config import trainer_config
from pcgrad_tfx.config.training_rule import with_choices
from pcgrad_tfx.example_gen.csv_example_gen import CsvExampleGen, Executor
from pcgrad_tfx.training.building import build, compile_model
from pcgrad_tfx.training.inputs import TrainingInputs
from pcgrad_tfx.training.label_statistics import label_statistics
from pcgrad_tfx.training.network.intervals import boundaries
from pcgrad_tfx.transform.preprocessing import embedding_sizes, preprocessing_fn

SPLITS = {"train": 8, "eval": 1, "test": 1}


@dataclasses.dataclass
class Step:
    """What one step of training gave.

    Attributes:
        model: The trained model.
        feature_spec: The transformed features that it takes.
        losses: Of the step, and of an evaluation after it.
        predictions: For the rows of train, by task.
    """

    model: keras.Model
    feature_spec: dict
    losses: dict[str, float]
    predictions: dict[str, np.ndarray]


@dataclasses.dataclass
class Chain:
    """What became of a file.

    Attributes:
        examples: What ExampleGen made, by split.
        transformed: What Transform made of the rows of train and eval, in the same order.
        step: What training on them gave.
    """

    examples: dict[str, list[tf.train.Example]]
    transformed: dict[str, list[dict]]
    step: Step


def run_chain(inspection: CheckedData, folder: pathlib.Path) -> Chain:
    """Runs a checked configuration."""
    config = inspection.config
    examples = generate(inspection, folder / "examples")
    transformed, output = transform(examples, config, folder)
    return Chain(examples, transformed, train_one_step(transformed, output, config))


def generate(inspection: CheckedData, folder: pathlib.Path) -> dict[str, list[tf.train.Example]]:
    config, files = inspection.config, inspection.files
    required, numeric = required_columns(config.features, config.tasks)
    splits = [tfx.proto.SplitConfig.Split(name=name, hash_buckets=n) for name, n in SPLITS.items()]
    pattern = files.patterns["all"]
    component = CsvExampleGen(
        files.base,
        required=required,
        numeric=numeric,
        missing=config.data.missing,
        input_config=tfx.proto.Input(splits=[tfx.proto.Input.Split(name="all", pattern=pattern)]),
        output_config=tfx.proto.Output(split_config=tfx.proto.SplitConfig(splits=splits)),
    )
    artifact = tfx.types.standard_artifacts.Examples()
    artifact.uri = str(folder)
    Executor().Do({}, {"examples": [artifact]}, dict(component.exec_properties))
    found = {}
    for split in SPLITS:
        paths = [str(path) for path in (folder / f"Split-{split}").iterdir()]
        records = tf.data.TFRecordDataset(paths, compression_type="GZIP").as_numpy_iterator()
        found[split] = list(map(tf.train.Example.FromString, records))
    return found


def transform(
    examples: dict[str, list[tf.train.Example]], config: PipelineConfig, folder: pathlib.Path
) -> tuple[dict[str, list[dict]], tft.TFTransformOutput]:
    everything = [
        example.SerializeToString(deterministic=True)
        for split in examples.values()
        for example in split
    ]
    statistics = stats_impl.generate_statistics_in_memory(
        ExamplesToRecordBatchDecoder().DecodeBatch(everything)
    )
    schema = tfdv.infer_schema(statistics, infer_feature_shape=False)
    spec = schema_utils.schema_as_feature_spec(schema).feature_spec
    metadata = dataset_metadata.DatasetMetadata(schema)
    custom_config = {
        "tasks": [task.model_dump(mode="json") for task in config.tasks],
        "features": config.features.model_dump(mode="json"),
    }
    function = functools.partial(preprocessing_fn, custom_config=custom_config)
    context = tft_beam.Context(temp_dir=str(folder / "tmp"))
    with context, beam.Pipeline(FnApiRunner()) as pipeline:
        train = pipeline | beam.Create([as_row(one, spec) for one in examples["train"]])
        transform_fn = (train, metadata) | tft_beam.AnalyzeDataset(function)
        _ = transform_fn | tft_beam.WriteTransformFn(str(folder / "graph"))
        raw_metadata = str(folder / "graph" / tft.TFTransformOutput.RAW_METADATA_DIR)
        _ = metadata | tft_beam.WriteMetadata(raw_metadata, pipeline)
    output = tft.TFTransformOutput(str(folder / "graph"))
    layer = output.transform_features_layer()
    transformed = {}
    for split in ("train", "eval"):
        serialized = tf.constant(
            [one.SerializeToString(deterministic=True) for one in examples[split]], tf.string
        )
        columns = layer(tf.io.parse_example(serialized, spec))
        columns = {name: np.reshape(value, [-1]) for name, value in columns.items()}
        transformed[split] = [
            {name: values[row].item() for name, values in columns.items()}
            for row in range(len(examples[split]))
        ]
    return transformed, output


def as_row(example: tf.train.Example, spec: dict) -> dict[str, list]:
    return {name: values_of(example, name) for name in spec}


def values_of(example: tf.train.Example, name: str) -> list:
    feature = example.features.feature[name]
    kind = feature.WhichOneof("kind")
    return list(getattr(feature, kind).value) if kind else []


def train_one_step(
    transformed: dict[str, list[dict]], output: tft.TFTransformOutput, config: PipelineConfig
) -> Step:
    tasks = config.tasks
    keys = {key for task in tasks for key in (task.label_key, task.mask_key)}
    feature_spec = {n: s for n, s in output.transformed_feature_spec().items() if n not in keys}

    def batch(split):
        rows = transformed[split]
        features = {
            name: tf.constant([row[name] for row in rows], spec.dtype)
            for name, spec in feature_spec.items()
        }
        labels = {
            task.name: tf.constant(
                [row[task.label_key] if row[task.mask_key] else math.nan for row in rows],
                tf.float32,
            )
            for task in tasks
        }
        return tf.data.Dataset.from_tensors((features, labels))

    custom_config = {
        "tasks": [task.model_dump(mode="json") for task in tasks],
        "features": config.features.model_dump(mode="json"),
        "hidden_units": [4],
        "embedding_dim": 2,
    }
    trainer = trainer_config(custom_config, None, None)
    keras.utils.clear_session()
    keras.utils.set_random_seed(1)
    found = label_statistics(batch("train"), tasks)
    statistics = found.labels
    trainer = with_choices(trainer, found.rows, len(feature_spec))
    sizes = embedding_sizes(config.features, output)
    numbers = [name for name in feature_spec if name not in sizes]
    model = build(
        TrainingInputs(
            config=trainer,
            tft_output=output,
            data=mock.Mock(feature_spec=feature_spec),
            rows=found.rows,
            statistics=statistics,
            embedding_sizes=sizes,
            boundaries=boundaries(batch("train"), numbers, trainer.encoding_bins),
        )
    )
    compile_model(model, trainer, tasks, statistics, steps=1)
    model.run_eagerly = True
    validation = batch("eval") if transformed["eval"] else None
    data = {"x": batch("train"), "validation_data": validation}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"task '\w+' had no label", UserWarning)
        history = model.fit(**data, shuffle=False, verbose=0).history
    losses = {name: values[0] for name, values in history.items() if name.endswith("loss")}
    ((features, _),) = batch("train")
    answers = model(features, training=False)
    predictions = {name: value.numpy() for name, value in answers.items()}
    return Step(model, feature_spec, losses, predictions)
