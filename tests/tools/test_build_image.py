"""The Dockerfile, and the script that builds it without Docker: what it says when it cannot.

That it can, and that a pipeline runs in the image, is tested in
tests/pcgrad_pipelines/kubeflow/test_image.py.
"""

import os
import pathlib
import re
import subprocess
import sys

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = pathlib.Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def build(*arguments, path):
    script = ROOT / "tools" / "build_image.sh"
    environment = {**os.environ, "PATH": str(path)}
    return subprocess.run(
        ["/bin/bash", str(script), *arguments],
        env=environment, text=True, capture_output=True, check=False,
    )  # fmt: skip


@pytest.fixture
def commands(tmp_path):
    """A folder with the commands that the script itself takes, and no others."""
    for name in ("dirname", "sed", "mkdir", "unshare", "true", "env", "grep"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    (tmp_path / "id").write_text("#!/bin/sh\necho 0\n")
    (tmp_path / "id").chmod(0o755)
    return tmp_path


def test_without_a_name_it_says_how_it_is_called(commands):
    process = build(path=commands)
    assert process.returncode == 2
    assert "build_image.sh NAME" in process.stderr


@pytest.mark.parametrize("present", [(), ("buildah",)])
def test_what_is_not_installed_is_named(commands, present):
    for name in present:
        (commands / name).symlink_to("/usr/bin/true")
    process = build("tfx-pcgrad", path=commands)
    missing = "debootstrap" if present else "buildah"
    assert process.returncode == 75
    assert f"NO IMAGE WAS BUILT: {missing} is not installed." in process.stderr


def test_only_root_can_build(commands):
    (commands / "id").write_text("#!/bin/sh\necho 1000\n")
    process = build("tfx-pcgrad", path=commands)
    assert process.returncode == 75
    assert "it takes root" in process.stderr


def test_the_worker_has_the_pinned_beam():
    lock = (ROOT / "requirements.lock").read_text()
    older, newer = re.findall(r"^apache-beam==([\d.]+)", lock, re.M)
    assert f"\nARG BEAM={older}\n" in DOCKERFILE
    assert f"--build-arg BEAM={newer}" in DOCKERFILE


def test_the_labels_are_the_packages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', DOCKERFILE))
    assert labels == {
        "title": project["name"],
        "description": project["description"],
        "version": project["version"],
        "licenses": project["license"],
    }
