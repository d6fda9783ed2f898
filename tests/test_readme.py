"""Every Python block of the README is run; test_page_commands.py looks at the commands."""

import pathlib
import re
import subprocess
import sys

import pytest
from tfx import v1 as tfx

from pcgrad_pipelines.config import load_config

ROOT = pathlib.Path(__file__).parents[1]
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)


OWN_DATA = ROOT / "docs" / "own-data.md"


def blocks(language):
    return [text for found, text in BLOCKS if found == language]


def test_python(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for number, text in enumerate(blocks("python")):
        exec(compile(text, f"README.md, Python block {number}", "exec"), namespace)
    assert "'value'" in capsys.readouterr().out
    schema = tfx.dsl.Channel(type=tfx.types.standard_artifacts.Schema)
    transform = tfx.components.Transform(
        examples=tfx.components.CsvExampleGen(input_base=str(tmp_path)).outputs["examples"],
        schema=schema,
        preprocessing_fn="pcgrad_tfx.preprocessing.preprocessing_fn",
        custom_config=namespace["settings"],
    )
    trainer = namespace["make_trainer"](transform, schema)
    assert trainer.inputs["transform_graph"] is transform.outputs["transform_graph"]
    assert transform.spec.exec_properties["preprocessing_fn"] in namespace["make_trainer"].__doc__


def test_toml(tmp_path):
    text = re.search(r"^```toml\n(name.*?)^```", OWN_DATA.read_text(), re.M | re.S)[1]
    (tmp_path / "houses.toml").write_text(text)
    config = load_config(tmp_path / "houses.toml")
    assert [task.name for task in config.tasks] == ["price", "sold_above_asking"]
    assert config.data.location == str(tmp_path / "houses.csv")


def test_what_a_run_prints_looks_like_what_a_run_prints():
    (text,) = blocks("text")
    for line in (r"  Transform +[\d.]+ s", r" *big_tip +auc +0\.\d+ .* passed", r"Pushed model: "):
        assert re.search(f"^{line}", text, re.MULTILINE), line


@pytest.mark.slow
def test_the_plain_installation(tmp_path):
    """`pip install -r requirements.lock -e .`, then the pipeline and a test, in a new clone."""
    clone, python = tmp_path / "clone", tmp_path / "venv" / "bin" / "python"
    base = "{}/bin/python{}.{}".format(sys.base_prefix, *sys.version_info)
    get = f"git clone --quiet {ROOT} {clone}"
    if not (ROOT / ".git").exists():
        # What tools/debian13.sh has copied is as clean as a clone but for these.
        get = f"tar -C {ROOT} --exclude=./.venv --exclude=./.uv -c . | tar -C {clone} -x"
    script = f"""
        set -e
        mkdir {clone}
        {get}
        cd {clone}
        {base} -m venv {tmp_path / "venv"}
        {python} -m pip install --quiet -r requirements.lock -e .
        {python} pipelines/local_runner.py --epochs 1 --output {tmp_path / "output"} || test $? = 3
        {python} -m pytest -q tests/tools tests/pcgrad_pipelines/local/test_console.py
    """
    process = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    assert (tmp_path / "output" / "artifacts" / "Trainer").exists()
