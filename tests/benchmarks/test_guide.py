"""The guide's data fit its configurations, and its commands exist."""

import pathlib
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.data import known_truth
from pcgrad_pipelines.command import build_parser
from pcgrad_pipelines.config import load_config
from pcgrad_pipelines.local.data_check import check_config_data

ROOT = pathlib.Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "does-it-help.md"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("guide")
    script = ROOT / "benchmarks" / "data" / "guide_data.py"
    subprocess.run([sys.executable, script, made], check=True, cwd=ROOT)
    return made


@pytest.mark.parametrize("name", ["conflict", "flights"])
def test_a_configuration_fits_its_data(folder, name):
    config = load_config(folder / f"{name}.toml")
    assert check_config_data(config, name).config.tasks == config.tasks


def test_the_commands_are_those_that_there_are(folder):
    commands = re.findall(r"^(?:python|tfx-pcgrad) .*", GUIDE.read_text(), re.MULTILINE)
    assert commands
    for command in commands:
        program, *arguments = shlex.split(command.split("  #")[0])
        if program == "python":
            assert (ROOT / arguments[0]).exists()
            continue
        args = vars(build_parser().parse_args(arguments))
        # `init` writes the configuration that the next command reads.
        path = pathlib.Path(args.get("data") or args["config"] or "flights")
        assert (folder / f"{path.stem}.csv").exists(), command


def test_the_pictures_are_there_and_small():
    pictures = re.findall(r"\]\((images/[^)]+)\)", GUIDE.read_text())
    assert pictures
    for picture in pictures:
        assert (GUIDE.parent / picture).stat().st_size < 150_000


def test_what_is_known_of_the_data_is_true():
    of = {relation: known_truth.known_truth(relation) for relation in known_truth.RELATIONS}
    for frame in of.values():
        assert frame["event"].mean() == pytest.approx(0.5, abs=0.05)
        assert set(frame["event"]) == {0, 1}

    def direction(frame, label):
        features = frame[[f"x{i}" for i in range(1, 7)]].to_numpy()
        found = np.linalg.lstsq(features, frame[label] - frame[label].mean(), rcond=None)[0]
        return found / np.linalg.norm(found)

    conflict, aligned = of["conflict"], of["aligned"]
    assert direction(conflict, "amount") @ direction(conflict, "event") == pytest.approx(0, abs=0.1)
    assert direction(aligned, "amount") @ direction(aligned, "event") > 0.95
    assert of["unrelated"].corr()["amount"].drop("amount").abs().max() < 0.05
