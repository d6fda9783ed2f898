"""Columns of words that say yes or no: from the files to the examples, they are numbers."""

import pandas as pd
import pytest
import tensorflow as tf

from pcgrad_tfx.data.files import check_data, find_data
from pcgrad_tfx.data.truth_values import truth_value
from pcgrad_tfx.errors import DataError

WORDS = ["yes", "No", "", "no"] * 30


def write(tmp_path, kind, cells):
    path = tmp_path / f"a.{kind}"
    if kind == "parquet":
        pd.DataFrame({"x": [cell or None for cell in cells]}).to_parquet(path)
    elif kind == "csv":
        pd.DataFrame({"n": 1, "x": cells}).to_csv(path, index=False)
    else:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for cell in cells:
                example = tf.train.Example()
                kept = [cell.encode()] if cell else []
                example.features.feature["x"].bytes_list.value.extend(kept)
                writer.write(example.SerializeToString())
    return str(path)


@pytest.mark.parametrize("kind", ["csv", "parquet", "tfrecord"])
def test_words_may_stand_where_numbers_are_needed(tmp_path, kind):
    path = write(tmp_path, kind, WORDS)
    assert check_data(find_data(path), required=set(), numeric={"x"}).rows == 120


@pytest.mark.parametrize("kind", ["csv", "parquet", "tfrecord"])
@pytest.mark.parametrize("cell", ["maybe", "1", "2.5"])
def test_another_cell_among_words_is_refused(tmp_path, kind, cell):
    path = write(tmp_path, kind, [*WORDS, cell])
    with pytest.raises(DataError, match=rf"(:122|12[01]): column 'x': .*({cell}|bytes_list)"):
        check_data(find_data(path), required=set(), numeric={"x"})


def test_a_word_among_numbers_is_refused(tmp_path):
    path = write(tmp_path, "csv", ["1", "0", "yes"] * 40)
    with pytest.raises(DataError, match=":4: column 'x': 'yes' is not a number; correct it"):
        check_data(find_data(path), required=set(), numeric={"x"})


@pytest.mark.parametrize(
    ("values", "yes"),
    [(["N", "Y"], "Y"), (["False", "TRUE "], "TRUE "), (["0", "1"], "1"), (["t", "no"], "t"),
     (["yes"], None), (["y", "n", "?"], None), (["m", "f"], None),
     (["non", "Oui"], "Oui"), (["no", "Sí"], "Sí"), (["ja", "nein"], "ja")],
)  # fmt: skip
def test_the_value_that_says_yes(values, yes):
    assert truth_value(values) == yes
