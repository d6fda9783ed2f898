"""TFX's own templates with the diffs of docs/reuse.md, from the CSV file to the pushed model."""

import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

ROOT = pathlib.Path(__file__).parents[2]
DIFFS = dict(
    zip(
        ("taxi", "penguin"),
        re.findall(r"```diff\n(.*?)```", (ROOT / "docs" / "reuse.md").read_text(), re.S),
        strict=True,
    )
)
PENGUINS = "culmen_length_mm", "culmen_depth_mm", "flipper_length_mm", "body_mass_g"


def run(command, folder, **environment):
    inherited = dict(os.environ)
    # tensorflow_transform sets it where it is imported, as in this process.
    inherited.pop("TF_USE_LEGACY_KERAS", None)
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**inherited, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def copy_template(name, folder):
    """TFX's own tool, then the steps that the template asks for."""
    tfx = pathlib.Path(sys.executable).with_name("tfx")
    copy = [tfx, "template", "copy", f"--model={name}", "--pipeline_name=mine"]
    # The tool ends by downloading the penguins; their place is taken by made ones.
    copied = run([*copy, f"--destination_path={folder}"], ROOT, http_proxy="http://localhost:9")
    assert (folder / "local_runner.py").exists(), copied.stdout
    pipeline = folder / "pipeline" / "pipeline.py"
    text = re.sub(r"^( *)# (components\.append\()", r"\1\2", pipeline.read_text(), flags=re.M)
    if name == "penguin":
        # "Use outputs of Transform as training inputs if Transform is used."
        examples = "      examples=example_gen.outputs['examples'],\n      # Use outputs of Tr"
        assert text.count(examples) == 1
        text = text.replace(examples, "      # Use outputs of Tr")
        text = re.sub(r"# ((examples|transform_graph)=transform\.)", r"\1", text)
        write_penguins(folder / "data" / "data.csv")
    pipeline.write_text(text)
    run(["git", "init", "--quiet"], folder)


def write_penguins(file):
    rng = np.random.default_rng(0)
    species = rng.integers(0, 3, 334)
    centers = np.array([[0.25, 0.6, 0.3, 0.3], [0.6, 0.65, 0.4, 0.32], [0.55, 0.25, 0.75, 0.65]])
    values = np.clip(centers[species] + rng.normal(0, 0.08, (334, 4)), 0, 1)
    header = ",".join(["species", *PENGUINS])
    np.savetxt(
        file, np.column_stack([species, values]), ["%d"] + 4 * ["%.6f"], ",", header=header,
        comments="",
    )  # fmt: skip


@pytest.mark.parametrize("name", DIFFS)
def test_the_diff_is_small(name):
    assert len(re.findall(r"^\+(?!\+\+)", DIFFS[name], re.M)) <= 15


LABELS = {"taxi": ["tips", "fare"], "penguin": ["species", "body_mass_g"]}
OUTPUTS = {
    "taxi": {"big_tip": (1, 1), "fare": (1, 1)},
    "penguin": {"species": (1, 3), "body_mass": (1, 1)},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DIFFS)
def test_the_template_with_the_diff(name, wheel_path, tmp_path):
    """With the installed wheel, as in a pipeline of somebody else's."""
    installed = {"PYTHONPATH": str(wheel_path)}
    where = [sys.executable, "-c", "import pcgrad_tfx as p; print(p.__file__)"]
    assert run(where, tmp_path, **installed).stdout.startswith(str(wheel_path))
    folder = tmp_path / "template"
    copy_template(name, folder)
    (folder / "reuse.diff").write_text(DIFFS[name])
    applied = run(["git", "apply", "reuse.diff"], folder)
    assert applied.returncode == 0, applied.stdout
    finished = run([sys.executable, "local_runner.py"], folder, **installed)
    assert finished.returncode == 0, finished.stdout[-3000:]
    (pushed,) = (folder / "tfx_pipeline_output" / "mine" / "serving_model").iterdir()
    serve = tf.saved_model.load(str(pushed)).signatures["serving_default"]
    (file,) = (folder / "tfx_pipeline_output").rglob("examples/*/Split-eval/*.gz")
    (record,) = tf.data.TFRecordDataset(str(file), "GZIP").take(1).as_numpy_iterator()
    example = tf.train.Example.FromString(record)
    for label in LABELS[name]:
        del example.features.feature[label]
    answers = serve(examples=tf.constant([example.SerializeToString(deterministic=True)]))
    assert {output: tuple(value.shape) for output, value in answers.items()} == OUTPUTS[name]
    assert all(np.isfinite(value).all() for value in answers.values())
    assert list((folder / "tfx_pipeline_output").rglob("conflicts.jsonl"))


@pytest.mark.slow
def test_the_penguin_template_as_it_comes_cannot_save_its_model(tmp_path):
    folder = tmp_path / "template"
    copy_template("penguin", folder)
    finished = run([sys.executable, "local_runner.py"], folder)
    assert finished.returncode != 0
    assert "save_format" in finished.stdout
