"""How much memory and time each component takes as the data grow.

`python benchmarks/pipeline/size.py`
"""

from __future__ import annotations

import argparse
import contextlib
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import psutil
import rich.console
import rich.markdown
from tfx.orchestration import metadata

from benchmarks.data import wide
from benchmarks.data.flights import ALL_ROWS, write_flights
from benchmarks.pipeline.size_report import markdown, plot
from pcgrad_pipelines.local.output_folder import metadata_connection
from tools.prism import running_prism

_ROOT = pathlib.Path(__file__).parents[2]
_RESULTS = pathlib.Path(__file__).parents[1] / "results"
_INTERVAL_SECONDS = 0.1


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    sizes = [100_000, ALL_ROWS, 3 * ALL_ROWS]
    parser.add_argument("--rows", nargs="+", type=int, default=sizes)
    parser.add_argument("--wide", action="store_true", help="many tasks and columns instead")
    parser.add_argument(
        "--beam-runner", choices=["prism"], help="data steps there, with a worker process for each"
    )
    parser.add_argument("--output", type=pathlib.Path, default=_RESULTS)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    name = "wide" if args.wide else "size"
    if args.beam_runner:
        name += f"_{args.beam_runner}"
    measured = []
    for rows in [wide.ROWS] if args.wide else args.rows:
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            config = wide.write_wide(folder) if args.wide else write_flights(folder, rows)
            with _options(args.beam_runner, folder) as options:
                of_run = _run(config, folder / "output", *options)
                # What earlier components leave in the memory of the process is not the Trainer's.
                again = _run(config, folder / "output", *options, "--seed", "1")
            trainer = next(one for one in again if one["component"] == "Trainer")
            alone = {**trainer, "component": "Trainer, in a new process"}
            measured += [{"rows": rows, **one} for one in [*of_run, alone]]
        (args.output / f"{name}.json").write_text(json.dumps(measured, indent=1) + "\n")
    if name == "size":
        plot(measured, args.output / "size.svg")
    rich.console.Console().print(rich.markdown.Markdown(markdown(measured)))


@contextlib.contextmanager
def _options(beam_runner: str | None, logs: pathlib.Path) -> Iterator[list[str]]:
    """Those of a run on the engine, which runs meanwhile."""
    if beam_runner is None:
        yield []
    else:
        with running_prism(logs) as prism:
            yield prism.options


def _run(config: pathlib.Path, output: pathlib.Path, *options: str) -> list[dict[str, Any]]:
    """Runs the pipeline in a process of its own, and watches it."""
    command = [sys.executable, str(_ROOT / "pipelines" / "local_runner.py")]
    begun = time.time()
    process = subprocess.Popen(
        [*command, "--config", str(config), "--output", str(output), *options], stdout=sys.stderr
    )
    samples = []
    while process.poll() is None:
        samples.append((time.time(), *_usage()))
        time.sleep(_INTERVAL_SECONDS)
    # 3 is that of a model that did not pass its gate.
    if process.returncode not in (0, 3):
        raise SystemExit(f"the run of {config} failed with exit code {process.returncode}")
    executions = [execution for execution in _executions(output) if execution[1] >= begun]
    before = ("checks of the data", begun, executions[0][1])
    measured = []
    for component, first, last in [before, *executions]:
        own = [sample for sample in samples if first <= sample[0] <= last]
        if own:
            measured.append(
                {
                    "component": component,
                    "seconds": last - first,
                    "cpu_seconds": own[-1][2] - own[0][2],
                    "peak_mb": max(memory for _, memory, _ in own) / 2**20,
                }
            )
    return measured


def _usage() -> tuple[float, float]:
    """Resident bytes and CPU seconds of all that this process has started, the engine, too."""
    memory = cpu = 0.0
    for one in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # It ended meanwhile.
            times = one.cpu_times()
            memory += one.memory_info().rss
            cpu += times.user + times.system + times.children_user + times.children_system
    return memory, cpu


def _executions(output: pathlib.Path) -> list[tuple[str, float, float]]:
    """The components that took a noticeable time: name, start and end in seconds since 1970."""
    with metadata.Metadata(metadata_connection(output)) as handler:
        types = {kind.id: kind.name for kind in handler.store.get_execution_types()}
        executions = handler.store.get_executions()
    found = [
        (
            types[execution.type_id].rpartition(".")[2],
            execution.create_time_since_epoch / 1e3,
            execution.last_update_time_since_epoch / 1e3,
        )
        for execution in executions
    ]
    return sorted((e for e in found if e[2] - e[1] > 0.5), key=lambda execution: execution[1])


if __name__ == "__main__":
    main()
