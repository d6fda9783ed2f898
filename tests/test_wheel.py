"""What other people install."""

import email
import importlib.metadata
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import venv
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]


PACKAGES = (
    (ROOT, "pcgrad"),
    (ROOT / "components", "pcgrad_tfx"),
    (ROOT / "pipelines", "pcgrad_pipelines"),
)


def test_three_packages_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {
        package for _, package in PACKAGES
    }
    assert {f"{package}/py.typed" for _, package in PACKAGES} <= set(names)
    assert {"pcgrad_pipelines/taxi.toml", "pcgrad_pipelines/taxi_schema.pbtxt"} <= set(names)
    packaged = {name for name in names if name.endswith(".py")}
    sources = {
        str(file.relative_to(root))
        for root, package in PACKAGES
        for file in (root / package).rglob("*.py")
    }
    assert packaged == sources


def test_an_index_shows_a_readme_without_dead_links(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        metadata = email.message_from_bytes(archive.read(name))
    shown = metadata.get_payload()
    targets = re.findall(r"\]\(([^)]*)\)", shown)
    assert targets
    assert all(target.startswith("https://") for target in targets), targets
    assert len(shown) > 0.8 * (ROOT / "README.md").stat().st_size
    assert "does surgery help?" in shown
    assert metadata["Project-URL"].startswith("Paper, https://")
    assert metadata["Author"]


def test_the_source_distribution_makes_the_same_wheel(wheel, tmp_path):
    build = "import hatchling.build; print(hatchling.build.build_{}({!r}))"
    made = []
    for kind, folder in (("sdist", ROOT), ("wheel", tmp_path / "source")):
        command = [sys.executable, "-c", build.format(kind, str(tmp_path))]
        run = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
        made.append(tmp_path / run.stdout.strip())
        if kind == "sdist":
            with tarfile.open(made[0]) as archive:
                archive.extractall(tmp_path, filter="data")
            (tmp_path / made[0].name.removesuffix(".tar.gz")).rename(tmp_path / "source")
    assert {file.name for file in (tmp_path / "source").iterdir() if file.is_dir()} == {
        "components", "docs", "pcgrad", "pipelines", "tests",
    }  # fmt: skip
    assert set(zipfile.ZipFile(made[1]).namelist()) == set(zipfile.ZipFile(wheel).namelist())


WITH_TENSORFLOW_ONLY = """
import importlib.util, sys
import tensorflow as tf
import pcgrad, pcgrad.keras

assert importlib.util.find_spec("tfx") is None
assert "site-packages" in pcgrad.__file__, pcgrad.__file__
x = tf.Variable([1.0, 2.0])
with tf.GradientTape(persistent=True) as tape:
    losses = [tf.reduce_sum(x * [1.0, 0.0]), tf.reduce_sum(x * [-1.0, 1.0])]
(gradient,) = pcgrad.PCGrad("sum").pc_backward(tape, losses, [x])
print("conflict removed:", gradient.numpy().tolist())
"""


@pytest.fixture
def installed(wheel_path, tmp_path):
    """Runs the command of the wheel in an empty folder; returns what it prints."""
    code = "import sys; from pcgrad_pipelines.script import tfx_pcgrad; "
    code += "sys.argv[0] = 'tfx-pcgrad'; tfx_pcgrad()"

    def run(*arguments, before="", exit_code=0):
        process = subprocess.run(
            [sys.executable, "-c", before + code, *arguments], cwd=tmp_path, check=False, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(wheel_path)},
        )  # fmt: skip
        assert process.returncode == exit_code, process.stdout
        return process.stdout

    return run


def test_the_command_is_what_was_installed(installed, wheel_path):
    (found,) = importlib.metadata.distributions(name="tfx-pcgrad", path=[str(wheel_path)])
    (command,) = found.entry_points
    assert (command.name, command.value) == ("tfx-pcgrad", "pcgrad_pipelines.script:tfx_pcgrad")
    before = "import warnings; warnings.simplefilter('ignore'); "
    before += "import pcgrad as a, pcgrad_tfx as b, pcgrad_pipelines as c; "
    before += "print('FILES', *(module.__file__ for module in (a, b, c))); "
    (line,) = re.findall("^FILES (.*)$", installed("--help", before=before), re.MULTILINE)
    assert [path.startswith(str(wheel_path)) for path in line.split()] == [True] * 3


@pytest.mark.parametrize("command", ["run", "init", "doctor", "compile", "submit", "constraints"])
def test_every_subcommand_has_help(installed, command):
    assert re.search(rf"^ +{command}\s", installed("--help"), re.MULTILINE)
    assert installed(command, "--help").startswith(f"usage: tfx-pcgrad {command} ")


def test_the_command_proposes_and_compiles(installed, tmp_path):
    rows = "".join(f"{i % 50}.5,{i % 7},{i * 3 % 11}\n" for i in range(300))
    (tmp_path / "mine.csv").write_text(f"size,age,price\n{rows}")
    shown = installed("init", "mine.csv", "--label", "price", "--label", "age")
    assert "  tfx-pcgrad run --config mine.toml --output mine --compare" in shown
    shown = installed(
        "compile", "--target", "kfp", "--image", "i", "--pipeline-root", "minio://b/x",
        "--push-destination", "gs://b/pushed", "--output", "taxi.yaml",
    )  # fmt: skip
    assert "Compiled:           taxi.yaml" in shown
    assert "pcgrad_tfx.trainer.run_fn" in (tmp_path / "taxi.yaml").read_text()
    shown = installed("submit", "taxi.yaml", "--target", "kfp", exit_code=1)
    assert shown == "--host is missing; it says where to submit\n"
    assert "there is no folder" in installed("doctor", "--output", "typo", exit_code=1)


def test_the_tested_versions_come_with_it(installed):
    """Before TFX is installed, too."""
    shown = installed("constraints", before="import sys; sys.modules['tfx'] = None; ")
    assert shown == (ROOT / "requirements.lock").read_text()


@pytest.mark.parametrize("missing", ["tfx", "pydantic"])
def test_without_the_extra_it_is_named(installed, missing):
    before = f"import sys; sys.modules[{missing!r}] = None; "
    shown = installed("run", before=before, exit_code=1)
    assert shown == f"{missing} is not installed; try: pip install 'tfx-pcgrad[tfx]'\n"


@pytest.mark.slow
def test_with_only_tensorflow_installed(wheel, tmp_path):
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    lock = ["--constraint", ROOT / "requirements.lock"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *lock, wheel], check=True)
    found = subprocess.run(
        [python, "-I", "-c", WITH_TENSORFLOW_ONLY], cwd=tmp_path, check=True, text=True,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert found.stdout == "conflict removed: [0.5, 1.5]\n"


@pytest.mark.slow
def test_it_runs_where_pip_has_installed_it(wheel, tmp_path):
    """Without the tested versions: pip finds some that work by itself."""
    venv.create(tmp_path / "env", with_pip=True)
    binaries = tmp_path / "env" / "bin"
    for what in (["--upgrade", "pip"], [f"{wheel}[tfx,kfp]"]):
        subprocess.run([binaries / "pip", "install", "--quiet", *what], check=True)
    elsewhere = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    folder = tmp_path / "mine"
    folder.mkdir()
    rows = "".join(f"{i % 50}.5,{i % 7},{i * 3 % 11}\n" for i in range(300))
    (folder / "mine.csv").write_text(f"size,age,price\n{rows}")
    for arguments in (
        ["init", "mine.csv", "--label", "price", "--label", "age"],
        ["run", "--epochs", "1"],
        ["compile", "--target", "kfp", "--image", "i", "--pipeline-root", "gs://b/x"],
    ):
        run = subprocess.run(
            [binaries / "tfx-pcgrad", *arguments], cwd=folder, check=False, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=elsewhere,
        )  # fmt: skip
        # 3: not pushed, which an epoch may not be enough for.
        assert run.returncode in ((0, 3) if arguments[0] == "run" else (0,)), run.stdout
    assert (folder / "mine.toml").exists()
    assert (folder / "output" / "taxi.yaml").exists()


def test_the_image_gets_all_that_it_copies():
    """`.dockerignore` leaves out all but what it names."""
    copies = re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.M)
    allowed = re.findall(r"^!([\w.-]+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert {name for line in copies for name in line.split()} <= set(allowed)
