"""Every command of the documents is one that there is, and every kind of block has its test."""

import itertools
import json
import pathlib
import re
import shlex
import subprocess

import keras
import pytest

from pcgrad import PCGrad
from pcgrad.keras import MultiTaskModel
from pcgrad_pipelines.command import build_parser

try:
    import tomllib
except ModuleNotFoundError:
    import tomli as tomllib

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# Which tests run the Python blocks of a page: all of them, and no others.
RUN_BY = {
    "README.md": "tests/test_readme.py",
    "conflict.md": "tests/pcgrad/keras/test_conflict_probe.py",
    "distribution.md": "tests/support/distribution_page.py",
    "kubeflow.md": "tests/pcgrad_pipelines/kubeflow/test_kubeflow_runner.py",
    "layerwise.md": "tests/benchmarks/test_layerwise.py",
    "methods.md": "tests/pcgrad/weightings/test_methods_page.py",
    "reuse.md": "tests/pcgrad/keras/layers/test_expert_layers.py",
}


def blocks(page):
    return re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page):
    text = "".join(text for language, text in blocks(page) if language == "bash")
    for line in text.replace("\\\n", "").splitlines():
        command = []
        for part in [*shlex.split(line, comments=True), "&&"]:
            if part != "&&":
                command.append(part)
            elif command:
                yield command
                command = []


def check(program, *arguments):
    """Raises an error if a command is wrong; carries out those that are quick and do no harm."""
    if ">" in arguments:
        arguments = arguments[: arguments.index(">")]
    files = []
    if program == "make":
        subprocess.run(["make", "-n", *arguments], check=True, cwd=ROOT, capture_output=True)
    elif program == "tfx-pcgrad":
        build_parser().parse_args(arguments)
    elif program == "python":
        files = arguments[:1]
    elif program == "pip":
        files = [later for flag, later in itertools.pairwise(arguments) if flag == "-r"]
        extras = set(re.findall(r"\[(\w+)\]", " ".join(arguments)))
        metadata = tomllib.loads((ROOT / "pyproject.toml").read_text())
        assert extras <= set(metadata["project"]["optional-dependencies"])
    elif program == "docker":
        files = ["Dockerfile"]
    elif program.startswith("TF_CONFIG="):
        assert set(json.loads(program.partition("=")[2])) == {"cluster", "task"}
    else:
        assert program == "pytest"
    for file in files:
        assert (ROOT / file).exists(), file


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands(page):
    for command in commands(page):
        check(*command)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_are_of_a_kind_that_is_tested(page):
    languages = {language for language, _ in blocks(page)}
    assert languages <= {"bash", "python", "text", "toml", "diff"}
    assert ("python" in languages) == (page.name in RUN_BY)
    if "python" in languages:
        assert page.name in (ROOT / RUN_BY[page.name]).read_text()


@pytest.mark.parametrize("wrong", ["make no-such-target", "tfx-pcgrad run --no-such-flag", "ls"])
def test_wrong_commands_are_found(wrong):
    with pytest.raises((AssertionError, SystemExit, subprocess.CalledProcessError)):
        check(*shlex.split(wrong))


def test_the_first_block_on_layer_wise_gradients():
    text = next(
        text for language, text in blocks(ROOT / "docs" / "layerwise.md") if language == "python"
    )
    inputs = keras.Input((3,))
    outputs = {name: keras.layers.Dense(1, name=name)(inputs) for name in "ab"}
    model = MultiTaskModel(inputs, outputs)
    exec(text, {"model": model, "losses": {"a": "mse", "b": "mse"}, "PCGrad": PCGrad})
    assert model.get_compile_config()["gramian"] == "auto"
