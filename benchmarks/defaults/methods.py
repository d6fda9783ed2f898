"""Which methods a comparison tries by default: all of them, tuned alike, on the chosen tables.

    python -m benchmarks.defaults.methods FOLDER          # some two hours of two cores

Each table is written as CSV; `tfx-pcgrad init` proposes a configuration, and `tfx-pcgrad run
--compare` compares the methods as it would for anybody, with `SEARCH` settings and `SEEDS` seeds.
What is finished in FOLDER is not run again. The choice is made on eval, where a method's score is
the mean over tasks and seeds of the gain over the constant prediction (0) towards a perfect one
(1), less that of equal weights; tables count alike. `--report` prints what is there.
"""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys
from collections.abc import Sequence
from statistics import fmean

import tomlkit

from benchmarks.data.tables import TABLES, load
from benchmarks.defaults.comparison import interval
from pcgrad_pipelines.config import load_config
from pcgrad_tfx.comparison.choice import gain_on_eval
from pcgrad_tfx.comparison.results import EQUAL_WEIGHTS, RESULTS_FILE, read_comparison
from pcgrad_tfx.config.surgery import ONE_PASS

SEEDS, SEARCH = 3, 4
# Of "random" and "primary_task" nobody expects the best mean; "ppcgrad" is "pcgrad".
FROM_LOSSES = tuple(name for name in ONE_PASS if name not in ("none", "random"))
FROM_GRAMIAN = (
    "pcgrad", "aligned_mtl", "cagrad", "config", "dual_balancing", "dual_proj", "fairgrad",
    "gradnorm", "gradvac", "imtl_g", "mgda", "nash_mtl", "normalized", "upgrad",
)  # fmt: skip
_MOST_ROWS = 4000
_RUNNER = pathlib.Path(__file__).parents[2] / "pipelines" / "local_runner.py"


def main() -> None:
    """Runs the benchmark and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=pathlib.Path, help="for data, runs and results")
    chosen = [name for name, table in TABLES.items() if table.half == "chosen"]
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=chosen)
    parser.add_argument("--report", action="store_true", help="run nothing")
    args = parser.parse_args()
    if not args.report:
        for name in args.tables:
            compare(name, args.folder.resolve() / name)
    print(report(args.folder, args.tables))


def compare(name: str, folder: pathlib.Path) -> None:
    """Compares all methods on one table, unless that is done."""
    if (folder / RESULTS_FILE).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    frame, labels = load(name)
    frame[:_MOST_ROWS].to_csv(folder / "rows.csv", index=False)
    config = folder / "config.toml"
    config.unlink(missing_ok=True)
    of_labels = [argument for label in labels for argument in ("--label", label)]
    _run("--init", folder / "rows.csv", *of_labels, "--config", config)
    written = tomlkit.parse(config.read_text())
    written["comparison"] = {
        "methods": [*FROM_LOSSES, *FROM_GRAMIAN],
        "seeds": SEEDS,
        "search": SEARCH,
        "static_weights": [],
        "single_task": False,
        "reference": False,
    }
    config.write_text(tomlkit.dumps(written))
    _run("--config", config, "--output", folder / "output", "--compare")
    (found,) = (folder / "output").glob(f"**/{RESULTS_FILE}")
    found.rename(folder / RESULTS_FILE)


def report(folder: pathlib.Path, tables: Sequence[str]) -> str:
    """A table of the methods' gains on eval less that of equal weights, the best first.

    Args:
        folder: As in `main`.
        tables: Those that are not finished are left out.
    """
    rows = {}
    for name in tables:
        path = folder / name / RESULTS_FILE
        if path.exists():
            outcome = read_comparison(str(path.parent))
            tasks = load_config(folder / name / "config.toml").tasks
            gains: dict[str, list[float]] = {}
            for run in outcome.runs:
                gains.setdefault(run.method, []).append(gain_on_eval(run, tasks))
            equal = fmean(gains[EQUAL_WEIGHTS])
            rows[name] = {method: fmean(found) - equal for method, found in gains.items()}
    lines = [f"| method | mean | 95% | {' | '.join(rows)} |", "|---" * (3 + len(rows)) + "|"]
    methods = {method for of_table in rows.values() for method in of_table} - {EQUAL_WEIGHTS}
    by_method = {method: [rows[name][method] for name in rows] for method in methods}
    for method, values in sorted(by_method.items(), key=lambda item: -fmean(item[1])):
        low, high = interval(values)
        cells = [f"{fmean(values):+.4f}", f"{low:+.4f} to {high:+.4f}"]
        cells += [f"{value:+.4f}" for value in values]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _run(*arguments: str | pathlib.Path) -> None:
    subprocess.run([sys.executable, str(_RUNNER), *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
