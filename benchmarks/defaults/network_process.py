"""Trains the network in a process of its own, by the code of any checkout."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.defaults.rows import Prediction, Rows

_LAST_LINES = 30
_SCRIPT = pathlib.Path(__file__).with_name("network.py")


def train_network(
    rows: Rows,
    code: pathlib.Path,
    cache: pathlib.Path,
    training: Mapping[str, Any],
    proposed: bool,
) -> tuple[dict[str, Prediction], dict[str, Any]]:
    """Trains on the rows, and lets the saved model predict the test split.

    Args:
        rows: The rows.
        code: The checkout whose packages train.
        cache: Folder of the transformed rows, which are made once for each code that makes them.
        training: Keys of `[training]`.
        proposed: Whether they are added to those that `tfx-pcgrad init` proposes, not to none.

    Returns:
        The predictions by label, and the details: the seconds of the training, and its keys.

    Raises:
        RuntimeError: The process failed; with its last words.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for split in ("train", "eval", "test"):
            getattr(rows, split).to_parquet(folder / f"{split}.parquet")
        request = {
            "labels": list(rows.kinds),
            "seed": rows.seed,
            "cache": str(cache.absolute()),
            "training": dict(training),
            "proposed": proposed,
        }
        (folder / "request.json").write_text(json.dumps(request))
        code = code.absolute()
        paths = [code, code / "components", code / "pipelines"]
        process = subprocess.run(
            [sys.executable, str(_SCRIPT), str(folder)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if process.returncode:
            raise RuntimeError("\n".join(process.stdout.splitlines()[-_LAST_LINES:]))
        answer = json.loads((folder / "answer.json").read_text())
        values = np.load(folder / "predictions.npz")
        predictions = {
            label: Prediction(values[label], tuple(classes))
            for label, classes in answer.pop("classes").items()
        }
        return predictions, answer
