"""A small output of Transform, and the Trainer's executor run on it as in a pipeline."""

import contextlib
import dataclasses
import functools
import json
import pathlib
from unittest import mock

import apache_beam as beam
import keras
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from tensorflow.python.framework import config as tensorflow_config
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils
from tfx import v1 as tfx
from tfx.components.trainer.executor import GenericExecutor
from tfx.components.util import examples_utils
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import json_utils, proto_utils

import pcgrad.keras
from pcgrad.keras import distributed_fit
from pcgrad_tfx.training.dataset import InputData
from pcgrad_tfx.transform.preprocessing import preprocessing_fn
from transform_runs import config_of, to_example
from trips import BATCH_SIZE, FEATURES, RAW_SPEC, ROWS, TASKS, trainer_config


@contextlib.contextmanager
def op_determinism():
    tf.config.experimental.enable_op_determinism()
    try:
        yield
    finally:
        # There is no public way back.
        tensorflow_config.disable_op_determinism()


@dataclasses.dataclass
class Run:
    """What a run of the Trainer wrote, what it trained and how long."""

    folder: pathlib.Path
    model: keras.Model | None = None
    epochs: list[int] = dataclasses.field(default_factory=list)
    steps: int = 0
    eval_steps: list[int] = dataclasses.field(default_factory=list)

    @property
    def model_dir(self):
        return self.folder / "model" / "Format-Serving"

    @property
    def log_dir(self):
        return self.folder / "model_run"

    @property
    def weights(self):
        return self.model.get_weights()

    @property
    def history(self):
        return self.model.history.history

    @property
    def conflicts(self):
        lines = (self.log_dir / "conflicts.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def scalars(self):
        """The epochs of each TensorBoard scalar, by its folder and tag."""
        epochs = {}
        for path in sorted(self.log_dir.rglob("events.out.tfevents.*")):
            for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
                event = tf.compat.v1.Event.FromString(record)
                for value in event.summary.value:
                    folder = str(path.parent.relative_to(self.log_dir))
                    epochs.setdefault((folder, value.tag), []).append(event.step)
        return epochs

    @functools.cached_property
    def saved(self):
        return tf.saved_model.load(str(self.model_dir))

    def serve(self, rows, signature="serving_default"):
        """The saved model's answers to raw rows (or examples that are serialized already)."""
        function = self.saved.signatures[signature]
        examples = [row if isinstance(row, bytes) else to_example(row) for row in rows]
        answers = function(examples=tf.constant(examples))
        return {name: value.numpy() for name, value in answers.items()}


class _Watch(keras.callbacks.Callback):
    def __init__(self, run):
        super().__init__()
        self._run = run

    def on_train_begin(self, logs=None):
        self._run.model = self.model

    def on_epoch_begin(self, epoch, logs=None):
        self._run.epochs.append(epoch)

    def on_train_batch_end(self, batch, logs=None):
        self._run.steps += 1

    def on_test_begin(self, logs=None):
        self._run.eval_steps.append(0)

    def on_test_batch_end(self, batch, logs=None):
        self._run.eval_steps[-1] += 1


class TransformedData:
    """The splits and the graph that `write_transformed` wrote."""

    def __init__(self, folder):
        self.folder = folder
        self.graph_dir = folder / "graph"
        self.examples_dir = folder / "examples"
        self.output = tft.TFTransformOutput(str(self.graph_dir))

    def files(self, split):
        return [str(self.examples_dir / f"Split-{split}" / "*")]

    def input_data(self, tasks=TASKS, batch_size=BATCH_SIZE):
        return InputData(self.output, tasks, batch_size)

    def rows(self, split):
        """All of a split's transformed features and labels, in the order of `ROWS`."""
        (batch,) = self.input_data(batch_size=len(ROWS[split])).batches(self.files(split))
        return batch

    def inputs(self):
        examples = artifact(standard_artifacts.Examples, self.examples_dir)
        examples.split_names = artifact_utils.encode_split_names(["train", "eval"])
        examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
        graph = artifact(standard_artifacts.TransformGraph, self.graph_dir)
        return {"examples": [examples], "transform_graph": [graph]}

    def train(
        self,
        folder,
        config=None,
        *,
        train_steps=0,
        eval_steps=0,
        base_model=None,
        hyperparameters=None,
        callbacks=(),
        properties=None,
    ):
        """Runs the Trainer's executor; `callbacks` are added to those of `fit`."""
        inputs = self.inputs()
        if base_model:
            inputs["base_model"] = [artifact(standard_artifacts.Model, base_model / "model")]
        if hyperparameters is not None:
            tuned = folder / "hyperparameters"
            tuned.mkdir(parents=True)
            (tuned / "best.txt").write_text(json.dumps(hyperparameters))
            inputs["hyperparameters"] = [artifact(standard_artifacts.HyperParameters, tuned)]
        outputs = {
            "model": [artifact(standard_artifacts.Model, folder / "model")],
            "model_run": [artifact(standard_artifacts.ModelRun, folder / "model_run")],
        }
        run = Run(folder)

        def watched(fit):
            def watched_fit(model, *args, **kwargs):
                kwargs["callbacks"] = [*kwargs["callbacks"], _Watch(run), *callbacks]
                return fit(model, *args, **kwargs)

            return watched_fit

        settings = _properties(config or trainer_config(epochs=1), train_steps, eval_steps)
        settings |= properties or {"run_fn": "pcgrad_tfx.trainer.run_fn"}
        with (
            mock.patch.object(keras.Model, "fit", watched(keras.Model.fit)),
            # TFX loads the module of `run_fn` anew, which then imports this.
            mock.patch.object(pcgrad.keras, "distributed_fit", watched(distributed_fit)),
        ):
            GenericExecutor().Do(inputs, outputs, settings)
        return run


OURS = functools.partial(preprocessing_fn, custom_config=config_of(TASKS, FEATURES))


def write_transformed(folder, function=OURS, spec=RAW_SPEC, splits=ROWS):
    """Writes what TFX's Transform writes: a graph, and the transformed splits."""
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    graph = folder / "graph"
    context = tft_beam.Context(temp_dir=str(folder / "tmp"))
    with context, beam.Pipeline(FnApiRunner()) as pipeline:
        raw = {
            split: pipeline
            | f"create {split}"
            >> beam.Create(
                [{name: row.get(name, []) for name in spec} for row in rows],
                reshuffle=False,  # the same order in every test run
            )
            for split, rows in splits.items()
        }
        transform_fn = (raw["train"], metadata) | tft_beam.AnalyzeDataset(function)
        _ = transform_fn | tft_beam.WriteTransformFn(str(graph))
        raw_metadata = str(graph / tft.TFTransformOutput.RAW_METADATA_DIR)
        _ = metadata | tft_beam.WriteMetadata(raw_metadata, pipeline)
        for split, rows in raw.items():
            transform = f"transform {split}" >> tft_beam.TransformDataset()
            transformed, _ = ((rows, metadata), transform_fn) | transform
            path = folder / "examples" / f"Split-{split}" / "transformed_examples"
            _ = (
                transformed
                | f"encode {split}" >> beam.Map(_encode)
                | f"write {split}" >> beam.io.WriteToTFRecord(str(path), file_name_suffix=".gz")
            )


def artifact(kind, path):
    made = kind()
    made.uri = str(path)
    return made


def _encode(row):
    return to_example({name: [np.asarray(value).item()] for name, value in row.items()})


def _properties(config, train_steps, eval_steps):
    return {
        "train_args": proto_utils.proto_to_json(tfx.proto.TrainArgs(num_steps=train_steps)),
        "eval_args": proto_utils.proto_to_json(tfx.proto.EvalArgs(num_steps=eval_steps)),
        "custom_config": json_utils.dumps(config),
    }


def cut_silently(path):
    """Cuts a gzipped TFRecord where TensorFlow does not notice that rows are missing."""
    content = path.read_bytes()

    def rows():
        return sum(1 for _ in tf.data.TFRecordDataset(str(path), "GZIP"))

    whole = rows()
    for length in range(len(content) - 9, 0, -1):
        path.write_bytes(content[:length])
        try:
            if rows() < whole:
                return
        except tf.errors.DataLossError:
            continue
    raise AssertionError("no such place")
