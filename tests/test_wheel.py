"""What other people install."""

import pathlib
import subprocess
import sys
import tarfile
import venv
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]


def test_two_packages_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"pcgrad", "pcgrad_tfx"}
    assert {"pcgrad/py.typed", "pcgrad_tfx/py.typed"} <= set(names)
    packaged = {name for name in names if name.endswith(".py")}
    sources = {
        str(file.relative_to(root))
        for root, package in ((ROOT, "pcgrad"), (ROOT / "components", "pcgrad_tfx"))
        for file in (root / package).rglob("*.py")
    }
    assert packaged == sources


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
        "components",
        "pcgrad",
    }
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
