"""Writes a wide table: many feature columns and many tasks, with a configuration."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pandas as pd

TASKS, COLUMNS, ROWS = 50, 500, 10_000
_CATEGORIES = 20


def write_wide(folder: pathlib.Path) -> pathlib.Path:
    """Writes wide.csv and wide.toml: half of the features are numbers, half categories.

    Args:
        folder: Made if it does not exist.

    Returns:
        The path of the configuration.
    """
    generator = np.random.default_rng(0)
    half = COLUMNS // 2
    numbers = generator.normal(size=(ROWS, half)).astype("float32")
    categories = generator.integers(_CATEGORIES, size=(ROWS, half))
    labels = numbers @ generator.normal(size=(half, TASKS)) / np.sqrt(half)
    labels += generator.normal(size=labels.shape)
    # Every other task is a binary one.
    labels[:, ::2] = labels[:, ::2] > 0
    table = pd.concat(
        [
            pd.DataFrame(numbers).add_prefix("number_"),
            ("c" + pd.DataFrame(categories).astype(str)).add_prefix("category_"),
            pd.DataFrame(labels).add_prefix("label_"),
        ],
        axis=1,
    )
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "wide.csv", index=False, float_format="%.4g")
    lines = ['name = "wide"', "[data]", 'path = "wide.csv"']
    for task in range(TASKS):
        kind = "regression" if task % 2 else "binary"
        named = f'name = "task_{task}"\nkind = "{kind}"\ncolumn = "label_{task}"'
        lines += ["[[tasks]]", named, "gate = { min_gain = -1.0 }"]
    lines += [
        "[features]",
        f"numeric = {json.dumps([f'number_{i}' for i in range(half)])}",
        f"categorical = {json.dumps([f'category_{i}' for i in range(half)])}",
        "[training]",
        "epochs = 2",
    ]
    (folder / "wide.toml").write_text("\n".join(lines) + "\n")
    return folder / "wide.toml"
