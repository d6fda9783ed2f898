"""The choice of Python and TFX for a machine, and the script that prints it."""

import dataclasses
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tools import select_stack
from tools.select_stack import Facts, NoStackError, choose, collect_facts

SCRIPT = Path(select_stack.__file__)


def installed(*versions: str) -> dict[str, str]:
    return {version: f"/usr/bin/python{version}" for version in versions}


ALL = installed("3.10", "3.11", "3.12", "3.13")
DEBIAN_12 = Facts("Linux", "x86_64", (2, 36), ALL)
DEBIAN_13 = Facts("Linux", "x86_64", (2, 41), ALL)
MACOS = Facts("Darwin", "arm64", None, ALL)


@pytest.mark.parametrize(
    ("facts", "python", "tfx"),
    [
        (DEBIAN_13, "/usr/bin/python3.13", "1.21.0"),
        (MACOS, "/usr/bin/python3.13", "1.21.0"),
        (dataclasses.replace(DEBIAN_12, glibc=(2, 39)), "/usr/bin/python3.13", "1.21.0"),
        (dataclasses.replace(DEBIAN_12, glibc=(2, 38)), "/usr/bin/python3.10", "1.16.0"),
        (DEBIAN_12, "/usr/bin/python3.10", "1.16.0"),
        (dataclasses.replace(DEBIAN_12, glibc=(2, 28)), "/usr/bin/python3.10", "1.16.0"),
    ],
)
def test_newest_stack_that_the_platform_allows(facts: Facts, python: str, tfx: str) -> None:
    choice = choose(facts)
    assert choice.python == python
    assert f"TFX {tfx}" in choice.why


@pytest.mark.parametrize(
    ("pythons", "python"),
    [
        (installed("3.11", "3.12"), "/usr/bin/python3.12"),
        (installed("3.10", "3.11"), "/usr/bin/python3.11"),
        (installed("3.10"), "/usr/bin/python3.10"),
    ],
)
def test_an_installed_python_is_preferred_to_a_download(
    pythons: dict[str, str], python: str
) -> None:
    assert choose(dataclasses.replace(DEBIAN_13, pythons=pythons)).python == python


@pytest.mark.parametrize(
    ("facts", "version"),
    [
        (dataclasses.replace(DEBIAN_13, pythons={}), "3.13"),
        (dataclasses.replace(DEBIAN_12, pythons=installed("3.11", "3.12", "3.13")), "3.10"),
        (dataclasses.replace(MACOS, pythons=installed("3.10")), "3.13"),
    ],
)
def test_uv_fetches_a_python_where_none_fits(facts: Facts, version: str) -> None:
    choice = choose(facts)
    assert choice.python == version
    assert f"uv fetches Python {version}" in choice.why


def test_a_python_without_headers_is_named_as_the_reason_to_fetch_one() -> None:
    facts = dataclasses.replace(DEBIAN_13, pythons={}, headerless=frozenset({"3.13"}))
    assert "no C headers (Debian, Ubuntu: apt-get install python3-dev)" in choose(facts).why


def test_why_an_older_stack_was_chosen_is_said() -> None:
    why = choose(DEBIAN_12).why
    assert "TFX 1.21.0 needs glibc 2.39 (for its ml-metadata wheels), this machine has 2.36" in why
    why = choose(dataclasses.replace(DEBIAN_13, pythons=installed("3.10"))).why
    assert "no Python for TFX 1.21.0 is installed" in why


@pytest.mark.parametrize("wanted", ["3.10", "3.11", "3.12", "3.13"])
def test_the_user_may_ask_for_a_python(wanted: str) -> None:
    choice = choose(DEBIAN_13, wanted)
    assert choice.python == ALL[wanted]
    assert f"PYTHON={wanted}" in choice.why
    assert choose(dataclasses.replace(DEBIAN_13, pythons={}), wanted).python == wanted


@pytest.mark.parametrize(
    ("facts", "wanted", "fragments"),
    [
        (DEBIAN_12, "3.12", ["PYTHON=3.12", "glibc 2.39", "ml-metadata", "2.36", "PYTHON=3.10"]),
        (MACOS, "3.10", ["PYTHON=3.10", "TFX 1.16.0", "Apple silicon", "PYTHON=3.13"]),
        (DEBIAN_13, "3.9", ["PYTHON=3.9", "3.10, 3.11, 3.12, 3.13"]),
        (DEBIAN_13, "/usr/bin/python3", ["PYTHON=/usr/bin/python3", "3.10, 3.11, 3.12, 3.13"]),
    ],
)
def test_what_the_user_asks_for_must_be_installable(
    facts: Facts, wanted: str, fragments: list[str]
) -> None:
    assert_refused(facts, wanted, fragments)


@pytest.mark.parametrize(
    ("facts", "fragments"),
    [
        (Facts("Linux", "aarch64", (2, 41), ALL), ["Linux on aarch64"]),
        (Facts("Darwin", "x86_64", None, ALL), ["macOS on Intel"]),
        (Facts("Windows", "AMD64", None, ALL), ["Windows on AMD64", "WSL 2"]),
        (Facts("Linux", "x86_64", None, ALL), ["without glibc"]),
        (Facts("Linux", "x86_64", (2, 17), ALL), ["glibc 2.28", "2.17"]),
    ],
)
@pytest.mark.parametrize("wanted", [None, "3.10", "3.13"])
def test_platforms_without_a_stack(facts: Facts, wanted: str | None, fragments: list[str]) -> None:
    assert_refused(facts, wanted, [*fragments, "Linux on x86-64", "macOS on Apple silicon"])


def test_a_missing_compiler_is_named_before_an_installer_fails() -> None:
    facts = dataclasses.replace(DEBIAN_12, compiler=False)
    assert_refused(facts, None, ["C++ compiler", "pyfarmhash", "apt-get install g++"])


def assert_refused(facts: Facts, wanted: str | None, fragments: list[str]) -> None:
    with pytest.raises(NoStackError) as refusal:
        choose(facts, wanted)
    message = str(refusal.value)
    assert "\n" not in message
    for fragment in fragments:
        assert fragment in message


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for a machine without any Python or compiler."""
    (tmp_path / "early").mkdir()
    (tmp_path / "late").mkdir()
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "early"), str(tmp_path / "late")]))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.delenv("CXX", raising=False)
    return tmp_path


def executable(path: Path, line: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)
    return path


def test_shims_that_do_not_run_are_passed_over(machine: Path) -> None:
    executable(machine / "early" / "python3.10", "exit 127")
    executable(machine / "early" / "python3.11", "exit 127")
    python = executable(machine / "late" / "python3.10", "echo 3.10 True")
    assert collect_facts(uv=None).pythons == {"3.10": str(python)}


def test_another_version_under_the_name_is_passed_over(machine: Path) -> None:
    executable(machine / "early" / "python3.12", "echo 3.9 True")
    assert collect_facts(uv=None).pythons == {}


def test_pythons_of_pyenv_and_uv_are_found(machine: Path) -> None:
    own = executable(machine / "uv-pythons/cpython-3.12.9-any/bin/python3.12", "echo 3.12 True")
    executable(machine / "pyenv/versions/3.12.1/bin/python3.12", "echo 3.12 True")
    pyenv = executable(machine / "pyenv/versions/3.13.0/bin/python3.13", "echo 3.13 True")
    uv = executable(machine / "uv", f"echo {machine / 'uv-pythons'}")
    assert collect_facts(str(uv)).pythons == {"3.12": str(own), "3.13": str(pyenv)}


def test_pythons_without_headers_are_kept_apart(machine: Path) -> None:
    executable(machine / "early" / "python3.11", "echo 3.11 False")
    executable(machine / "early" / "python3.12", "echo 3.12 False")
    python = executable(machine / "late" / "python3.12", "echo 3.12 True")
    facts = collect_facts(uv=None)
    assert facts.pythons == {"3.12": str(python)}
    assert facts.headerless == {"3.11"}


def test_a_compiler_is_found(machine: Path) -> None:
    assert not collect_facts(uv=None).compiler
    executable(machine / "late" / "g++", "")
    assert collect_facts(uv=None).compiler


def test_the_platform_is_the_real_one() -> None:
    facts = collect_facts(uv=None)
    assert (facts.system, facts.machine) == (platform.system(), platform.machine())
    name, version = platform.libc_ver()
    numbers = tuple(int(number) for number in version.split(".")) if name == "glibc" else None
    assert facts.glibc == numbers


def run_script(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_script_prints_the_python_and_one_line_of_reasons() -> None:
    run = run_script()
    assert run.returncode == 0
    chosen = run.stdout.removesuffix("\n")
    assert chosen in select_stack.PYTHONS or Path(chosen).is_file()
    assert run.stderr.startswith("Python 3.")
    assert run.stderr.count("\n") == 1


def test_the_script_fails_with_one_line() -> None:
    run = run_script("--python", "2.7")
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr.startswith("error: PYTHON=2.7")
    assert run.stderr.count("\n") == 1
