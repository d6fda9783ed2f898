"""Runs TFX's Evaluator on a small served model."""

import math
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tfx.components.evaluator.executor import Executor
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts
from tfx.types.artifact_utils import encode_split_names
from tfx.utils import json_utils, proto_utils

from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.evaluation.eval_config import eval_config

TASKS = (
    Task(name="tip", kind="binary", column="tip"),
    Task(name="fare", kind="regression", column="fare"),
    Task(name="zone", kind="multiclass", column="zone", classes=("a", "b", "c")),
)
BEAM_ARGS = ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"]


class EchoModel(tf.Module):
    """A served model whose answers stand in the request: `<task>_answer`, label in `<task>`."""

    def __init__(self, tasks, constant=False):
        super().__init__()
        self._tasks = tasks
        self._constant = constant

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serve(self, examples):
        spec = {
            f"{task.name}_answer": tf.io.FixedLenFeature([task.units], tf.float32)
            for task in self._tasks
        }
        parsed = tf.io.parse_example(examples, spec)
        answers = {task.name: parsed[f"{task.name}_answer"] for task in self._tasks}
        if self._constant:
            answers = {name: tf.zeros_like(value) + 0.3 for name, value in answers.items()}
        return answers

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def transform_features(self, examples):
        missing = float("nan")
        spec = {task.name: tf.io.FixedLenFeature([], tf.float32, missing) for task in self._tasks}
        parsed = tf.io.parse_example(examples, spec)
        outputs = {}
        for task in self._tasks:
            value = parsed[task.name]
            known = tf.math.is_finite(value)
            # Evaluation must not look at what is written for a missing label.
            written = tf.where(known, value, 1.0)
            outputs[task.label_key] = tf.cast(written, task.label_dtype)
            outputs[task.mask_key] = tf.cast(known, tf.float32)
        return outputs

    def save(self, folder):
        signatures = {
            "serving_default": self.serve.get_concrete_function(),
            "transform_features": self.transform_features.get_concrete_function(),
        }
        tf.saved_model.save(self, str(folder / "Format-Serving"), signatures)
        return folder


@dataclass
class Rows:
    """Labels (NaN where missing) and answers by task, and a column to slice by."""

    labels: dict[str, np.ndarray]
    answers: dict[str, np.ndarray]
    hour: np.ndarray

    def write(self, folder):
        split = folder / "Split-test"
        split.mkdir(parents=True)
        options = tf.io.TFRecordOptions(compression_type="GZIP")
        with tf.io.TFRecordWriter(str(split / "data_tfrecord-00000.gz"), options) as writer:
            for i, hour in enumerate(self.hour):
                example = tf.train.Example()
                feature = example.features.feature
                feature["hour"].int64_list.value.append(hour)
                for name, answers in self.answers.items():
                    feature[f"{name}_answer"].float_list.value.extend(np.atleast_1d(answers[i]))
                    if not math.isnan(self.labels[name][i]):
                        feature[name].float_list.value.append(self.labels[name][i])
                writer.write(example.SerializeToString(deterministic=True))

    def known(self, task, within=slice(None)):
        labels, answers = self.labels[task][within], self.answers[task][within]
        known = ~np.isnan(labels)
        return labels[known], answers[known]


def make_rows(tasks, count=300, missing=0.2, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    labels, answers = {}, {}
    for task in tasks:
        if task.kind == "regression":
            label = rng.normal(20, 8, count)
            answer = 2 + 0.9 * label + noise * rng.normal(0, 4, count)
        else:
            label = rng.integers(0, max(task.units, 2), count).astype(float)
            signal = np.eye(task.units)[label.astype(int)] if task.classes else label
            logit = 1.5 * signal + noise * rng.normal(0, 1, signal.shape)
            answer = 1 / (1 + np.exp(-logit))
            if task.classes:
                answer /= answer.sum(axis=1, keepdims=True)
        labels[task.name] = np.where(rng.random(count) < missing, np.nan, label)
        answers[task.name] = answer.astype(np.float32)
    return Rows(labels, answers, rng.integers(0, 3, count))


def evaluate(folder, tasks, rows, model, baseline=None, config=None, beam_args=BEAM_ARGS):
    """Runs the Evaluator; returns the evaluation's path and whether it blessed the model."""
    rows.write(folder / "examples")
    artifacts = {}
    for name, kind, path in [
        ("examples", standard_artifacts.Examples, folder / "examples"),
        ("model", standard_artifacts.Model, model),
        ("baseline_model", standard_artifacts.Model, baseline),
        ("evaluation", standard_artifacts.ModelEvaluation, folder / "evaluation"),
        ("blessing", standard_artifacts.ModelBlessing, folder / "blessing"),
    ]:
        if path is not None:
            artifact = kind()
            artifact.uri = str(path)
            artifacts[name] = [artifact]
    artifacts["examples"][0].split_names = encode_split_names(["test"])
    (folder / "blessing").mkdir()
    outputs = {name: artifacts.pop(name) for name in ("evaluation", "blessing")}
    context = BaseBeamExecutor.Context(
        beam_pipeline_args=list(beam_args), tmp_dir=str(folder / "tmp"), unique_id="1"
    )
    Executor(context).Do(
        artifacts,
        outputs,
        {
            "eval_config": proto_utils.proto_to_json(config or eval_config(tasks, [["hour"]])),
            "example_splits": json_utils.dumps(["test"]),
        },
    )
    blessed = (folder / "blessing" / "BLESSED").exists()
    assert blessed != (folder / "blessing" / "NOT_BLESSED").exists()
    return str(folder / "evaluation"), blessed
