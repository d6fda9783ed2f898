"""Names come from strangers' files: they work whole or are refused in one short line."""

import json
import pathlib
import pickle
import pickletools
import random
import re
import subprocess
import sys
import warnings

import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from tensorflow.core.protobuf import saved_model_pb2

import chains
from pcgrad_pipelines.config import load_config
from pcgrad_pipelines.local.data_check import check_config_data
from pcgrad_pipelines.local.output_folder import metadata_connection
from pcgrad_pipelines.local.run_summary import read_last_run
from pcgrad_pipelines.local.runner import DEFAULT_CONFIG, FAILED, NOT_PUSHED, PUSHED, main
from pcgrad_tfx.conflict_report import PAGE_FILE
from pcgrad_tfx.training.serving import ServedModel, save_model

NASTY = (
    "<script>alert(1)</script>",
    "</style>{{ 7*7 }}",
    'say "hi", it\'s',
    "a/b",
    "a\\b",
    "..",
    "../../etc/passwd",
    ".hidden",
    "two\nlines\r\n",
    "\x1b[2J",
    "🚕",
    "мили",
    "loss",
    "con",
    "%2F",
    "a b",
    "a_b",
    "x" * 5000,
)
NUMBERS, CATEGORIES = NASTY[::2], NASTY[1::2]


def toml(value):
    return json.dumps(value, ensure_ascii=False)


LABELS = ("<b>fare</b>", "paid/\n" + "y" * 5000)
TOML = f"""
name = "nasty"
[data]
path = "nasty.tfrecord"
[[tasks]]
name = "loss"
kind = "regression"
column = {toml(LABELS[0])}
[[tasks]]
name = "con"
kind = "binary"
column = {toml(LABELS[1])}
[features]
numeric = {toml(NUMBERS)}
categorical = {toml(CATEGORIES)}
[training]
epochs = 1
hidden_units = [4]
[evaluation]
slices = {toml([[name] for name in CATEGORIES[:5]])}
"""


@pytest.fixture(scope="module")
def nasty(tmp_path_factory):
    """A configuration and data with such columns."""
    folder = tmp_path_factory.mktemp("nasty")
    draw = random.Random(0)
    with tf.io.TFRecordWriter(str(folder / "nasty.tfrecord")) as writer:
        for _ in range(300):
            features = tf.train.Example().features
            for name in NUMBERS:
                features.feature[name].float_list.value.append(draw.random())
            for name in CATEGORIES:
                features.feature[name].bytes_list.value.append(draw.choice([b"x", b"<i>y</i>"]))
            features.feature[LABELS[0]].float_list.value.append(draw.random() * 9)
            features.feature[LABELS[1]].int64_list.value.append(draw.randrange(2))
            writer.write(tf.train.Example(features=features).SerializeToString(deterministic=True))
    (folder / "nasty.toml").write_text(TOML)
    return folder


@pytest.fixture(scope="module")
def exported(nasty, tmp_path_factory):
    """A model trained on such columns, saved; what was served, and where."""
    inspection = check_config_data(load_config(nasty / "nasty.toml", draft=True), "nasty.toml")
    records = tf.data.TFRecordDataset(str(nasty / "nasty.tfrecord")).as_numpy_iterator()
    rows = list(map(tf.train.Example.FromString, records))
    examples = {"train": rows[:250], "eval": rows[250:]}
    folder = tmp_path_factory.mktemp("exported")
    transformed, output = chains.transform(examples, inspection.config, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # Keras's
        step = chains.train_one_step(transformed, output, inspection.config)
    tasks, features = inspection.config.tasks, inspection.config.features
    served = ServedModel(step.model, output, step.feature_spec, tasks, features)
    save_model(served, str(folder / "model"))
    return step, rows, folder / "model"


def test_columns_of_any_name_are_trained_on_and_served(exported):
    step, rows, path = exported
    assert set(step.losses) >= {"loss_loss", "con_loss", "val_loss_loss", "val_con_loss"}
    answer = tf.saved_model.load(str(path)).signatures["serving_default"]
    answers = answer(
        examples=tf.constant([row.SerializeToString(deterministic=True) for row in rows[:250]])
    )
    assert set(answers) == {"loss", "con"}
    for task, values in step.predictions.items():
        tf.debugging.assert_near(answers[task], values, rtol=1e-4, atol=1e-4)


def test_the_saved_model_holds_no_code_of_python(exported):
    _, _, path = exported
    model = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    for graph in model.meta_graphs:
        nodes = [*graph.graph_def.node]
        nodes += [node for f in graph.graph_def.library.function for node in f.node_def]
        assert len(nodes) > 100
        assert not [node.op for node in nodes if "Py" in node.op]
        for node in graph.object_graph_def.nodes:
            assert "Lambda" not in node.user_object.metadata
    files = [file for file in path.rglob("*") if file.is_file()]
    assert {file.suffix for file in files} <= {".pb", ".index", ".data-00000-of-00001", "", *(
        file.suffix for file in (path / "assets").iterdir()
    )}  # fmt: skip
    for file in files:
        content = file.read_bytes()
        assert not re.search(rb"pickle|marshal|cloudpickle|\bdill\b|py_func|lambda", content), file
        assert not holds_pickle(content), file


def holds_pickle(content):
    """Whether a pickle that could run something starts anywhere (protocol 2 and later)."""
    for start in re.finditer(rb"\x80[\x02-\x05]", content):
        try:
            codes = {code.name for code, _, _ in pickletools.genops(content[start.start() :])}
        except Exception:  # no pickle
            continue
        if codes & {"REDUCE", "GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ"}:
            return True
    return False


def test_a_pickle_would_be_found():
    assert holds_pickle(b"some bytes" + pickle.dumps(pathlib.PurePosixPath("a")) + b"more")


@pytest.mark.slow
def test_a_whole_pipeline_runs_on_columns_of_any_name(nasty, tmp_path):
    command = [sys.executable, str(DEFAULT_CONFIG.parents[1] / "local_runner.py")]
    command += ["--config", str(nasty / "nasty.toml"), "--output", str(tmp_path / "out")]
    process = subprocess.run(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    console = process.stdout.decode()
    # Noise cannot be learned from, so that a gate may well stop the model.
    assert process.returncode in (PUSHED, NOT_PUSHED), console
    assert max(map(len, console.splitlines())) < 3000
    assert "\x1b[2J" not in console
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    nodes = read_last_run(metadata_connection(tmp_path / "out"), "nasty")
    model = pathlib.Path(nodes["Trainer"].outputs["model"].uri) / "Format-Serving"
    assert not (model / "keras_metadata.pb").exists()
    run = pathlib.Path(nodes["Trainer"].outputs["model_run"].uri)
    for line in (run / "conflicts.jsonl").read_text().splitlines():
        assert set(json.loads(line)["gradient_norms"]) == {"loss", "con"}
    page = pathlib.Path(nodes["ConflictReport"].outputs["report"].uri) / PAGE_FILE
    markup = page.read_text()
    for raw in ("<script>alert", "</style>{{", "<b>fare", "\x1b"):
        assert raw not in markup
    evaluation = nodes["Evaluator"].outputs["evaluation"].uri
    slices = {
        key.column
        for metrics in tfma.load_metrics(evaluation)
        for key in metrics.slice_key.single_slice_keys
    }
    assert slices == set(CATEGORIES[:5])


GOOD = """
name = "trips"
[data]
path = "trips.csv"
[[tasks]]
name = "tip"
kind = "regression"
column = "tip"
"""
LONG = "n" * 5000
TASKS = [*NASTY[:12], *NASTY[14:16], NASTY[17], "val_fare", "1st", ""]
BAD = {
    **{f"task {name[:20]!r}": ('name = "tip"', f"name = {toml(name)}") for name in TASKS},
    "long pipeline": ('"trips"', f'"{LONG}"'),
    "pipeline elsewhere": ('"trips"', '"../../x"'),
    "pipeline at the root": ('"trips"', '"/tmp/x"'),
    "hidden pipeline": ('"trips"', '".trips"'),
    "long key": ('column = "tip"', f'{LONG} = 1'),
    "key with line breaks": ('column = "tip"', '"two\\nlines\\u001b" = 1'),
    "long kind": ('"regression"', f'"{LONG}"'),
    "long label key": ('column = "tip"', f'column = "tip"\nlabel_key = "{LONG}"'),
    "label key with slash": ('column = "tip"', 'column = "tip"\nlabel_key = "../x"'),
    "long column": ('column = "tip"', f'column = "{LONG}"'),
    "column of two lines": ('column = "tip"', 'column = "two\\nlines\\u001b[2J"'),
    "long class": ('kind = "regression"', f'kind = "binary"\npositive = "{LONG}"'),
    "long feature": ("[data]", f'[features]\nnumeric = ["{LONG}", "{LONG}"]\n[data]'),
    "long exclusion": ("[data]", f'[features.exclude]\n"{LONG}\\n" = "why"\n[data]'),
    "long slice": ("[data]", f'[evaluation]\nslices = [["{LONG}"]]\n[data]'),
    "long bucketized": ("[data]", f'[features]\nbucketized = {{"{LONG}\\n" = "two"}}\n[data]'),
    "long number": ("[data]", f'[training]\nepochs = "{LONG}"\n[data]'),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_name_that_cannot_be_is_one_short_line(tmp_path, capfd, case):
    old, new = BAD[case]
    rows = "".join(f"{i % 9}.5,{i % 7}.25,{'abc'[i % 3]}\n" for i in range(150))
    (tmp_path / "trips.csv").write_text("tip,zone,color\n" + rows)
    (tmp_path / "trips.toml").write_text(GOOD.replace(old, new, 1))
    before = {path for path in tmp_path.rglob("*") if "out" not in path.parts}
    arguments = ["--config", str(tmp_path / "trips.toml"), "--output", str(tmp_path / "out")]
    assert main(arguments) == FAILED
    said = capfd.readouterr().out
    (message,) = [line for line in said.splitlines() if "trips.toml" in line or "trips.csv" in line]
    assert len(message.replace(str(tmp_path), "")) < 500
    assert message.isprintable()
    assert re.search(r"; |did you mean|\(.*\)$", message)
    assert {path for path in tmp_path.rglob("*") if "out" not in path.parts} == before
    assert not (tmp_path / "out" / "artifacts").exists()


def test_a_nameless_output_folder_is_not_the_working_directory(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert main(["--output", ""]) == FAILED
    assert capfd.readouterr().out == "--output: the name is empty; name a folder\n"
    assert not list(tmp_path.iterdir())


def test_a_proposal_is_written_into_the_working_directory_whatever_the_data_are_called(
    tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "elsewhere" / ("..;rm -rf ~ <b> " + "n" * 200 + ".csv")
    data.parent.mkdir()
    rows = "".join(f"{i % 9}.5,{i % 7}.25,{'abc'[i % 3]}\n" for i in range(150))
    data.write_text("val_tip,zone,color\n" + rows)
    assert main(["--init", str(data), "--label", "val_tip"]) == 0, capfd.readouterr().out
    (written,) = set(tmp_path.iterdir()) - {data.parent}
    config = load_config(written)
    assert config.tasks[0].name == "task_val_tip"
    assert config.data.path == str(data)
    assert list(data.parent.iterdir()) == [data]
