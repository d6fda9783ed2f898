"""Reproduces what the PCGrad paper shows, beside equal weights and static weights.

Three problems (benchmarks/PAPER.md has the results): the two-dimensional valley of the paper's
figure 1; two label sets on one head with losses scaled 1:5; overlaid digits behind narrow trunks.
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

from benchmarks import paper_plots, paper_report, paper_tasks, paper_valley
from benchmarks.one_core import use_one_core

_RESULTS = pathlib.Path(__file__).with_name("results")


def main() -> None:
    """Runs the experiments."""
    args = _arguments()
    use_one_core()
    console = rich.console.Console(width=180)
    args.output.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = {"tensorflow": tf.__version__, "seeds": args.seeds}
    setting = paper_tasks.Setting()
    steps = paper_valley.PAPER_STEPS
    if args.quick:
        setting = paper_tasks.Setting(rows=(256, 64, 64), steps=4, batch=32)
        steps = 200
    if "valley" in args.only:
        console.print("valley …")
        result["valley"], runs = paper_valley.run(args.seeds, steps)
        console.print(paper_report.valley(result["valley"]))
        paper_plots.valley(runs, args.output / "valley.svg")
    found = [
        variant
        for name in paper_tasks.PROBLEMS
        if name in args.only
        for variant in paper_tasks.run(name, args.seeds, setting, console.print, args.widths)
    ]
    if found:
        result["tasks"] = found
        for rates in ("common", "tuned"):
            console.print(paper_report.methods(found, rates))
            console.print(paper_report.differences(found, rates))
        paper_plots.differences(found, args.output / "paper.svg")
    (args.output / "paper.json").write_text(json.dumps(result, indent=1) + "\n")
    console.print(f"Written to {args.output}")


def _arguments() -> argparse.Namespace:
    problems = ["valley", *paper_tasks.PROBLEMS]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10, help="at least 2 (default: 10)")
    parser.add_argument("--only", nargs="+", choices=problems, default=problems)
    parser.add_argument(
        "--widths",
        nargs="+",
        type=int,
        choices=paper_tasks.WIDTHS,
        default=paper_tasks.WIDTHS,
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
