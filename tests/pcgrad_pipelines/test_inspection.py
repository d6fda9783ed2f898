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


def test_ten_leaks_are_enough(tmp_path):
    copies = ",".join(f"copy_{place}" for place in range(12))
    rows = [f"{row}{f',{row.split(chr(44))[7]}_' * 12}" for row in ROWS]
    remarks = inspected(tmp_path, rows=rows, header=f"{HEADER},{copies}").remarks
    leaks = [remark for remark in remarks if remark.startswith("possible leak")]
    assert len(leaks) == 11
    assert all("alone predicts zone almost perfectly" in leak for leak in leaks[:10])
    assert leaks[10].startswith("possible leaks: 3 weaker ones")


def split_by(keys, text=CONFIG):
    return text.replace('"trips.csv"', f'"trips.csv"\n{keys}')


def test_a_column_that_the_rows_are_split_by_is_no_feature(tmp_path):
    found = inspected(
        tmp_path,
        split_by('group = "company"\nsplits = { train = 1, eval = 1, test = 1 }'),
        rows=[row.replace("Red", f"Red{i % 20}") for i, row in enumerate(ROWS)],
    )
    assert found.config.features.categorical == ("payment",)
    assert any("company (the rows are split by it)" in remark for remark in found.remarks)
    (sizes,) = [remark for remark in found.remarks if remark.startswith("rows, split by company: ")]
    assert "train " in sizes
    assert "groups)" in sizes
    listed = CONFIG + '[features]\nnumeric = []\ncategorical = ["day", "payment"]\n'
    found = inspected(tmp_path, split_by('time = "day"\ngap = 2', listed))
    assert found.config.features.categorical == ("day", "payment")
    assert any(remark.startswith("rows, split by day: train 2") for remark in found.remarks)
    assert any(", left out " in remark for remark in found.remarks)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('group = "compny"', "no column 'compny' (did you mean 'company'?)"),
        ('group = "row"', "another value in each of the 400 rows"),
        ('time = "company"', "trips.csv:2: column 'company' (`time`): 'Red' is no time"),
        ('stratify = "row"', "(`stratify`) has more than 100 different values"),
    ],
)
def test_what_the_rows_cannot_be_split_by(tmp_path, keys, said):
    with pytest.raises(DataError) as raised:
        inspected(tmp_path, split_by(keys))
    assert said in str(raised.value)


def test_a_value_with_few_different_rows_is_named(tmp_path):
    """Its rows are all in train, which nobody else would say."""
    same = ROWS[0].replace("True", "maybe").replace("False", "maybe")
    text = split_by(
        'stratify = "shared"',
        CONFIG.replace(
            'kind = "binary"\ncolumn = "shared"', 'kind = "multiclass"\ncolumn = "shared"'
        ),
    )
    remarks = inspected(tmp_path, text, [*ROWS, *[same] * 50]).remarks
    said = "fewer than three different rows of 'maybe' (50 rows) (`stratify`): all of them are in"
    assert any(said in remark for remark in remarks)


def test_splits_of_ones_own_are_not_split_again(tmp_path):
    for split in ("train", "eval", "test"):
        (tmp_path / "splits" / split).mkdir(parents=True)
        (tmp_path / "splits" / split / "a.csv").write_text("\n".join([HEADER, *ROWS, ""]))
    text = CONFIG.replace('"trips.csv"', '"splits"\nsplits = { train = 2, eval = 1, test = 1 }')
    with pytest.raises(DataError, match="has splits of its own, which `splits` would not change"):
        inspected(tmp_path, text)


def test_a_rare_class_and_its_remedy(tmp_path):
    rows = [row.replace(",False,", ",maybe,") if i % 50 == 2 else row for i, row in enumerate(ROWS)]
    text = CONFIG.replace(
        'kind = "binary"\ncolumn = "shared"', 'kind = "multiclass"\ncolumn = "shared"'
    )
    (remark,) = [one for one in inspected(tmp_path, text, rows).remarks if "few rows of" in one]
    assert 'stratify = ["shared"] under [data] gives each split its share' in remark
    stratified = inspected(tmp_path, split_by('stratify = "shared"', text), rows)
    assert not [one for one in stratified.remarks if "few rows of" in one]
    by_time = inspected(tmp_path, split_by('time = "day"', text), rows)
    assert not [one for one in by_time.remarks if "stratify" in one]


@pytest.mark.parametrize(
    ("column", "row"),
    [(3, "401,1,Red,NA,2013-01-01,cash,0,N"), (7, "401,1,Red,True,2013-01-01,cash,0,NA")],
)
def test_a_missing_label_is_no_class(tmp_path, column, row):
    name = HEADER.split(",")[column]
    with pytest.raises(DataError, match=f"column '{name}' holds 'NA', which seems to stand for"):
        inspected(tmp_path, rows=[*ROWS, row])
