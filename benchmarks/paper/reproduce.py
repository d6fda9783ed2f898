"""Reproduces what the PCGrad paper shows, beside equal weights and static weights.

Three problems (PAPER.md beside this file has the results): the two-dimensional valley of the
paper's figure 1; two label sets on one head with losses scaled 1:5; overlaid digits behind narrow
trunks.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import rich.console
import tensorflow as tf

from benchmarks.one_core import use_one_core
from benchmarks.paper import plots, report, tasks, valley

_RESULTS = pathlib.Path(__file__).parents[1] / "results"


def main() -> None:
    """Runs the experiments."""
    args = _arguments()
    use_one_core()
    console = rich.console.Console(width=180)
    args.output.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"tensorflow": tf.__version__, "seeds": args.seeds}
    setting = tasks.Setting()
    steps = valley.PAPER_STEPS
    if args.quick:
        setting = tasks.Setting(rows=(256, 64, 64), steps=4, batch=32)
        steps = 200
    if "valley" in args.only:
        console.print("valley …")
        result["valley"], runs = valley.run(args.seeds, steps)
        console.print(report.valley(result["valley"]))
        plots.valley(runs, args.output / "valley.svg")
    found = [
        variant
        for name in tasks.PROBLEMS
        if name in args.only
        for variant in tasks.run(name, args.seeds, setting, console.print, args.widths)
    ]
    if found:
        result["tasks"] = found
        for rates in ("common", "tuned"):
            console.print(report.methods(found, rates))
            console.print(report.differences(found, rates))
        plots.differences(found, args.output / "paper.svg")
    (args.output / "paper.json").write_text(json.dumps(result, indent=1) + "\n")
    console.print(f"Written to {args.output}")


def _arguments() -> argparse.Namespace:
    problems = ["valley", *tasks.PROBLEMS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10, help="at least 2 (default: 10)")
    parser.add_argument("--only", nargs="+", choices=problems, default=problems)
    parser.add_argument(
        "--widths",
        nargs="+",
        type=int,
        choices=tasks.WIDTHS,
        default=tasks.WIDTHS,
        help="of the trunks; two_labels has 32",
    )
    parser.add_argument("--output", type=pathlib.Path, default=_RESULTS)
    parser.add_argument(
        "--quick", action="store_true", help="a few steps each, to try the script itself"
    )
    args = parser.parse_args()
    if args.seeds < 2:
        parser.error("--seeds: an interval needs two seeds or more")
    return args


if __name__ == "__main__":
    main()
