"""A bounded sample of rows is drawn evenly, and is the same for the same rows."""

import numpy as np

from pcgrad_tfx.data import row_sample
from pcgrad_tfx.data.row_sample import RowSample


def sampled(rows, **options):
    sample = RowSample(**options)
    for row in rows:
        sample.add(("number", "name"), row)
    return sample


def test_all_rows_are_kept_while_there_is_room():
    rows = [(str(i), "Ann") for i in range(50)]
    sample = sampled(rows)
    assert sample.rows == 50
    assert list(sample.frame().itertuples(index=False, name=None)) == rows


def test_of_more_rows_every_part_is_kept_alike(monkeypatch):
    monkeypatch.setattr(row_sample, "MAX_ROWS", 1000)
    sample = sampled((str(i), "Ann") for i in range(20_000))
    assert sample.rows == 20_000
    kept = sample.frame()["number"].astype(int)
    assert len(set(kept)) == 1000
    in_tenths = np.histogram(kept, bins=10, range=(0, 20_000))[0]
    # 100 of them are expected in each tenth, with a standard deviation of 9.
    assert in_tenths.min() > 60
    assert in_tenths.max() < 140


def test_the_same_rows_give_the_same_sample(monkeypatch):
    monkeypatch.setattr(row_sample, "MAX_ROWS", 10)
    one, other = (sampled((str(i), "Ann") for i in range(500)) for _ in range(2))
    assert one.frame().equals(other.frame())


def test_many_columns_leave_room_for_fewer_rows(monkeypatch):
    monkeypatch.setattr(row_sample, "_MAX_CELLS", 20)
    assert len(sampled((str(i), "Ann") for i in range(500)).frame()) == 10


def test_values_are_those_of_all_rows(monkeypatch):
    monkeypatch.setattr(row_sample, "MAX_ROWS", 5)
    rows = [("1", "")] * 300 + [("2", "Bob")] + [("1", "Ann")] * 300
    assert sampled(rows, exact=["name"]).values == {"name": {"Ann", "Bob"}}


def test_values_are_not_collected_without_end(monkeypatch):
    monkeypatch.setattr(row_sample, "MAX_VALUES", 10)
    found = sampled(((str(i), "Ann") for i in range(100)), exact=["number"]).values["number"]
    assert 10 < len(found) < 20


def test_the_split_of_each_kept_row_is_known(monkeypatch):
    monkeypatch.setattr(row_sample, "MAX_ROWS", 50)
    sample = RowSample()
    for number in range(1000):
        sample.split = "train" if number < 500 else "test"
        sample.add(("number",), (str(number),))
    kept = sample.frame()["number"].astype(int)
    assert sample.splits() == ["train" if number < 500 else "test" for number in kept]
    assert set(sample.splits()) == {"train", "test"}
