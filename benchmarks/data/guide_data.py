"""Writes the data of docs/does-it-help.md, and what was changed in `tfx-pcgrad init`'s proposals.

`python benchmarks/data/guide_data.py FOLDER`
"""

from __future__ import annotations

import argparse
import pathlib
import shutil

import pandas as pd
from sklearn import datasets

from benchmarks.data.flights import read_flights
from benchmarks.data.known_truth import known_truth

_CONFIGURATIONS = pathlib.Path(__file__).with_name("guide")


def main() -> None:
    """Writes CSV files and TOML files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    frames = {
        "wine": _classes(datasets.load_wine(as_frame=True)),
        "breast_cancer": _classes(datasets.load_breast_cancer(as_frame=True)),
        "conflict": known_truth("conflict"),
        "flights": read_flights(),
    }
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    for path in _CONFIGURATIONS.glob("*.toml"):
        shutil.copy(path, folder)


def _classes(data: datasets.Bunch) -> pd.DataFrame:
    """With the names of the classes in place of their numbers."""
    return data.frame.assign(target=data.frame["target"].map(dict(enumerate(data.target_names))))


if __name__ == "__main__":
    main()
