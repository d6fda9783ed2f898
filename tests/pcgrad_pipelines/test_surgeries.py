"""PCGrad and PPCGrad train the same model of the taxi trips."""

import concurrent.futures
import multiprocessing

import keras
import numpy as np
import pytest
import tensorflow as tf
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2
from tfx.components.trainer import fn_args_utils
from tfx.components.util import examples_utils
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import json_utils

from pcgrad_tfx.training.trainer import run_fn

pytestmark = pytest.mark.slow

STEPS = 50


class Recorder(keras.callbacks.Callback):
    """Keeps the weights after each of the first steps."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def on_train_batch_end(self, batch, logs=None):
        if len(self.weights) < STEPS:
            values = [weight.numpy().ravel() for weight in self.model.trainable_variables]
            self.weights.append(np.concatenate(values))


def train(examples_uri, graph_uri, folder, custom_config):
    """Trains with op determinism: the weights after each of the first steps, all metrics."""
    tf.config.experimental.enable_op_determinism()
    examples, graph = standard_artifacts.Examples(), standard_artifacts.TransformGraph()
    examples.uri, graph.uri = examples_uri, graph_uri
    examples.split_names = artifact_utils.encode_split_names(["train", "eval"])
    examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
    fn_args = fn_args_utils.get_common_fn_args(
        {"examples": [examples], "transform_graph": [graph]},
        {"train_args": "{}", "eval_args": "{}", "custom_config": json_utils.dumps(custom_config)},
    )
    fn_args.serving_model_dir = f"{folder}/model"
    fn_args.model_run_dir = f"{folder}/logs"
    recorder = Recorder()
    fit = keras.Model.fit
    histories = []

    def recorded_fit(model, *args, callbacks, **kwargs):
        histories.append(fit(model, *args, callbacks=[*callbacks, recorder], **kwargs))
        return histories[-1]

    keras.Model.fit = recorded_fit
    run_fn(fn_args)
    return recorder.weights, {name: values[-1] for name, values in histories[0].history.items()}


def test_pcgrad_and_ppcgrad_agree_step_by_step_and_in_the_end(first_run, tmp_path):
    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = str(first_run.output / "metadata.sqlite")
    training = next(
        execution
        for execution in MetadataStore(connection).get_executions()
        if execution.type.endswith(".Trainer")
    )
    config = json_utils.loads(training.custom_properties["custom_config"].string_value)
    outputs = first_run.nodes["Transform"].outputs
    folders = [outputs["transformed_examples"].uri, outputs["transform_graph"].uri]
    spawn = multiprocessing.get_context("spawn")
    runs = []
    for surgery in ("pcgrad", "ppcgrad"):
        changed = {**config, "surgery": surgery, "checkpoint_root": None}
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
            runs.append(pool.submit(train, *folders, str(tmp_path / surgery), changed).result())
    (weights, metrics), (other_weights, other_metrics) = runs
    assert len(weights) == STEPS
    np.testing.assert_allclose(weights, other_weights, rtol=0, atol=1e-5)
    assert metrics["conflicting_pairs"] > 0
    assert metrics == pytest.approx(other_metrics, rel=1e-3, abs=1e-3, nan_ok=True)
