"""The configuration: one line for each mistake."""

import re

import pytest

from minimal_config import MINIMAL
from pcgrad_pipelines.config import ConfigError, load_config


def replaced(old, new):
    assert old in MINIMAL
    return MINIMAL.replace(old, new)


MISTAKES = {
    "wrong kind": (
        replaced('"regression"', '"binry"'),
        (
            'tasks[0].kind: "binry" is not one of binary, multiclass, regression;'
            ' did you mean "binary"?'
        ),
    ),
    "misspelt key": (
        replaced("column", "colum"),
        'tasks[0].colum: unknown key; did you mean "column"?',
    ),
    "misspelt table": (
        MINIMAL + "[trainning]\nepochs = 3",
        'trainning: unknown key; did you mean "training"?',
    ),
    "key that resembles none": (
        MINIMAL + "[evaluation]\nzzz = 3",
        "evaluation.zzz: unknown key; there are: slices",
    ),
    "missing key": (
        replaced('column = "fare"', ""),
        "tasks[0].column: is missing; add it (the source column of the label)",
    ),
    "no features, without the data": (
        replaced('[features]\nnumeric = ["miles"]\ncategorical = []', ""),
        (
            "features: `numeric` and `categorical` are not listed: they are found in the data only"
            " by `tfx-pcgrad run`; list them here (`tfx-pcgrad init` writes such a file)"
        ),
    ),
    "no categorical features, without the data": (
        replaced("categorical = []", ""),
        (
            "features: `categorical` is not listed: they are found in the data only"
            " by `tfx-pcgrad run`; list them here (`tfx-pcgrad init` writes such a file)"
        ),
    ),
    "no classes, without the data": (
        replaced('"regression"', '"multiclass"'),
        (
            "tasks[0]: `classes` of task 'fare' are not listed: they are found in the data only"
            " by `tfx-pcgrad run`; list them here (`tfx-pcgrad init` writes such a file)"
        ),
    ),
    "both lists of features empty": (
        replaced('["miles"]', "[]"),
        (
            "features: no column is a feature; list some under `numeric`, `categorical`,"
            " `bucketized` or `dates`"
        ),
    ),
    "missing table": (
        replaced('[data]\npath = "trips.csv"', ""),
        "data: is missing; add it (where the data are)",
    ),
    "a number as positive value": (
        replaced('"regression"', '"binary"\npositive = 1'),
        "tasks[0].positive: 1 is not a text in quotes (the value that makes the label 1)",
    ),
    "a positive value and a threshold": (
        replaced('"regression"', '"binary"\npositive = "yes"\nabove = 3'),
        "tasks[0]: `positive` names a value, `above` is for numbers; remove one",
    ),
    "a logarithm of classes": (
        replaced('"regression"', '"binary"\nlog_scale = true'),
        "tasks[0]: `log_scale` is for kind 'regression', not 'binary'; remove it",
    ),
    "a condition that is no table": (
        replaced('"fare"\n[', '"fare"\nonly_where = "click"\n['),
        (
            "tasks[0].only_where: `only_where` is a table of columns and their values, such as"
            " { click = 1 }"
        ),
    ),
    "a condition without a value": (
        replaced('"fare"\n[', '"fare"\nonly_where = { zone = [] }\n['),
        (
            "tasks[0].only_where: `only_where` is a table of columns and their values, such as"
            " { click = 1 }; correct those of 'zone'"
        ),
    ),
    "a weight that is a feature": (
        replaced('"fare"\n[', '"fare"\nweight = "miles"\n['),
        (
            "features: column 'miles' is a feature, but the weight of task 'fare'; remove it from"
            " the features"
        ),
    ),
    "weights of classes in words": (
        replaced('"regression"', '"binary"\nclass_weight = "even"'),
        (
            'tasks[0].class_weight: `class_weight` is "balanced" or a table of classes and weights,'
            " such as { 1 = 5.0 }"
        ),
    ),
    "weights of classes of an amount": (
        replaced('"fare"\n[', '"fare"\nclass_weight = "balanced"\n['),
        "tasks[0]: `class_weight` is for classes, not for kind 'regression'; remove it",
    ),
    "misspelt loss": (
        replaced('"fare"\n[', '"fare"\nloss = "hubr"\n['),
        (
            'tasks[0].loss: "hubr" is not one of binary_crossentropy,'
            " sparse_categorical_crossentropy, mean_squared_error, mean_absolute_error, huber,"
            ' poisson, focal; did you mean "huber"?'
        ),
    ),
    "a loss of classes for an amount": (
        replaced('"fare"\n[', '"fare"\nloss = "focal"\n['),
        (
            "tasks[0]: `loss` 'focal' is not for kind 'regression'; there are: mean_squared_error,"
            " mean_absolute_error, huber, poisson"
        ),
    ),
    "missing values that are no list": (
        replaced('"trips.csv"', '"trips.csv"\nmissing = "NA"'),
        ('data.missing: "NA" is not a list (texts that stand for a missing value, as in ["NA"])'),
    ),
    "number in quotes": (
        MINIMAL + '[training]\nepochs = "3"',
        'training.epochs: "3" is not a whole number (passes over the training data)',
    ),
    "truth value as number": (
        MINIMAL + "[training]\nbatch_size = true",
        "training.batch_size: true is not a whole number (rows of a batch)",
    ),
    "number out of range": (
        MINIMAL + "[training]\nlearning_rate = -0.1",
        "training.learning_rate: -0.1 should be greater than 0 (the optimizer's learning rate)",
    ),
    "not a finite number": (
        replaced('"fare"\n[', '"fare"\nloss_weight = inf\n['),
        "tasks[0].loss_weight: Infinity should be a finite number (the factor of the task's loss)",
    ),
    "text for a list": (
        replaced('["miles"]', '"miles"'),
        'features.numeric: "miles" is not a list (columns of numbers)',
    ),
    "flat list of slices": (
        MINIMAL + '[evaluation]\nslices = ["hour"]',
        (
            'evaluation.slices[0]: "hour" is not a list'
            ' (lists of columns, as in [["hour"], ["hour", "day"]])'
        ),
    ),
    "number for a table": (
        "training = 3\n" + MINIMAL,
        "training: 3 is not a table (how it is trained)",
    ),
    "wrong gate": (
        replaced('"fare"\n[', '"fare"\ngate = { min_gian = 0.1 }\n['),
        'tasks[0].gate.min_gian: unknown key; did you mean "min_gain"?',
    ),
    "task name with a space": (
        replaced('name = "fare"', 'name = "the fare"'),
        (
            "tasks[0].name: \"the fare\" should match pattern '^[A-Za-z][A-Za-z0-9_]*$'"
            " (a letter, then letters, digits and underscores, 64 at most)"
        ),
    ),
    "threshold for a regression": (
        replaced('"fare"\n[', '"fare"\nabove = 3\n['),
        "tasks[0]: `above` makes a binary label, but kind is 'regression'; remove it",
    ),
    "two tasks of one name": (
        MINIMAL + '[[tasks]]\nname = "fare"\nkind = "regression"\ncolumn = "tips"',
        "tasks: two tasks are named 'fare'; give each its own name",
    ),
    "no task": (
        'tasks = []\nname = "x"\n[data]\npath = "x.csv"\n[features]\nnumeric = ["miles"]',
        "tasks: there is no task; add one",
    ),
    "label among the features": (
        replaced('["miles"]', '["miles", "fare"]'),
        (
            "features: column 'fare' is a feature, but the label of task 'fare' derives from it;"
            " remove it from the features"
        ),
    ),
    "feature that is excluded": (
        MINIMAL + '[features.exclude]\nmiles = "later"',
        "features: column 'miles' is a feature and excluded; keep one of the two",
    ),
    "too few buckets": (
        MINIMAL + "[features.bucketized]\nhour = 1",
        (
            "features.bucketized.hour: 1 should be greater than or equal to 2"
            " (column = number of buckets)"
        ),
    ),
    "no data": (
        replaced('path = "trips.csv"', ""),
        "data: say where the data are: either `path`, or `package` and `resource`",
    ),
    "package without resource": (
        replaced('path = "trips.csv"', 'package = "tfx"'),
        "data: `package` and `resource` go together; add the other one",
    ),
    "unknown package": (
        replaced('path = "trips.csv"', 'package = "tfxx"\nresource = "data.csv"'),
        "data: package 'tfxx' is not installed; install it or use `path`",
    ),
    "unknown resource": (
        replaced('path = "trips.csv"', 'package = "tfx"\nresource = "data.csv"'),
        "data: package 'tfx' ships no 'data.csv'; correct it or use `path`",
    ),
    "wrong pipeline name": (
        replaced('name = "trips"', 'name = "../trips"'),
        (
            "name: \"../trips\" should match pattern '^[A-Za-z0-9][A-Za-z0-9_-]*$'"
            " (letters, digits, - and _, beginning with a letter or digit, 100 at most)"
        ),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_with_file_key_and_remedy(write_config, mistake):
    text, *lines = MISTAKES[mistake]
    path = write_config(text)
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert str(error.value).splitlines() == [f"{path}: {line}" for line in lines]


def test_missing_schema(write_config, tmp_path):
    path = write_config('schema = "none.pbtxt"\n' + MINIMAL)
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert str(error.value) == (
        f"{path}: schema: '{tmp_path / 'none.pbtxt'}' is no file; correct it, or remove the key to"
        " infer one"
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            b'feature {\n  name: "miles"\n  typ: FLOAT\n}\n',
            (
                'no schema in text format: 3:3: Message type "tensorflow.metadata.v0.Feature" has'
                ' no field named "typ"; correct it'
            ),
        ),
        (
            b"trip_miles,fare\n1.5,8.25\n",
            (
                'no schema in text format: 1:1: Message type "tensorflow.metadata.v0.Schema" has'
                ' no field named "trip_miles"; correct it'
            ),
        ),
        (b"# To be written.\n", "the schema describes no feature; add those of the data"),
        (b"\xff\xfe", "not UTF-8 text; save it as UTF-8"),
    ],
    ids=["misspelt field", "other format", "nothing", "no text"],
)
def test_a_schema_that_is_none(write_config, tmp_path, content, problem):
    schema = tmp_path / "schema.pbtxt"
    schema.write_bytes(content)
    path = write_config('schema = "schema.pbtxt"\n' + MINIMAL)
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert str(error.value) == f"{path}: schema: '{schema}': {problem}"


def test_no_toml(write_config):
    path = write_config("name = \n")
    with pytest.raises(ConfigError, match=f"^{re.escape(str(path))}: not valid TOML: .*line 1"):
        load_config(path)


def test_no_text(tmp_path):
    path = tmp_path / "trips.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"trips\.toml: not UTF-8 text; save it as UTF-8"):
        load_config(path)


def test_no_file(tmp_path):
    with pytest.raises(ConfigError, match=r"no\.toml: No such file or directory; name a TOML file"):
        load_config(tmp_path / "no.toml")


def test_folder_instead_of_file(tmp_path):
    with pytest.raises(ConfigError, match="Is a directory; name a TOML file"):
        load_config(tmp_path)
