"""What another library makes of given gradients, in an environment of its own."""

from __future__ import annotations

import pathlib
import subprocess
import tempfile
import venv
from collections.abc import Mapping, Sequence

import numpy as np

_HERE = pathlib.Path(__file__).parent


def foreign_updates(
    requirements: Sequence[str], script: str, problems: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Installs a library that has PyTorch (6 GB) and asks it for its updates.

    Args:
        requirements: The library, and what it needs without saying so, for pip.
        script: File beside this one, which reads gradients and writes updates.
        problems: Gradients, [T, dimensions], by name.

    Returns:
        Updates, [dimensions], by "method/problem".
    """
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        venv.create(root / "env", with_pip=True)
        python = root / "env" / "bin" / "python"
        install = [python, "-m", "pip", "install", "--quiet", "--no-cache-dir", *requirements]
        subprocess.run(install, check=True)
        np.savez(root / "gradients.npz", **problems)
        paths = root / "gradients.npz", root / "updates.npz"
        subprocess.run([python, _HERE / script, *paths], check=True)
        return dict(np.load(root / "updates.npz"))
