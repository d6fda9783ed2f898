"""The pinned file holds both stacks and tells nothing about where it was made."""

import importlib.metadata
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tools.select_stack import PYTHONS, STACKS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
OLDER = {"tfx": "1.16.0", "tensorflow": "2.16.2", "keras": "3.12", "numpy": "1.26"}
NEWER = {"tfx": "1.21.0", "tensorflow": "2.21.0", "keras": "3.15", "numpy": "2.4"}


GPU_LOCK = (ROOT / "requirements-gpu.lock").read_text(encoding="utf-8")


def pins(python: str, lock: str = LOCK) -> dict[str, str]:
    """Name to version of what is installed under a Python on Linux."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": "x86_64",
        "platform_system": "Linux",
        "sys_platform": "linux",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    found: dict[str, str] = {}
    for line in lock.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            assert requirement.name not in found, f"{requirement.name} is pinned twice"
            found[requirement.name] = str(requirement.specifier).removeprefix("==")
    return found


@pytest.mark.parametrize(
    ("python", "expected"),
    [("3.10", OLDER), ("3.11", NEWER), ("3.12", NEWER), ("3.13", NEWER)],
)
def test_each_python_gets_its_stack(python: str, expected: dict[str, str]) -> None:
    found = pins(python)
    for name, version in expected.items():
        assert re.fullmatch(rf"{re.escape(version)}(\.\d+)*", found[name]), (name, found[name])


def test_the_stacks_that_are_offered_are_those_that_are_pinned() -> None:
    for stack in STACKS:
        for python in stack.pythons:
            assert pins(python)["tfx"] == stack.tfx


def test_what_the_older_stack_imports_without_asking_for_it_is_pinned() -> None:
    found = pins("3.10")
    assert "dill" in found
    assert int(found["setuptools"].split(".")[0]) < 82


def test_the_project_allows_the_pythons_that_are_offered() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    allowed = SpecifierSet(project["requires-python"])
    assert {minor for minor in range(8, 20) if f"3.{minor}" in allowed} == {
        int(python.split(".")[1]) for python in PYTHONS
    }
    assert (ROOT / ".python-version").read_text(encoding="utf-8").strip() in PYTHONS


@pytest.mark.parametrize("lock", [LOCK, GPU_LOCK], ids=["", "gpu"])
def test_no_address_and_no_path(lock: str) -> None:
    assert not re.search(r"://|file:|--index-url|--extra-index|--find-links| @ |(^|\s)/", lock)


@pytest.mark.parametrize("python", PYTHONS)
def test_what_an_image_for_gpus_has_beside_is_pinned_too(python: str) -> None:
    usual, gpu = pins(python), pins(python, GPU_LOCK)
    assert {name: usual[name] for name in gpu if name in usual}.items() <= gpu.items()
    beside = set(gpu) - set(usual)
    assert {"nvidia-cudnn-cu12", "nvidia-cublas-cu12"} <= beside
    assert all(name.startswith("nvidia-") for name in beside)


DISTRIBUTIONS = {
    "TFX": "tfx",
    "TensorFlow": "tensorflow",
    "Keras": "keras",
    "Transform": "tensorflow-transform",
    "Model Analysis": "tensorflow-model-analysis",
    "Beam": "apache-beam",
    "Kubeflow Pipelines SDK": "kfp",
}


def readme_versions() -> list[list[str]]:
    readme = (ROOT / "docs" / "installation.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in readme.splitlines()]
    return [row for row in rows if row and row[0] in DISTRIBUTIONS and len(row) == 3]


def test_the_readme_names_the_versions_that_are_pinned() -> None:
    rows = readme_versions()
    assert [row[0] for row in rows] == list(DISTRIBUTIONS)
    for name, older, newer in rows:
        assert older == pins("3.10")[DISTRIBUTIONS[name]], name
        for python in ("3.11", "3.12", "3.13"):
            assert newer == pins(python)[DISTRIBUTIONS[name]], name


def test_what_is_tested_here_is_what_is_pinned() -> None:
    found = pins(f"{sys.version_info.major}.{sys.version_info.minor}")
    for name in DISTRIBUTIONS.values():
        assert importlib.metadata.version(name) == found[name], name
