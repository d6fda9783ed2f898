"""The tested versions of all packages."""

from __future__ import annotations

import pathlib


def print_constraints() -> int:
    """Prints a file for pip's `--constraint`; returns the exit code."""
    folder = pathlib.Path(__file__).parent
    # In the wheel; or in the repository.
    places = (folder / "requirements.lock", folder.parents[1] / "requirements.lock")
    file = next(place for place in places if place.exists())
    print(file.read_text(encoding="utf-8"), end="")
    return 0
