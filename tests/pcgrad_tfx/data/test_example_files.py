"""Our reader of Transform's files: it yields what TFX's own yields, in the order that is wanted."""

import gzip
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_transform.tf_metadata import schema_utils
from tfx.components.util import examples_utils, tfxio_utils
from tfx.proto import example_gen_pb2
from tfx.types import standard_artifacts
from tfx_bsl.public import tfxio

from pcgrad_tfx.data import example_files
from pcgrad_tfx.data.example_files import read_batches, read_shuffled_batches
from transform_runs import to_example
from transformed import artifact

BATCH_SIZE = 16
SPEC = {
    "number": tf.io.FixedLenFeature([], tf.float32),
    "id": tf.io.FixedLenFeature([], tf.int64),
    "pair": tf.io.FixedLenFeature([2], tf.float32),
    "text": tf.io.FixedLenFeature([], tf.string),
    "bag": tf.io.VarLenFeature(tf.int64),
}


def row(i):
    return {
        "number": [i / 3],
        "id": [2**40 + i],
        "pair": [float(i), -i / 7],
        "text": [f"row {i}"],
        "bag": list(range(i % 4)),
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Two files of 50 and 30 rows."""
    folder = tmp_path_factory.mktemp("examples") / "Split-train"
    folder.mkdir()
    for shard, rows in enumerate((range(50), range(50, 80))):
        path = str(folder / f"examples-0000{shard}-of-00002.gz")
        with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions("GZIP")) as writer:
            for i in rows:
                writer.write(to_example(row(i)))
    return example_files.example_files([str(folder / "*")])


def of_tfx(files, spec):
    """The rows, by the dataset that TFX's Trainer offers."""
    examples = artifact(standard_artifacts.Examples, "unused")
    examples_utils.set_payload_format(examples, example_gen_pb2.FORMAT_TF_EXAMPLE)
    read = tfxio_utils.get_tf_dataset_factory_from_artifact([examples], ["Test"])
    options = tfxio.TensorFlowDatasetOptions(batch_size=BATCH_SIZE, num_epochs=1, shuffle=False)
    return read(files, options, schema_utils.schema_from_feature_spec(spec))


def parsed(batches, spec):
    return batches.map(lambda records: tf.io.parse_example(records, spec))


def plain(value):
    return value.values.numpy() if isinstance(value, tf.SparseTensor) else value.numpy()


def assert_same_batches(ours, theirs):
    ours, theirs = list(ours), list(theirs)
    assert len(ours) == len(theirs) > 1
    for mine, other in zip(ours, theirs, strict=True):
        assert set(mine) == set(other)
        for name in mine:
            assert mine[name].dtype == other[name].dtype
            assert mine[name].shape == other[name].shape
            np.testing.assert_array_equal(plain(mine[name]), plain(other[name]))


def test_all_kinds_of_features_are_as_tfx_reads_them(files):
    assert_same_batches(parsed(read_batches(files, BATCH_SIZE), SPEC), of_tfx(files, SPEC))


def test_what_transform_wrote_is_as_tfx_reads_it(transformed_data):
    files = example_files.example_files(transformed_data.files("train"))
    spec = transformed_data.output.transformed_feature_spec()
    assert_same_batches(parsed(read_batches(files, BATCH_SIZE), spec), of_tfx(files, spec))


def ids(files, seed):
    records = read_shuffled_batches(files, BATCH_SIZE, tf.constant(seed, tf.int64))
    batches = list(parsed(records, SPEC))
    assert [len(batch["id"]) for batch in batches] == [BATCH_SIZE] * 5
    for batch in batches:
        for position, number in enumerate(batch["id"].numpy() - 2**40):
            assert batch["text"][position].numpy().decode() == f"row {number}"
    return np.concatenate([batch["id"].numpy() for batch in batches]) - 2**40


@pytest.mark.parametrize("block", [20, 64, 1000])
def test_shuffled_batches_hold_each_row_once_near_its_place(files, monkeypatch, block):
    monkeypatch.setattr(example_files, "_SHUFFLED_ROWS", block)
    order = ids(files, [5, 0])
    np.testing.assert_array_equal(np.sort(order), range(80))
    np.testing.assert_array_equal(order // block, np.arange(80) // block)
    # Each block has an order of its own.
    assert len({tuple(np.argsort(order[i : i + block])) for i in range(0, 80 - block, block)}) == (
        (80 - 1) // block
    )


def test_the_order_is_a_function_of_the_seed(files):
    orders = {tuple(ids(files, seed)) for seed in ([5, 0], [5, 1], [6, 0])}
    assert len(orders) == 3
    assert tuple(ids(files, [5, 1])) in orders


def test_a_path_without_files_is_named(tmp_path):
    with pytest.raises(ValueError, match=rf"there is no file {tmp_path}/\*; check the path"):
        example_files.example_files([f"{tmp_path}/*"])


def test_another_format_is_refused(tmp_path):
    (tmp_path / "examples.parquet").touch()
    with pytest.raises(ValueError, match=r"examples\.parquet is not a gzipped TFRecord"):
        example_files.example_files([f"{tmp_path}/*"])


def write_rows(path, count):
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions("GZIP")) as writer:
        for i in range(count):
            writer.write(to_example(row(i)))
    return path.read_bytes()


@pytest.mark.parametrize("count", [0, 1, 30, 300])
def test_a_file_cut_at_any_byte_is_named(tmp_path, count):
    """TensorFlow, and Beam, read some of them as shorter files."""
    path = tmp_path / "examples.gz"
    content = write_rows(path, count)
    example_files.check_whole([str(path)])
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match=rf"^{path} is damaged \(.+\); restore it, or run the"):
            example_files.check_whole([str(path)])


def test_a_flipped_bit_is_found_unless_the_rows_are_the_same(tmp_path):
    path = tmp_path / "examples.gz"
    content = write_rows(path, 30)
    rows = gzip.decompress(content)
    found = 0
    for place in range(10, len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            example_files.check_whole([str(path)])
        except ValueError:
            found += 1
        else:
            assert gzip.decompress(path.read_bytes()) == rows
    assert found > 0.9 * len(content)


def test_the_damaged_one_of_several_files_is_named(files, tmp_path):
    damaged = tmp_path / "damaged.gz"
    damaged.write_bytes(pathlib.Path(files[1]).read_bytes()[:-1])
    with pytest.raises(ValueError, match=rf"^{damaged} is damaged"):
        example_files.check_whole([*files, str(damaged)])


def test_a_file_of_several_gzip_members_is_whole(files, tmp_path):
    """As `cat` makes it; TensorFlow reads all of it."""
    path = tmp_path / "both.gz"
    path.write_bytes(b"".join(pathlib.Path(file).read_bytes() for file in files))
    example_files.check_whole([str(path)])
    assert sum(len(batch) for batch in read_batches([str(path)], BATCH_SIZE)) == 80
