"""A truncated file, which Beam and TensorFlow may take for a shorter one, is refused everywhere."""

import importlib
import pathlib
import shutil

import pytest
import tensorflow as tf
from tfx import v1 as tfx
from tfx.components.evaluator.executor import Executor as StockEvaluator
from tfx.components.statistics_gen.executor import Executor as StockStatisticsGen
from tfx.components.transform.executor import Executor as StockTransform
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import standard_artifacts
from tfx.types.artifact_utils import encode_split_names
from tfx.utils import json_utils

from comparison_runs import compare, write_test_split
from evaluator_runs import BEAM_ARGS
from pcgrad_tfx.validation import whole_examples
from pcgrad_tfx.validation.whole_examples import (
    EvaluatorExecutor,
    StatisticsGenExecutor,
    TransformExecutor,
)
from transform_runs import to_example
from transformed import TransformedData, artifact, cut_silently
from trips import trainer_config

EXECUTORS = {
    StatisticsGenExecutor: StockStatisticsGen,
    TransformExecutor: StockTransform,
    EvaluatorExecutor: StockEvaluator,
}


@pytest.fixture
def examples(tmp_path):
    """Two splits of whole files."""
    made = artifact(standard_artifacts.Examples, tmp_path / "examples")
    made.split_names = encode_split_names(["train", "test"])
    for split in ("train", "test"):
        folder = tmp_path / "examples" / f"Split-{split}"
        folder.mkdir(parents=True)
        with tf.io.TFRecordWriter(
            str(folder / "data_tfrecord-00000-of-00001.gz"), tf.io.TFRecordOptions("GZIP")
        ) as writer:
            for i in range(30):
                writer.write(to_example({"id": [i], "name": [f"row {i}"]}))
    return made


def file_of(examples, split):
    (path,) = (pathlib.Path(examples.uri) / f"Split-{split}").iterdir()
    return path


@pytest.fixture
def calls(monkeypatch):
    """What reaches TFX's own executors."""
    made = []
    for stock in EXECUTORS.values():
        monkeypatch.setattr(stock, "Do", lambda self, *given: made.append(given))
    return made


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_truncated_file_is_named_and_not_read(examples, calls, executor, split):
    path = file_of(examples, split)
    cut_silently(path)
    with pytest.raises(ValueError, match=rf"^{path} is damaged \(.+\); restore it"):
        executor().Do({"examples": [examples]}, {}, {})
    assert not calls


@pytest.mark.parametrize("executor", EXECUTORS)
def test_whole_files_go_to_tfxs_own_executor(examples, calls, executor):
    given = {"examples": [examples]}, {"statistics": []}, {"a": 1}
    executor().Do(*given)
    assert calls == [given]


def test_the_evaluator_looks_at_the_splits_that_it_reads(examples, calls):
    cut_silently(file_of(examples, "train"))
    properties = {"example_splits": json_utils.dumps(["test"])}
    EvaluatorExecutor().Do({"examples": [examples]}, {}, properties)
    assert calls


def test_statistics_are_those_of_tfx(examples, tmp_path):
    written = {}
    for executor in (StatisticsGenExecutor, StockStatisticsGen):
        statistics = artifact(standard_artifacts.ExampleStatistics, tmp_path / executor.__module__)
        context = BaseBeamExecutor.Context(BEAM_ARGS, None, str(tmp_path / "tmp"), "1")
        executor(context).Do(
            {"examples": [examples]},
            {"statistics": [statistics]},
            {"exclude_splits": json_utils.dumps(["test"])},
        )
        folder = pathlib.Path(statistics.uri)
        written[executor] = [path.relative_to(folder) for path in sorted(folder.rglob("*"))]
    ours, stock = written.values()
    assert ours == stock != []


@pytest.mark.parametrize("name", ["Evaluator", "StatisticsGen", "Transform"])
def test_the_components_take_the_places_of_tfxs_own(name):
    ours, stock = getattr(whole_examples, name), getattr(tfx.components, name)
    assert ours.__name__ == stock.__name__
    assert ours.SPEC_CLASS is stock.SPEC_CLASS
    module, executor = ours.EXECUTOR_SPEC.class_path.rsplit(".", 1)
    found = getattr(importlib.import_module(module), executor)
    assert issubclass(found, stock.EXECUTOR_SPEC.executor_class)


@pytest.mark.parametrize("split", ["train", "eval"])
def test_the_trainer_names_it_before_it_trains(transformed_data, tmp_path, split):
    shutil.copytree(transformed_data.folder, tmp_path / "data")
    data = TransformedData(tmp_path / "data")
    (path,) = (data.examples_dir / f"Split-{split}").iterdir()
    cut_silently(path)
    with pytest.raises(ValueError, match=rf"^{path} is damaged"):
        data.train(tmp_path / "run", trainer_config())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("split", ["train", "eval", "test"])
def test_the_comparison_names_it_before_it_trains(transformed_data, tmp_path, split):
    shutil.copytree(transformed_data.folder, tmp_path / "data")
    data = TransformedData(tmp_path / "data")
    test_examples = write_test_split(tmp_path / "test_examples")
    folder = test_examples if split == "test" else data.examples_dir
    (path,) = (folder / f"Split-{split}").iterdir()
    cut_silently(path)
    with pytest.raises(ValueError, match=rf"^{path} is damaged"):
        compare(data, test_examples, tmp_path / "run")
    assert not list((tmp_path / "run").iterdir())
