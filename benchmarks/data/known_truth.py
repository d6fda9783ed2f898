"""Data of two tasks whose relation is known: `python benchmarks/data/known_truth.py conflict FILE`.

Six features of normal noise; `amount` is a number, `event` is 0 or 1.

- conflict: both follow the same features, along two directions at right angles, nearly without
  noise. A shared layer of one or two units cannot point both ways.
- unrelated: neither follows any feature, nor the other.
- aligned: the event is that a noisy amount exceeds 0, so what surprises the one task surprises the
  other.
"""

from __future__ import annotations

import argparse
import pathlib

import numpy as np
import pandas as pd

RELATIONS = ("conflict", "unrelated", "aligned")

# Of a pipeline's configuration.
TASKS = """
[[tasks]]
name = "amount"
kind = "regression"
column = "amount"
[[tasks]]
name = "event"
kind = "binary"
column = "event"
"""

_FEATURES = 6
_LITTLE = 0.1  # standard deviation of the noise, while the labels' is 1


def known_truth(relation: str, rows: int = 4000, seed: int = 0) -> pd.DataFrame:
    """Draws the data.

    Args:
        relation: One of `RELATIONS`.
        rows: How many.
        seed: Of all that is drawn.

    Returns:
        The columns x1 to x6, amount and event.
    """
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, _FEATURES))
    directions = np.linalg.qr(rng.normal(size=(_FEATURES, 2)))[0]
    along, across = (features @ directions).T
    noise = rng.normal(size=(2, rows))
    if relation == "conflict":
        amount, level = along + _LITTLE * noise[0], across + _LITTLE * noise[1]
    elif relation == "unrelated":
        amount, level = noise
    else:
        amount = level = along + noise[0]
    frame = pd.DataFrame(features, columns=[f"x{i}" for i in range(1, _FEATURES + 1)])
    frame["amount"] = amount
    frame["event"] = (level > 0).astype(int)
    return frame.round(4)


def main() -> None:
    """Writes a CSV file."""
    parser = argparse.ArgumentParser(description="Writes data of two tasks of a known relation.")
    parser.add_argument("relation", choices=RELATIONS)
    parser.add_argument("file", type=pathlib.Path)
    arguments = parser.parse_args()
    known_truth(arguments.relation).to_csv(arguments.file, index=False)


if __name__ == "__main__":
    main()
