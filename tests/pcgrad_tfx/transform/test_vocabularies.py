"""The vocabularies of many columns, against a count in Python."""

import random
from collections import Counter

import pytest
import tensorflow as tf
import tensorflow_transform as tft

from pcgrad_tfx.config.features import Features
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.transform.preprocessing import embedding_sizes
from pcgrad_tfx.transform.vocabularies import read_vocabularies
from transform_runs import config_of, run_transform

SIZE, OOV_BUCKETS = 6, 3
VALUES = {
    "letters": list("abcdefgh"),
    'any "name"\twith\r\nall, null, Ж': [
        "a",
        "null",
        "\t",
        "a\tb",
        '"',
        "\x00",
        " a",
        "Жюль",
        "\\",
    ],
    "null": ["a", "b\n", "\r", "line\nbreak", "c"],
    "bytes": [b"\xff", b"\xfe\xfa", b"a"],
    "one": ["a"],
    "none": [],
}
COLUMNS = tuple(VALUES)
TASKS = (Task(name="fare", kind="regression", column="fare"),)


def to_bytes(value):
    return value if isinstance(value, bytes) else value.encode()


def table(count):
    """Rows with many equally frequent values; every fifth is missing or empty."""
    generator = random.Random(0)
    rows = []
    for number in range(count):
        row = {"id": [number], "fare": [1.0]}
        for column, values in VALUES.items():
            chance = generator.random()
            if chance < 0.8 and values:
                row[column] = [to_bytes(generator.choice(values))]
            elif chance < 0.9:
                row[column] = [b""]
        rows.append(row)
    return rows


ROWS = table(60)


@pytest.fixture(scope="module")
def transformed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vocabularies")
    spec = {
        **dict.fromkeys(COLUMNS, tf.io.VarLenFeature(tf.string)),
        "id": tf.io.VarLenFeature(tf.int64),
        "fare": tf.io.VarLenFeature(tf.float32),
    }
    features = Features(
        categorical=COLUMNS, numeric=("id",), vocabulary_size=SIZE, oov_buckets=OOV_BUCKETS
    )
    rows = run_transform(ROWS, spec, config_of(TASKS, features), folder)
    output = tft.TFTransformOutput(str(folder / "graph"))
    return sorted(rows, key=lambda row: row["id_xf"]), output, features


def expected_vocabulary(column):
    counts = Counter(value for row in ROWS for value in row.get(column, []) if value)
    known = [value for value in counts if not {*b"\r\n"} & {*value}]
    # First by the bytes, descending; sorting is stable.
    known.sort(reverse=True)
    known.sort(key=lambda value: counts[value], reverse=True)
    return known[:SIZE]


@pytest.mark.parametrize("column", COLUMNS)
def test_the_most_frequent_values_are_kept_by_frequency(transformed, column):
    _, output, _ = transformed
    assert read_vocabularies(output)[column] == expected_vocabulary(column)


@pytest.mark.parametrize("column", COLUMNS)
def test_ids(transformed, column):
    """0 where there is no value, the place in the vocabulary from 1, or one of the OOV ids."""
    rows, output, features = transformed
    vocabulary = read_vocabularies(output)[column]
    first_unknown = len(vocabulary) + 1
    assert embedding_sizes(features, output)[f"{column}_xf"] == first_unknown + OOV_BUCKETS
    for raw, row in zip(ROWS, rows, strict=True):
        (value,) = raw.get(column, [b""])
        found = row[f"{column}_xf"]
        if not value:
            assert found == 0
        elif value in vocabulary:
            assert found == 1 + vocabulary.index(value)
        else:
            bucket = tf.strings.to_hash_bucket_fast(value, OOV_BUCKETS).numpy()
            assert found == first_unknown + bucket


def test_values_of_one_column_are_unknown_in_another(transformed):
    _, output, _ = transformed
    raw = {column: tf.sparse.from_dense([["c"], ["h"]]) for column in COLUMNS}
    raw["id"] = tf.sparse.from_dense(tf.constant([[1], [2]], tf.int64))
    ids = output.transform_features_layer()(raw)
    for column in COLUMNS:
        vocabulary = read_vocabularies(output)[column]
        for value, found in zip((b"c", b"h"), ids[f"{column}_xf"].numpy(), strict=True):
            assert (found <= len(vocabulary)) == (value in vocabulary)


def test_a_graph_without_vocabularies_is_named(tmp_path):
    spec = dict.fromkeys(("id", "fare"), tf.io.VarLenFeature(tf.float32))
    features = Features(numeric=("id",))
    run_transform([{"id": [1.0], "fare": [1.0]}], spec, config_of(TASKS, features), tmp_path)
    output = tft.TFTransformOutput(str(tmp_path / "graph"))
    assert embedding_sizes(features, output) == {}
    with pytest.raises(ValueError, match=r"no file 'vocabularies': .*no categorical features"):
        read_vocabularies(output)
