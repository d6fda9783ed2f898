"""ImportExampleGen: bad records stop it, on good ones it does what TFX's own does."""

import importlib
import itertools

import pytest
import tensorflow as tf
from tfx import v1 as tfx
from tfx.components.example_gen.import_example_gen import executor as stock_executor

from example_gen_runs import OUTPUT, SPLITS, examples, generate, read_split
from pcgrad_tfx.errors import DataError
from pcgrad_tfx.example_gen.import_example_gen import Executor, ImportExampleGen
from transform_runs import to_example

ROWS = [{"id": [i], "fare": [i / 2] if i % 7 else [], "name": ["Ann"]} for i in range(300)]


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def write(path, rows):
    options = "GZIP" if path.name.endswith(".gz") else None
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for row in rows:
            writer.write(to_example(row))


def example_gen(folder, **options):
    options = {"required": ["name"], "numeric": ["id", "fare"], "output_config": OUTPUT} | options
    return ImportExampleGen(str(folder), **options)


@pytest.mark.parametrize("name", ["a.tfrecord", "a.tfrecord.gz"])
def test_it_imports_what_tfx_imports(data, tmp_path, name):
    write(data / name, ROWS)
    component = example_gen(data)
    ours = generate(Executor, component, tmp_path / "ours")
    stock = generate(stock_executor.Executor, component, tmp_path / "stock")
    for split in SPLITS:
        assert read_split(ours, split) == read_split(stock, split) != []


def test_equal_rows_are_not_written_one_after_the_other(data, tmp_path):
    write(data / "a.tfrecord", [{"id": [i // 60], "name": ["Ann"]} for i in range(600)])
    component = example_gen(data, numeric=["id"])
    found = examples(generate(Executor, component, tmp_path / "examples"), "train")
    ids = [row.features.feature["id"].int64_list.value[0] for row in found]
    assert len(set(ids)) > 2
    changes = sum(one != other for one, other in itertools.pairwise(ids))
    assert changes > len(ids) / 3


def test_a_bad_record_stops_the_executor_before_it_writes(data, tmp_path):
    write(data / "a.tfrecord", [*ROWS, {"id": ["one"]}])
    with pytest.raises(DataError, match=r"a\.tfrecord: record 301: column 'id': a text"):
        generate(Executor, example_gen(data), tmp_path / "examples")
    assert not (tmp_path / "examples").exists()


def test_splits_of_the_users_own(data, tmp_path):
    write(data / "train.tfrecord", ROWS)
    write(data / "eval.tfrecord", ROWS[1:2])
    splits = [
        tfx.proto.Input.Split(name=name, pattern=f"{name}.tfrecord") for name in ("train", "eval")
    ]
    component = example_gen(data, input_config=tfx.proto.Input(splits=splits), output_config=None)
    folder = generate(Executor, component, tmp_path / "examples")
    assert [len(read_split(folder, split)) for split in ("train", "eval")] == [300, 1]


def test_it_takes_the_place_of_tfxs_own_in_the_pipeline(data):
    stock = tfx.components.ImportExampleGen(input_base=str(data))
    ours = example_gen(data)
    assert ours.id == stock.id == "ImportExampleGen"
    assert ours.driver_class is stock.driver_class
    assert ours.outputs["examples"].type is stock.outputs["examples"].type
    for key in ("output_data_format", "output_file_format"):
        assert ours.exec_properties[key] == stock.exec_properties[key]


def test_the_executor_can_be_imported_by_its_path_as_kubeflow_does(data):
    module, name = example_gen(data).executor_spec.class_path.rsplit(".", 1)
    assert getattr(importlib.import_module(module), name) is Executor


@pytest.mark.parametrize("length", [30, 0.5])
@pytest.mark.parametrize("name", ["a.tfrecord", "a.tfrecord.gz"])
def test_a_truncated_file_is_named(data, tmp_path, name, length):
    write(data / name, ROWS)
    content = (data / name).read_bytes()
    kept = length if isinstance(length, int) else int(length * len(content))
    (data / name).write_bytes(content[:kept])
    with pytest.raises(DataError, match=rf"^{data / name}: ") as raised:
        generate(Executor, example_gen(data), tmp_path / "examples")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "examples").exists()
