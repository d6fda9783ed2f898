"""From a CSV file that nobody has described to a pushed model, as a new user would do it."""

import importlib.util
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import r2_score, roc_auc_score

from pcgrad_pipelines.config import load_config
from pcgrad_pipelines.local.data_check import check_config_data
from pcgrad_pipelines.local.output_folder import metadata_connection
from pcgrad_pipelines.local.run_summary import read_last_run
from pcgrad_pipelines.local.runner import DEFAULT_CONFIG
from pcgrad_tfx.evaluation.eval_config import read_results

RUNNER = DEFAULT_CONFIG.parents[1] / "local_runner.py"
LABELS = ["species", "body_mass_g", "sex"]


def local_runner(folder, *arguments):
    command = [sys.executable, str(RUNNER), *arguments]
    process = subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert process.returncode in (0, 3), process.stdout
    return process.stdout


class Run:
    """A run of a configuration: what it was, what it printed and what it made."""

    def __init__(self, folder, config, output, *arguments):
        draft = load_config(folder / config, draft=True)
        self.config = check_config_data(draft, config).config
        self.console = local_runner(folder, "--config", config, "--output", str(output), *arguments)
        self.nodes = read_last_run(metadata_connection(output), self.config.name)
        evaluation = self.nodes["Evaluator"].outputs["evaluation"].uri
        self.results = {r.task: r for r in read_results(evaluation, self.config.tasks)}
        model = pathlib.Path(self.nodes["Trainer"].outputs["model"].uri) / "Format-Serving"
        self.model = tf.saved_model.load(str(model))

    def examples(self, split):
        generator = next(name for name in self.nodes if name.endswith("ExampleGen"))
        folder = pathlib.Path(self.nodes[generator].outputs["examples"].uri) / f"Split-{split}"
        files = sorted(map(str, folder.iterdir()))
        records = tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator()
        # The features of an example have no order; Python's runs differ.
        examples = map(tf.train.Example.FromString, records)
        return [example.SerializeToString(deterministic=True) for example in examples]

    def serve(self, examples):
        answers = self.model.signatures["serving_default"](examples=tf.constant(examples))
        return {name: value.numpy() for name, value in answers.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("penguins")
    package = importlib.util.find_spec("palmerpenguins").submodule_search_locations[0]
    shutil.copy(pathlib.Path(package) / "data" / "penguins.csv", folder)
    labels = [argument for label in LABELS for argument in ("--label", label)]
    printed = local_runner(folder, "--init", "penguins.csv", *labels)
    assert "--config penguins.toml --output penguins --compare" in printed
    text = (folder / "penguins.toml").read_text()
    assert "# log_scale = true" in text
    (folder / "penguins.toml").write_text(text.replace("# log_scale = true", "log_scale = true"))
    return folder


@pytest.fixture(scope="module")
def run(folder):
    return Run(folder, "penguins.toml", folder / "penguins", "--epochs", "20")


def labels_of(examples, column):
    """A column's values: numbers, or texts; None where missing."""
    values = []
    for example in examples:
        feature = tf.train.Example.FromString(example).features.feature[column]
        kind = feature.WhichOneof("kind")
        found = list(getattr(feature, kind).value) if kind else []
        values.append(found[0] if found else None)
    return values


@pytest.mark.slow
def test_the_metrics_are_those_of_the_served_answers_to_the_test_split(run):
    examples = run.examples("test")
    answers = run.serve(examples)

    names = np.array([name.decode() for name in labels_of(examples, "species")])
    classes = dict(zip(run.config.tasks[0].classes, range(3), strict=True))
    ids = np.array([classes[name] for name in names])
    expected = roc_auc_score(ids, answers["species"], multi_class="ovr", average="macro")
    assert run.results["species"].value == pytest.approx(expected, abs=2e-3)

    masses = np.array([value or np.nan for value in labels_of(examples, "body_mass_g")], float)
    known = np.isfinite(masses)
    found = run.results["body_mass_g"]
    assert found.value == pytest.approx(
        r2_score(masses[known], answers["body_mass_g"][known]), abs=1e-4
    )
    # In grams, although the network learned the logarithm.
    error = np.abs(answers["body_mass_g"][known, 0] - masses[known]).mean()
    assert found.details["mean_absolute_error"] == pytest.approx(error, rel=1e-4)
    assert 50 < error < 600
    assert found.value > 0.5

    texts = labels_of(examples, "sex")
    known = np.array([text is not None for text in texts])
    is_female = np.array([text == b"female" for text in texts])
    expected = roc_auc_score(is_female[known], answers["sex"][known, 0])
    assert run.results["sex"].value == pytest.approx(expected, abs=2e-3)
    assert run.results["sex"].details["example_count"] == known.sum()


@pytest.mark.slow
def test_what_was_found_in_the_data_is_said_before_the_pipeline_starts(run):
    before, after = run.console.split("starting TFX")
    assert "possible leak: within island = 'Torgersen' (15% of the rows) species is 'Ade" in before
    assert "CsvExampleGen" in after


@pytest.mark.slow
def test_missing_values_are_missing_and_not_a_text(run):
    examples = [example for split in ("train", "eval", "test") for example in run.examples(split)]
    assert len(examples) == 344
    assert labels_of(examples, "sex").count(None) == 11
    assert labels_of(examples, "body_mass_g").count(None) == 2
    assert set(labels_of(examples, "sex")) == {b"male", b"female", None}


@pytest.mark.slow
def test_the_same_examples_as_tfrecords_in_splits_train_the_same_model(run, folder):
    """TFX's own output is a folder of TFRecords for each split."""
    for split in ("train", "eval", "test"):
        generated = pathlib.Path(run.nodes["CsvExampleGen"].outputs["examples"].uri)
        shutil.copytree(generated / f"Split-{split}", folder / "records" / split)
    text = (folder / "penguins.toml").read_text()
    text = text.replace('path = "penguins.csv"', 'path = "records"').replace('missing = ["NA"]', "")
    (folder / "records.toml").write_text(text)
    again = Run(folder, "records.toml", folder / "again", "--epochs", "20")
    assert "ImportExampleGen" in again.nodes
    for split in ("train", "eval", "test"):
        assert sorted(again.examples(split)) == sorted(run.examples(split))
    for name, result in again.results.items():
        assert result.details["example_count"] == run.results[name].details["example_count"]
        # Another order of the rows is another training.
        assert result.value == pytest.approx(run.results[name].value, abs=0.15)
    tasks = json.loads(
        (pathlib.Path(again.nodes["Trainer"].outputs["model"].uri)
         / "Format-Serving/assets.extra/tasks.json").read_text()
    )  # fmt: skip
    assert tasks["body_mass_g"]["log_scale"] is True
    assert tasks["sex"]["positive"] == "female"
