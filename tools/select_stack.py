"""Picks the newest tested stack that this machine can install.

Prints what `uv venv --python` takes: the path of an installed Python or, where none fits, the
version for uv to fetch. What was chosen and why goes to standard error, in one line; where
nothing can be installed, the reason does, and the exit code is 1.

Standard library only, for any Python from 3.8: it runs before there is an environment.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterator, Mapping

PROBE = """
import os, sys, sysconfig
assert sys.prefix == sys.base_prefix and sys.implementation.name == "cpython"
headers = os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
print("%d.%d" % sys.version_info[:2], headers)
"""


@dataclasses.dataclass(frozen=True)
class Stack:
    """A tested generation of TFX.

    Attributes:
      tfx: its TFX release.
      pythons: the Python versions it runs on, newest first.
      glibc: the oldest glibc that the pinned wheels accept (Linux, x86-64).
      newest_wheels: a package whose wheels set that bound.
      apple_silicon: whether there are wheels for macOS on Apple silicon.
    """

    tfx: str
    pythons: tuple[str, ...]
    glibc: tuple[int, int]
    newest_wheels: str
    apple_silicon: bool


STACKS = (
    Stack("1.21.0", ("3.13", "3.12", "3.11"), (2, 39), "ml-metadata", apple_silicon=True),
    Stack("1.16.0", ("3.10",), (2, 28), "pillow", apple_silicon=False),
)
PYTHONS = tuple(version for stack in STACKS for version in stack.pythons)


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the choice depends on.

    Attributes:
      system: as `platform.system()`.
      machine: as `platform.machine()`.
      glibc: the version of glibc; None on macOS, Windows and musl-based Linux.
      pythons: version to path of the installed Pythons that can build an extension module.
      headerless: the versions that are installed, but only without their C headers.
      compiler: whether there is a C++ compiler.
    """

    system: str
    machine: str
    glibc: tuple[int, int] | None
    pythons: Mapping[str, str]
    headerless: frozenset[str] = frozenset()
    compiler: bool = True


@dataclasses.dataclass(frozen=True)
class Choice:
    """A Python for `uv venv --python`, and one line that says why."""

    python: str
    why: str


class NoStackError(Exception):
    """Nothing can be installed; the message says why and what helps, in one line."""


def choose(facts: Facts, wanted: str | None = None) -> Choice:
    """Chooses the newest stack, of those whose Python is installed if there are any.

    Args:
      facts: the machine.
      wanted: the Python version that the user asked for.

    Raises:
      NoStackError: if nothing can be installed, or not what the user asked for.
    """
    if wanted is not None and wanted not in PYTHONS:
        raise NoStackError(f"PYTHON={wanted}: choose one of {', '.join(sorted(PYTHONS))}")
    obstacles = {stack.tfx: _obstacle(stack, facts) for stack in STACKS}
    possible = [stack for stack in STACKS if obstacles[stack.tfx] is None]
    if not possible:
        raise NoStackError(f"{obstacles[STACKS[-1].tfx]}; {_remedy(facts)}")
    if wanted is not None:
        stack = next(stack for stack in STACKS if wanted in stack.pythons)
        if stack not in possible:
            raise NoStackError(
                f"PYTHON={wanted}: {obstacles[stack.tfx]}; "
                f"PYTHON={possible[0].pythons[0]} can be installed here"
            )
    if not facts.compiler:
        raise NoStackError(
            "there is no C++ compiler, and pyfarmhash, which TFX needs, comes as source only; "
            "install one (Debian, Ubuntu: apt-get install g++; macOS: xcode-select --install)"
        )

    candidates = [
        (stack, version)
        for stack in possible
        for version in stack.pythons
        if wanted in (None, version)
    ]
    installed = [(stack, version) for stack, version in candidates if version in facts.pythons]
    stack, version = (installed or candidates)[0]
    if wanted is not None:
        reason = f"as PYTHON={wanted} says"
    elif stack is STACKS[0]:
        reason = "the newest stack"
    else:
        newest = STACKS[0]
        reason = obstacles[newest.tfx] or f"no Python for TFX {newest.tfx} is installed"
    if not installed:
        headers = version in facts.headerless
        reason += f"; uv fetches Python {version}, as "
        reason += (
            "the installed one has no C headers (Debian, Ubuntu: apt-get install python3-dev)"
            if headers
            else "none that fits is installed"
        )
    return Choice(
        facts.pythons.get(version, version), f"Python {version} with TFX {stack.tfx}: {reason}"
    )


def _obstacle(stack: Stack, facts: Facts) -> str | None:
    """Why the stack cannot be installed, or None."""
    if (facts.system, facts.machine) == ("Linux", "x86_64"):
        if facts.glibc is None:
            return "TFX has no wheels for a Linux without glibc"
        if facts.glibc < stack.glibc:
            needed, found = (".".join(map(str, version)) for version in (stack.glibc, facts.glibc))
            return (
                f"TFX {stack.tfx} needs glibc {needed} (for its {stack.newest_wheels} wheels), "
                f"this machine has {found}"
            )
        return None
    if (facts.system, facts.machine) == ("Darwin", "arm64"):
        return None if stack.apple_silicon else f"TFX {stack.tfx} has no wheels for Apple silicon"
    if facts.system == "Darwin":
        return "Apache Beam and TFX have no wheels for macOS on Intel"
    return f"TFX has no wheels for {facts.system} on {facts.machine}"


def _remedy(facts: Facts) -> str:
    where = "Linux on x86-64 with glibc 2.28 or later, or macOS on Apple silicon"
    return f"use {'WSL 2 or ' if facts.system == 'Windows' else ''}{where}"


def collect_facts(uv: str | None) -> Facts:
    """Looks at this machine; `uv` is the uv whose own Pythons are considered too."""
    pythons: dict[str, str] = {}
    headerless = set()
    for version in PYTHONS:
        for path in _candidates(version, uv):
            headers = _has_headers(path, version)
            if headers:
                pythons[version] = str(path)
                break
            if headers is not None:
                headerless.add(version)
    return Facts(
        system=platform.system(),
        machine=platform.machine(),
        glibc=_glibc(),
        pythons=pythons,
        headerless=frozenset(headerless - pythons.keys()),
        compiler=any(map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++"))),
    )


def _glibc() -> tuple[int, int] | None:
    try:
        text = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, ValueError, OSError):
        return None
    numbers = re.match(r"glibc (\d+)\.(\d+)", text)
    return (int(numbers[1]), int(numbers[2])) if numbers else None


def _candidates(version: str, uv: str | None) -> Iterator[Path]:
    """Where a Python may be; pyenv's own folder too, as its shims run only what is activated."""
    name = f"python{version}"
    if uv:
        found = subprocess.run([uv, "python", "dir"], capture_output=True, text=True, check=False)
        if found.returncode == 0:
            yield from sorted(Path(found.stdout.strip()).glob(f"cpython-{version}.*/bin/{name}"))
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/{name}"))
    for folder in os.get_exec_path():
        if shutil.which(name, path=folder):
            yield Path(folder, name)


def _has_headers(path: Path, version: str) -> bool | None:
    """None if the path is no such Python, or one that no environment can be made from."""
    try:
        probe = subprocess.run(
            [str(path), "-c", PROBE], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    found = probe.stdout.split()
    return found[1] == "True" if probe.returncode == 0 and found[0] == version else None


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", metavar="VERSION", help="this version of Python, or an error")
    parser.add_argument("--uv", metavar="PATH", help="consider the Pythons that this uv installed")
    args = parser.parse_args()
    try:
        choice = choose(collect_facts(args.uv), args.python or None)
    except NoStackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(choice.why, file=sys.stderr)
    print(choice.python)
    return 0


if __name__ == "__main__":
    sys.exit(main())
