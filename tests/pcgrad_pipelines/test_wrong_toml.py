"""Ten wrong configurations: one line each, with the file, the key, what is wrong and the remedy."""

import pytest

from pcgrad_pipelines.config import load_config
from pcgrad_pipelines.local.data_check import check_config_data
from pcgrad_pipelines.local.runner import FAILED, main

ROWS = [f"{i % 9}.5,{i % 3},{'yes' if i % 2 else 'no'},{'rgbk'[i % 4]}" for i in range(150)]
GOOD = """
name = "trips"
[data]
path = "trips.csv"
[[tasks]]
name = "tip"
kind = "regression"
column = "tip"
[features]
categorical = ["color"]
numeric = ["zone"]
"""


def changed(old, new):
    assert old in GOOD
    return GOOD.replace(old, new)


WRONG = {
    "no TOML": (changed('"trips.csv"', "trips.csv"), "not valid TOML: Invalid value (at line 4"),
    "misspelt key": (
        changed("column =", "colunm ="),
        'tasks[0].colunm: unknown key; did you mean "column"?',
    ),
    "unknown kind": (
        changed('"regression"', '"regresion"'),
        (
            'tasks[0].kind: "regresion" is not one of binary, multiclass, regression; '
            'did you mean "regression"?'
        ),
    ),
    "number in quotes": (
        GOOD + '[training]\nepochs = "5"',
        'training.epochs: "5" is not a whole number (passes over the training data)',
    ),
    "label among the features": (
        changed('["zone"]', '["zone", "tip"]'),
        (
            "features: column 'tip' is a feature, but the label of task 'tip' derives from it; "
            "remove it from the features"
        ),
    ),
    "texts without the positive one": (
        changed('kind = "regression"\ncolumn = "tip"', 'kind = "binary"\ncolumn = "color"').replace(
            '["color"]', "[]"
        ),
        (
            "tasks[0]: column 'color' holds texts, not 0 and 1; add `positive`, the value that "
            "counts as 1 (it has 'b', 'g', 'k', 'r' …)"
        ),
    ),
    "misspelt positive value": (
        changed('"regression"\ncolumn = "tip"', '"binary"\ncolumn = "shared"\npositive = "yess"'),
        (
            "tasks[0]: `positive` is 'yess', but column 'shared' has no such value; "
            'did you mean "yes"?'
        ),
    ),
    "classes of an amount": (
        changed('"regression"', '"multiclass"'),
        (
            "tasks[0]: column 'tip' holds numbers that are not whole; use "
            'kind = "regression"'
        ),
    ),
    "misspelt exclusion": (
        changed('numeric = ["zone"]', '[features.exclude]\nzones = "why"'),
        "features.exclude: column 'zones' is not in the data; did you mean \"zone\"?",
    ),
    "a number that is too large": (
        GOOD + "[training]\nbatch_size = 1000000000000000000000000000000",
        "training.batch_size: 1000000000000000000000000000000 ",
    ),
    "brackets within brackets": (
        GOOD + f"[training]\nhidden_units = {'[' * 500}{']' * 500}",
        "more than 20 lists or tables within each other; no key takes so many",
    ),
    "tables within tables": (
        GOOD + f"[{'.'.join(['a'] * 100)}]\nb = 1",
        "more than 20 lists or tables within each other; no key takes so many",
    ),
    "a third value of a binary task": (
        changed('"regression"\ncolumn = "tip"', '"binary"\ncolumn = "shared"').replace(
            "shared", "zone"
        ).replace('numeric = ["zone"]', "numeric = []"),
        "tasks[0]: column 'zone' holds '2', too, in 33.3% of the rows, and such rows would have no",
    ),
    "data of another format": (
        changed('"trips.csv"', '"trips.csv.zip"'),
        "an archive; unpack it (a CSV file alone may be a .csv.gz)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_one_line_says_what_is_wrong_where_and_what_would_be_right(tmp_path, capfd, name):
    text, expected = WRONG[name]
    (tmp_path / "trips.csv").write_text("\n".join(["tip,zone,shared,color", *ROWS, ""]))
    config = tmp_path / "trips.toml"
    config.write_text(text)
    assert main(["--config", str(config), "--output", str(tmp_path / "out")]) == FAILED
    lines = capfd.readouterr().out.splitlines()
    (message,) = [line for line in lines if expected in line]
    assert message.startswith(str(config))
    # Besides, only what a run says of itself.
    others = [line for line in lines if line != message]
    assert all(line.startswith(("trips: ", "  checking", "Full log: ")) for line in others)
    assert not (tmp_path / "out" / "artifacts").exists()


def test_without_the_mistakes_the_data_are_accepted(tmp_path):
    (tmp_path / "trips.csv").write_text("\n".join(["tip,zone,shared,color", *ROWS, ""]))
    (tmp_path / "trips.toml").write_text(GOOD)
    config = load_config(tmp_path / "trips.toml", draft=True)
    assert check_config_data(config, "trips.toml").config == config
