"""What is found out about the data before anything runs."""

import gzip

import pytest

from pcgrad_pipelines.config import load_config
from pcgrad_pipelines.local.data_check import check_config_data
from pcgrad_tfx.errors import DataError

HEADER = "row,miles,company,shared,day,payment,tip,zone"
ROWS = [
    f"{i},{i * 7 % 90 / 4},{'Blue' if i % 3 else 'Red'},{i % 5 == 0},2013-01-{1 + i % 28:02},"
    f"{'cash' if i % 4 else 'card'},{i * 31 % 77 / 7 if i % 4 == 0 else 0},{'NSWE'[i * 7 % 11 % 4]}"
    for i in range(400)
]
CONFIG = """
name = "trips"
[data]
path = "trips.csv"
[[tasks]]
name = "shared"
kind = "binary"
column = "shared"
[[tasks]]
name = "tip"
kind = "binary"
column = "tip"
above = 0
[[tasks]]
name = "zone"
kind = "multiclass"
column = "zone"
"""


def inspected(folder, text=CONFIG, rows=ROWS, header=HEADER):
    (folder / "trips.csv").write_text("\n".join([header, *rows, ""]))
    (folder / "trips.toml").write_text(text)
    return check_config_data(load_config(folder / "trips.toml", draft=True), "trips.toml")


def test_what_is_left_out_is_found(tmp_path):
    found = inspected(tmp_path)
    shared, tip, zone = found.config.tasks
    assert shared.positive == "True"
    assert tip.above == 0
    assert zone.classes == ("E", "N", "S", "W")
    assert found.config.features.numeric == ("miles",)
    assert found.config.features.categorical == ("company", "payment")
    assert found.config.undecided() == []
    assert found.files.patterns == {"all": "trips.csv"}


def test_what_was_found_is_said(tmp_path):
    numeric, categorical, others, *leaks = inspected(tmp_path).remarks
    assert numeric == "numeric features: miles"
    assert categorical == "categorical features: company, payment"
    assert others.startswith("no features: row (identifier: 400 different values in 400 rows), day")
    assert leaks == [
        (
            "possible leak: 'payment' alone predicts tip almost perfectly (AUC 0.995); exclude "
            "'payment' unless it is known before tip"
        )
    ]


def test_what_is_listed_stays_and_nothing_is_said_of_it(tmp_path):
    text = CONFIG + '[features]\nnumeric = ["miles"]\ncategorical = []\n'
    found = inspected(tmp_path, text)
    assert found.config.features.columns == ("miles",)
    assert found.remarks == ()


def test_a_condition_is_checked_and_its_column_is_no_feature(tmp_path):
    condition = 'column = "tip"\nonly_where = { payment = "card" }'
    found = inspected(tmp_path, CONFIG.replace('column = "tip"', condition))
    assert found.config.features.categorical == ("company",)
    assert any("payment (in `only_where` of tip)" in remark for remark in found.remarks)
    with pytest.raises(DataError) as error:
        inspected(tmp_path, CONFIG.replace('column = "tip"', condition.replace("card", "Card")))
    assert str(error.value) == (
        "trips.toml: tasks[1]: `only_where` asks for 'Card', but column 'payment' has no such"
        ' value; did you mean "card"?'
    )
    with pytest.raises(DataError, match=r"no column 'paymnt' \(did you mean 'payment'\?\)"):
        inspected(
            tmp_path, CONFIG.replace('column = "tip"', condition.replace("payment", "paymnt"))
        )


def test_every_row_counts_where_a_sample_shows_numbers_only(tmp_path, monkeypatch):
    monkeypatch.setattr("pcgrad_tfx.data.row_sample.MAX_ROWS", 20)
    rows = [*ROWS, "400,many,Blue,True,2013-01-01,cash,0,N"]
    with pytest.raises(DataError, match=r"trips\.csv:402: column 'miles': 'many' is not a number"):
        inspected(tmp_path, rows=rows)


def test_texts_for_missing_values_are_pointed_out_and_can_be_named(tmp_path):
    rows = [*ROWS, "NA,NA,Blue,True,2013-01-01,cash,NA,N"]
    text = CONFIG.replace('column = "tip"\nabove = 0', 'column = "payment"\npositive = "card"')
    remarks = inspected(tmp_path, text, rows).remarks
    assert 'texts that look like missing values: write missing = ["NA"] under [data]' in remarks
    with_missing = text.replace('"trips.csv"', '"trips.csv"\nmissing = ["NA"]')
    assert "miles" in inspected(tmp_path, with_missing, rows).config.features.numeric
    with pytest.raises(DataError, match=r"'NA' is not a number; .* missing = \['NA'\] under \["):
        inspected(tmp_path, rows=rows)


def test_a_compressed_file_and_a_folder_of_splits(tmp_path):
    content = "\n".join([HEADER, *ROWS, ""])
    (tmp_path / "trips.csv.gz").write_bytes(gzip.compress(content.encode()))
    found = inspected(tmp_path, CONFIG.replace("trips.csv", "trips.csv.gz"))
    assert found.files.patterns == {"all": "trips.csv.gz"}
    for number, split in enumerate(("train", "valid", "test")):
        (tmp_path / "splits" / split).mkdir(parents=True)
        part = "\n".join([HEADER, *ROWS[number::3], ""])
        (tmp_path / "splits" / split / "a.csv").write_text(part)
    split = inspected(tmp_path, CONFIG.replace("trips.csv", "splits"))
    assert set(split.files.splits) == {"train", "eval", "test"}
    assert split.config.features == found.config.features


@pytest.mark.parametrize(
    ("column", "row"),
    [(3, "401,1,Red,NA,2013-01-01,cash,0,N"), (7, "401,1,Red,True,2013-01-01,cash,0,NA")],
)
def test_a_missing_label_is_no_class(tmp_path, column, row):
    name = HEADER.split(",")[column]
    with pytest.raises(DataError, match=f"column '{name}' holds 'NA', which seems to stand for"):
        inspected(tmp_path, rows=[*ROWS, row])
