"""Labels that look like numbers: what --init writes is what a run takes, whatever the format."""

import random

import pytest

from pipelines.config import load_config
from pipelines.init_config import init_config
from pipelines.inspection import inspect_data

ROWS = 600


def written(folder, cells):
    choose = random.Random(0)
    lines = [f"{choose.random():.4f},{choose.choice(cells)},{i % 3}" for i in range(ROWS)]
    (folder / "codes.csv").write_text("\n".join(["x,code,place", *lines, ""]))
    return folder / "codes.csv"


def inited(path, *labels):
    """The task that --init writes, and what a run says of it."""
    file = init_config(str(path), str(path.with_suffix(".toml")), labels)
    found = inspect_data(load_config(file), str(file))
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


def test_the_text_that_the_sample_lacks_counts(tmp_path, monkeypatch):
    monkeypatch.setattr("pcgrad_tfx.row_sample.MAX_ROWS", 150)
    path = written(tmp_path, ["01", "02", "03"])
    path.write_text(path.read_text().replace("x,code,place\n", "x,code,place\n0.5,X1,1\n"))
    task, remarks = inited(path, "code")
    assert task.classes == ("01", "02", "03", "X1")
    (remark,) = remarks
    assert "few rows of 'X1' in 0 rows: if" in remark
