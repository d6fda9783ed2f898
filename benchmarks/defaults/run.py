"""Trains contenders on public tables and scores them on identical rows.

    python benchmarks/defaults/run.py RESULTS                          # all but the network
    python benchmarks/defaults/run.py RESULTS network                  # the network, as it is
    python benchmarks/defaults/run.py RESULTS network --code ../other --as before
    python benchmarks/defaults/run.py RESULTS network --as wide --training '{"hidden_units": [512]}'
    python benchmarks/defaults/report.py RESULTS network               # what came of it

The tables are those of `benchmarks.data.tables`; each is split 8:1:1 by each seed. A contender's
scores on a table and a seed are kept in RESULTS/TABLE/CONTENDER-SEED.json and not computed again,
so that a run may be interrupted, or done in pieces. LightGBM is no requirement of the project:
`pip install "lightgbm>=4.7"`. Tuning takes most of the time.
"""

from __future__ import annotations

import argparse
import itertools
import json
import pathlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from benchmarks.data.tables import TABLES, load
from benchmarks.defaults.linear import fit_linear
from benchmarks.defaults.network_process import train_network
from benchmarks.defaults.rows import Prediction, Problem, Rows, split_rows
from benchmarks.defaults.scores import score
from benchmarks.defaults.trees import fit_trees, fit_tuned_lightgbm, fit_tuned_trees

_ROOT = pathlib.Path(__file__).parents[2]

LINEAR: Final = "linear"
NETWORK: Final = "network"

# Learn one label at a time: (prediction, settings found).
OF_ONE_LABEL: Final[dict[str, Callable[[Problem], tuple[Prediction, dict[str, Any]]]]] = {
    LINEAR: fit_linear,
    "trees": fit_trees,
    "tuned-trees": fit_tuned_trees,
    "tuned-lightgbm": fit_tuned_lightgbm,
}


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=pathlib.Path, help="folder of what is kept")
    names = [*OF_ONE_LABEL, NETWORK]
    parser.add_argument("contenders", nargs="*", default=list(OF_ONE_LABEL), metavar="CONTENDER")
    parser.add_argument(
        "--tables", nargs="+", choices=TABLES, default=list(TABLES), metavar="TABLE"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--code", type=pathlib.Path, default=_ROOT, help="the network's checkout")
    parser.add_argument("--as", dest="name", default=NETWORK, help="the network's name in RESULTS")
    parser.add_argument("--training", type=json.loads, default={}, help="[training] as JSON")
    parser.add_argument(
        "--proposed", action="store_true", help="[training] as `tfx-pcgrad init` proposes it"
    )
    parser.add_argument("--packages", type=pathlib.Path, help="folder of the tables' packages")
    args = parser.parse_args()
    if unknown := set(args.contenders) - set(names):
        parser.error(f"no contender {min(unknown)!r}; choose from {', '.join(names)}")

    def learn(
        rows: Rows, table: str, contender: str
    ) -> tuple[dict[str, Prediction], dict[str, Any]]:
        if contender != NETWORK:
            return learn_labels(rows, contender)
        cache = args.results / "transformed" / f"{table}-{rows.seed}"
        return train_network(rows, args.code, cache, args.training, args.proposed)

    failed = False
    for seed, table, contender in itertools.product(args.seeds, args.tables, args.contenders):
        name = args.name if contender == NETWORK else contender
        file = args.results / table / f"{name}-{seed}.json"
        if file.exists():
            continue
        rows = split_rows(*load(table, args.packages), seed)
        try:
            predictions, details = learn(rows, table, contender)
        except RuntimeError as error:
            failed = True
            print(f"{table}, seed {seed}, {name}: {error}", file=sys.stderr, flush=True)
            continue
        cell = {"scores": scores(rows, predictions), **details}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(cell, indent=1) + "\n")
        print(f"{table}, seed {seed}, {name}: {cell['cpu_seconds']:.1f} s", flush=True)
    if failed:
        sys.exit(1)


def learn_labels(rows: Rows, contender: str) -> tuple[dict[str, Prediction], dict[str, Any]]:
    """Lets a contender of `OF_ONE_LABEL` learn each label.

    Returns:
        Its predictions for the test split by label; and what it took, with the settings found.
    """
    started, cpu = time.monotonic(), time.process_time()
    fitted = {label: OF_ONE_LABEL[contender](rows.problem(label)) for label in rows.kinds}
    details = {
        "seconds": time.monotonic() - started,
        "cpu_seconds": time.process_time() - cpu,
        "settings": {label: settings for label, (_, settings) in fitted.items()},
    }
    return {label: prediction for label, (prediction, _) in fitted.items()}, details


def scores(rows: Rows, predictions: Mapping[str, Prediction]) -> dict[str, float | None]:
    """Scores on the test split by label."""
    return {
        label: score(kind, rows.test[label], predictions[label])
        for label, kind in rows.kinds.items()
    }


if __name__ == "__main__":
    main()
