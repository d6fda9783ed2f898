"""Categories that are numbers: those that TFX would mix up are refused, the others are not."""

import pytest

from pcgrad_tfx.data.csv_checks import check_csv, csv_location
from pcgrad_tfx.errors import DataError


def check(path):
    return check_csv(*csv_location(str(path)), required=["name"], numeric=["id", "fare"])


CODES = {
    "beyond int64": (["12345678901234567890", "12345678901234567891"], "would be the same as"),
    "beside decimal numbers": (["16777216", "16777217", "0.5"], "would be the same as '16777216'"),
    "beside a gap in words": (["20000001", "20000000", "nan"], "would be the same as '20000001'"),
    "many digits": (["0.1", "0.10000000001"], "would be the same as '0.1'"),
    "hundreds of digits": (["1", "1" * 400], "(400 characters) is no finite 32-bit number"),
    "beyond float32": (["1", "1e40"], "'1e40' is no finite 32-bit number"),
}


@pytest.mark.parametrize("name", CODES)
def test_categories_that_tfx_would_mix_up_are_refused(tmp_path, name):
    cells, said = CODES[name]
    rows = "".join(f"{i},2.5,{cells[i % len(cells)]}\n" for i in range(120))
    (tmp_path / "data.csv").write_text("id,fare,name\n" + rows)
    with pytest.raises(DataError) as caught:
        check(tmp_path / "data.csv")
    message = str(caught.value)
    assert said in message
    assert message.startswith(f"{tmp_path / 'data.csv'}:")
    assert message.endswith("write whole numbers only, or put a letter before each to make texts")


@pytest.mark.parametrize(
    "cells",
    [
        ["9007199254740993", "9007199254740992", "9223372036854775807"],  # 64-bit integers
        ["16777216", "16777217", "0.5", "abc"],  # a text among them: all are texts
        ["1_6777216", "16777217", "0.5"],
        ["8", "8.0", "08", "1.5"],  # the same number, written in several ways
    ],
)
def test_categories_that_tfx_keeps_apart_are_accepted(tmp_path, cells):
    rows = "".join(f"{i},2.5,{cells[i % len(cells)]}\n" for i in range(120))
    (tmp_path / "data.csv").write_text("id,fare,name\n" + rows)
    assert check(tmp_path / "data.csv").rows == 120
