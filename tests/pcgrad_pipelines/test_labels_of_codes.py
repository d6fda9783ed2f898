"""Labels that look like numbers: what --init writes is what a run takes, whatever the format."""

import random
import re

import pytest
import tensorflow as tf

from pcgrad_pipelines.config import load_config
from pcgrad_pipelines.local.data_check import check_config_data
from pcgrad_pipelines.local.init_config import init_config
from pcgrad_tfx.errors import DataError
from pcgrad_tfx.inspection.proposal import propose

ROWS = 600


def written(folder, cells):
    choose = random.Random(0)
    lines = [f"{choose.random():.4f},{choose.choice(cells)},{i % 3}" for i in range(ROWS)]
    (folder / "codes.csv").write_text("\n".join(["x,code,place", *lines, ""]))
    return folder / "codes.csv"


def recorded(folder, cells):
    """The same as TFRecords: bytes are a bytes_list, None is left out."""
    choose = random.Random(0)
    with tf.io.TFRecordWriter(str(folder / "codes.tfrecord")) as writer:
        for i in range(ROWS):
            example = tf.train.Example()
            features = example.features.feature
            features["x"].float_list.value.append(choose.random())
            features["place"].int64_list.value.append(i % 3)
            if (cell := choose.choice(cells)) is not None:
                kind = "bytes_list" if isinstance(cell, bytes) else "int64_list"
                getattr(features["code"], kind).value.append(cell)
            writer.write(example.SerializeToString(deterministic=True))
    return folder / "codes.tfrecord"


def inited(path, *labels):
    """The task that --init writes, and what a run says of it."""
    file = init_config(str(path), str(path.with_suffix(".toml")), labels)
    found = check_config_data(load_config(file), str(file))
    return found.config.tasks[0], found.remarks


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["01", "02", "X1"], ("01", "02", "X1")),
        (["01", "02", "X1", "X2"], ("01", "02", "X1", "X2")),
        (["01", "02", "3.0"], ("1", "2", "3")),
    ],
)
def test_codes_are_numbers_if_all_of_them_are(tmp_path, cells, classes):
    task, remarks = inited(written(tmp_path, cells), "code")
    assert task.classes == classes
    assert not remarks


@pytest.mark.parametrize(
    ("name", "cells", "is_amount"),
    [
        ("final", range(11), True),
        ("code", range(-3, 3), True),
        ("code", [1, 2, 3, 5, 8, 9, 11], True),
        ("code", [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, ""], True),
        ("code", [10, 20, 30, 40, 50, 60], False),
        ("code", [0, 15, *range(30, 110, 10)], False),
        ("code", [0, 15, *range(30, 120, 10)], True),
        ("grade", [0, *range(4, 21)], True),
        ("code", [1, 2, 3, 4, 5], False),
        ("code", [1, 2, 3], False),
        ("discount", [1, 2, 3], False),
        ("stars", [1, 2, 3, 4, 5], True),
        ("movie_rating", [0, 1, 2], True),
        ("stars", [1, 3, 5], False),
        ("grade", [1, 2, 3, 4, 5, 6, "X"], False),
    ],
)
def test_few_whole_numbers_are_an_amount_if_they_have_an_order(tmp_path, name, cells, is_amount):
    path = written(tmp_path, list(map(str, cells)))
    path.write_text(path.read_text().replace("x,code,", f"x,{name},"))
    task, remarks = inited(path, name)
    assert task.kind == ("regression" if is_amount else "multiclass")
    assert not remarks
    text = path.with_suffix(".toml").read_text()
    assert ('# kind = "multiclass"  # if these are codes without an order' in text) == is_amount
    # What is a label otherwise is a candidate otherwise, too.
    candidates = {one.column: one.kind for one in propose(str(path)).candidates}
    assert candidates == {name: task.kind, "place": "multiclass", "x": "regression"}


def test_many_numbers_are_an_amount_without_a_word(tmp_path):
    path = written(tmp_path, list(map(str, range(40))))
    task, _ = inited(path, "code")
    assert task.kind == "regression"
    assert "without an order" not in path.with_suffix(".toml").read_text()


@pytest.mark.parametrize(
    ("cells", "positive"),
    [
        (["1.0", "2.0", "2.0", ""], "1"),
        (["1", "2.0", "2", ""], "1"),
        (["-1.0", "1.0", "1.0"], "-1"),
        (["01", "01", "02"], "2"),
        (["1.5", "2.5", "2.5", ""], "1.5"),
        (["0", "1", "1.0", "", "0.0"], None),
        (["00", "01"], None),
    ],
)
def test_two_numbers_however_they_are_written(tmp_path, cells, positive):
    task, remarks = inited(written(tmp_path, cells), "code")
    assert (task.kind, task.positive) == ("binary", positive)
    assert not remarks


def test_the_text_that_the_sample_lacks_counts(tmp_path, monkeypatch):
    monkeypatch.setattr("pcgrad_tfx.data.row_sample.MAX_ROWS", 150)
    path = written(tmp_path, ["01", "02", "03"])
    path.write_text(path.read_text().replace("x,code,place\n", "x,code,place\n0.5,X1,1\n"))
    task, remarks = inited(path, "code")
    assert task.classes == ("01", "02", "03", "X1")
    (remark,) = remarks
    assert "few rows of 'X1' in 0 rows: if" in remark


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        ([b"01", b"02", b"03", None], ("01", "02", "03")),
        ([b"1.5", b"10", b"2"], ("1.5", "10", "2")),
        ([1, 2, 3, None], ("1", "2", "3")),
    ],
)
def test_texts_of_tfrecords_stay_as_they_are(tmp_path, cells, classes):
    path = recorded(tmp_path, cells)
    task, remarks = inited(path, "code")
    assert task.classes == classes
    assert not remarks
    file = path.with_suffix(".toml")
    # Of texts there is no regression.
    assert ("# if these are amounts" in file.read_text()) == isinstance(cells[0], int)
    file.write_text(re.sub("classes = .*", "", file.read_text()))
    draft = load_config(file, draft=True)
    assert check_config_data(draft, str(file)).config.tasks[0].classes == classes


@pytest.mark.parametrize(
    ("cells", "positive"),
    [([b"0", b"1", None], "1"), ([b"01", b"02", b"02"], "01"), ([0, 1], None)],
)
def test_of_two_texts_of_tfrecords_one_is_positive(tmp_path, cells, positive):
    task, remarks = inited(recorded(tmp_path, cells), "code")
    assert (task.kind, task.positive) == ("binary", positive)
    assert not remarks


EMPTY = r"has one value \(.*\), the other cells hold none; write the other value into them, or"
NO_LABELS = {
    "one text": (["Y", ""], EMPTY),
    "one number": (["3.5", ""], EMPTY),
    "one number in two": (["1", "1.0"], "'1' in every row; choose another column"),
    "not whole, among texts": (["1", "2", "3.5", "a"], "holds numbers that are not whole"),
}


@pytest.mark.parametrize("name", NO_LABELS)
def test_a_column_that_cannot_be_a_label_is_no_candidate(tmp_path, name):
    cells, message = NO_LABELS[name]
    path = written(tmp_path, cells)
    assert [task.column for task in propose(str(path)).candidates] == ["place", "x"]
    with pytest.raises(DataError, match=message) as error:
        propose(str(path), ["code"])
    assert "\n" not in str(error.value)


def test_no_column_is_a_candidate(tmp_path, capsys):
    lines = [f"{i % 7 // 6 or ''},{'Y' if i % 2 else ''}" for i in range(ROWS)]
    (tmp_path / "codes.csv").write_text("\n".join(["member,newsletter", *lines, ""]))
    file = init_config(str(tmp_path / "codes.csv"), str(tmp_path / "codes.toml"), [])
    assert "is yours to say: no column looks like a label" in file.read_text()
    assert capsys.readouterr().out.endswith("predicted: no column looks like a label\n")


@pytest.mark.parametrize("labels", [["code"], []])
def test_what_seems_missing_is_no_class_of_tfrecords_and_is_told(tmp_path, capsys, labels):
    path = recorded(tmp_path, [b"a", b"b", b"c", b"NA"])
    if labels:
        task, remarks = inited(path, *labels)
        assert task.classes == ("a", "b", "c")
        assert not remarks
        assert "    without 'NA': taken for a missing value\n" in capsys.readouterr().out
    else:
        init_config(str(path), str(path.with_suffix(".toml")), labels)
    text = path.with_suffix(".toml").read_text()
    assert "# Without 'NA': taken for a missing value; list it if it is a class.\n" in text
    assert 'classes = ["a", "b", "c"]' in text
    assert "missing =" not in text


def test_what_seems_missing_beside_two_texts_of_tfrecords(tmp_path):
    """A third value beside `positive` would be a 0."""
    path = recorded(tmp_path, [b"yes", b"no", b"NA"])
    with pytest.raises(DataError, match="--label code: 'NA' seems to stand for a missing value; l"):
        propose(str(path), ["code"])
    assert "code" not in [task.column for task in propose(str(path)).candidates]


def test_what_seems_missing_among_features_of_tfrecords(tmp_path):
    path = recorded(tmp_path, [b"a", b"b", b"c", b"NA"])
    _, remarks = inited(path, "place")
    assert remarks == (
        'texts that look like missing values: leave "NA" out of the examples (code)',
    )
