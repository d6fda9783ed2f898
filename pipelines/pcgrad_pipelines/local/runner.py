"""Runs the whole pipeline on this machine: `tfx-pcgrad run`, `pipelines/local_runner.py`."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib
import os
import pathlib
import tempfile
import textwrap
import time
import traceback
import warnings
import webbrowser
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pcgrad_pipelines.beam_options import (
    IN_PROCESS_RUNNER,
    add_beam_options,
    beam_pipeline_args,
    check_beam_options,
)
from pcgrad_pipelines.config import PipelineConfig, load_config
from pcgrad_pipelines.local.failure import failure_message
from pcgrad_pipelines.local.interruption import INTERRUPTED, TERMINATED, catch_interrupt
from pcgrad_pipelines.local.output_folder import (
    METADATA_FILE,
    check_metadata,
    checkpoint_root,
    lock_output,
    metadata_connection,
    pipeline_root,
    push_folder,
    reserve_used_numbers,
)
from pcgrad_tfx.comparison.settings import ComparisonSettings

if TYPE_CHECKING:
    from tfx import v1 as tfx

    from pcgrad_pipelines.local.console import ComponentLines, LineStream
    from pcgrad_pipelines.local.run_summary import RunSummary

DEFAULT_CONFIG = pathlib.Path(__file__).parents[1] / "taxi.toml"

PUSHED = DONE = 0
FAILED, NOT_PUSHED = 1, 3

_KEPT = "Finished components and epochs of training are kept: the same command goes on from there."

DESCRIPTION = (
    "Trains a multi-task model with gradient surgery in a TFX pipeline: examples, statistics, "
    "validation, transform, training, evaluation, push."
)

EXIT_CODES = f"""\
exit codes:
  {PUSHED}  the model was pushed
  {FAILED}  a component or the configuration failed
  2  wrong arguments
  {NOT_PUSHED}  the model was not pushed: it did not pass a gate
  {INTERRUPTED}  interrupted (Ctrl-C)
  {TERMINATED}  terminated (SIGTERM)
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs the pipeline, or what `--init` and `--doctor` do in its place.

    Args:
        arguments: Command line, `sys.argv` by default.

    Returns:
        The exit code: 0 if the model was pushed, 1 on failure, 3 if the model was not good enough,
        130 if interrupted, 143 if terminated.
    """
    args = build_parser().parse_args(arguments)
    if args.doctor:
        return guarded(doctor, args, clean=args.doctor == "clean")
    if args.init:
        return guarded(init, args, data=args.init)
    return guarded(run, args)


def build_parser() -> argparse.ArgumentParser:
    """The options of `pipelines/local_runner.py`."""
    parser = argparse.ArgumentParser(
        description=DESCRIPTION,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    instead = parser.add_argument_group("instead of a run")
    instead.add_argument(
        "--init", metavar="DATA",
        help="look at a CSV file, a folder or TFRecords, and write a proposal for --config",
    )  # fmt: skip
    add_label_option(instead, "with --init: ")
    instead.add_argument(
        "--doctor", nargs="?", const="list", choices=["list", "clean"],
        help="list what earlier runs left behind in the output folder, or delete it (clean)",
    )  # fmt: skip
    add_run_options(parser)
    return parser


def guarded(function: Callable[..., int], args: argparse.Namespace, **others: Any) -> int:
    """Calls one of `run`, `init` and `doctor`; errors and Ctrl-C are answered in a line.

    Args:
        function: What to call.
        args: The options; `interruption` is added to them.
        **others: Its other arguments.

    Returns:
        The exit code.
    """
    # Before any import of TensorFlow or TFX, which read it or warn.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with catch_interrupt() as args.interruption:
        try:
            return function(args, **others)
        except (OSError, ValueError) as error:
            print(error)
            return FAILED
        except KeyboardInterrupt:
            print(args.interruption.message)
            return int(args.interruption.exit_code)


def run(args: argparse.Namespace) -> int:
    """Runs the pipeline with the options of `add_run_options`."""
    if args.label:
        raise ValueError("--label goes with --init; a configuration names its tasks itself")
    args.config = args.config or str(DEFAULT_CONFIG)
    check_beam_options(args)
    config = load_config(args.config, draft=True).with_overrides(
        surgery=args.surgery, epochs=args.epochs, batch_size=args.batch_size, seed=args.seed
    )
    output = _output(args)
    with lock_output(output):
        check_metadata(output)
        return _run(config, args, output)


def init(args: argparse.Namespace, data: str) -> int:
    """Writes a proposal for a configuration; options `config`, `label` and `verbose`."""
    if not args.verbose:
        warnings.simplefilter("ignore")
    from pcgrad_pipelines.local.init_config import init_config

    init_config(data, args.config, args.label)
    return DONE


def doctor(args: argparse.Namespace, clean: bool) -> int:
    """Lists or removes what runs left behind; options `output` and `verbose`."""
    if not args.verbose:
        warnings.simplefilter("ignore")
    from pcgrad_pipelines.local.doctor import doctor as examine

    output = _output(args)
    with lock_output(output, new_work=False):
        examine(output, clean)
    return DONE


def add_output_option(parser: argparse._ActionsContainer) -> None:
    """Adds `--output`."""
    parser.add_argument(
        "--output", metavar="DIR", default="output",
        help="folder of everything that is made (default: %(default)s)",
    )  # fmt: skip


def add_label_option(parser: argparse._ActionsContainer, when: str = "") -> None:
    """Adds `--label`."""
    parser.add_argument(
        "--label", metavar="COLUMN", action="append", default=[],
        help=f"{when}a column to predict; may be repeated",
    )  # fmt: skip


def add_verbose_option(parser: argparse._ActionsContainer) -> None:
    """Adds `--verbose`."""
    parser.add_argument(
        "--verbose", action="store_true", help="show all messages instead of logging them"
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of a run."""
    parser.add_argument(
        "--config", metavar="FILE",
        help="what to learn from which data, a TOML file (default: the Chicago taxi trips)",
    )  # fmt: skip
    add_output_option(parser)
    parser.add_argument(
        "--compare", action="store_true",
        help="also compare equal weights, PCGrad, PPCGrad, static loss weights and single tasks, "
        "several seeds each (takes some 45 trainings with three tasks)",
    )  # fmt: skip
    parser.add_argument(
        "--open", action="store_true", help="open the report in a browser when the run is done"
    )
    training = parser.add_argument_group("training (in place of what the TOML file says)")
    training.add_argument(
        "--surgery", choices=["pcgrad", "ppcgrad", "none"], help="gradient surgery"
    )
    training.add_argument("--epochs", metavar="N", type=int, help="passes over the training data")
    training.add_argument("--batch-size", metavar="N", type=int, help="rows of a batch")
    training.add_argument("--seed", metavar="N", type=int, help="of all that is random")
    running = parser.add_argument_group("running")
    running.add_argument(
        "--orchestrator", choices=["beam", "local"], default="beam",
        help="BeamDagRunner or LocalDagRunner (default: %(default)s)",
    )  # fmt: skip
    add_beam_options(running)
    add_verbose_option(running)


def _output(args: argparse.Namespace) -> pathlib.Path:
    if not args.output.strip():
        # It would be the working directory; who wants that writes a point.
        raise ValueError("--output: the name is empty; name a folder")
    return pathlib.Path(args.output).resolve()


def _run(config: PipelineConfig, args: argparse.Namespace, output: pathlib.Path) -> int:
    from pcgrad_pipelines.local.console import ComponentLines, quiet

    started = datetime.datetime.now()
    log_file = output / "logs" / f"{started:%Y%m%d-%H%M%S}.log"
    with quiet(log_file, args.verbose) as console, _temporary_folder():
        training, names = config.training, ", ".join(task.name for task in config.tasks)
        print(f"{config.name}: {names}; surgery: {training.surgery}; output in {_shown(output)}")
        components = ComponentLines(console)
        begun = time.monotonic()
        try:
            if not args.verbose:
                warnings.simplefilter("ignore")
            summary = _run_pipeline(config, args, output, components)
        except (Exception, KeyboardInterrupt) as error:
            traceback.print_exc()
            if args.interruption.received:
                from pcgrad_pipelines.local.doctor import mark_interrupted

                mark_interrupted(output)
                print(args.interruption.message, _KEPT)
                return int(args.interruption.exit_code)
            _report_failure(failure_message(error, output, log_file), components, log_file)
            return FAILED
        _report(summary, console, log_file, time.monotonic() - begun)
        if args.open:
            webbrowser.open(pathlib.Path(summary.report).as_uri())
    return PUSHED if summary.pushed else NOT_PUSHED


@contextlib.contextmanager
def _temporary_folder() -> Iterator[None]:
    """Removes the temporary files of TFX and Beam, which leave them, at the end of a run."""
    before = tempfile.tempdir, os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory(prefix="tfx-pcgrad-", ignore_cleanup_errors=True) as folder:
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        try:
            yield
        finally:
            tempfile.tempdir = before[0]
            if before[1] is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = before[1]


def _run_pipeline(
    config: PipelineConfig,
    args: argparse.Namespace,
    output: pathlib.Path,
    components: ComponentLines,
) -> RunSummary:
    print("  checking the data …", flush=True)
    from pcgrad_pipelines.local.data_check import check_config_data
    from pcgrad_pipelines.local.doctor import doctor_command, find_killed

    checked = check_config_data(config, args.config)
    config, data = checked.config, checked.files
    for remark in checked.remarks:
        print(f"  {remark}")

    if unknown := reserve_used_numbers(output):
        print(
            f"  {pipeline_root(output)} holds artifacts up to number {unknown} that "
            f"{METADATA_FILE} does not know: they are neither used nor touched"
        )
    if left := find_killed(output):
        print(f"  {len(left)} killed: `{doctor_command(output)}` shows what they left behind")
    print("  starting TFX …", flush=True)
    from absl import logging
    from apache_beam.options.pipeline_options import StandardOptions

    from pcgrad_pipelines.local import run_summary
    from pcgrad_pipelines.pipeline import create_pipeline

    logging.set_verbosity(logging.INFO)
    logging.get_absl_logger().addHandler(components)
    # BeamDagRunner itself is a Beam pipeline, which takes no options.
    StandardOptions.DEFAULT_RUNNER = IN_PROCESS_RUNNER
    connection = metadata_connection(output)
    pipeline = create_pipeline(
        pipeline_name=config.name,
        pipeline_root=str(pipeline_root(output)),
        data_root=data.base,
        data_pattern=data.patterns.get("all", ""),
        data_splits=data.splits,
        data_format=data.format,
        missing_values=config.data.missing,
        tasks=config.tasks,
        features=config.features,
        training=config.training,
        comparison=config.comparison or (ComparisonSettings() if args.compare else None),
        schema=config.schema_text,
        slices=config.evaluation.slices,
        push_destination=str(push_folder(output)),
        checkpoint_root=str(checkpoint_root(output)),
        metadata_connection_config=connection,
        # Without any, TFX does not pack itself up for workers elsewhere, 42 MB in each component.
        beam_pipeline_args=beam_pipeline_args(args) if args.beam_runner or args.beam_arg else [],
    )
    try:
        _dag_runner(args.orchestrator).run(pipeline)
    finally:
        logging.get_absl_logger().removeHandler(components)
    nodes = run_summary.read_last_run(connection, config.name)
    return run_summary.summarize(nodes, config.tasks)


def _dag_runner(orchestrator: str) -> tfx.orchestration.LocalDagRunner:
    module, name = {
        "beam": ("tfx.orchestration.beam.beam_dag_runner", "BeamDagRunner"),
        "local": ("tfx.orchestration.local.local_dag_runner", "LocalDagRunner"),
    }[orchestrator]
    return getattr(importlib.import_module(module), name)()


def _report(
    summary: RunSummary, console: LineStream, log_file: pathlib.Path, seconds: float
) -> None:
    from pcgrad_pipelines.local.console import rich_console
    from pcgrad_pipelines.local.run_summary import results_table

    rich_console(console).print(results_table(summary))
    for sentence in summary.verdict:
        print(textwrap.fill(sentence, 100))
    print(f"Report:          {_shown(summary.report)}")
    if summary.pushed:
        print(f"Pushed model:    {_shown(summary.pushed)}")
    else:
        failed = ", ".join(result.task for result in summary.results if not result.passed)
        print(f"Not pushed:      {failed or 'the model'} did not pass")
        print(f"Model:           {_shown(summary.model)}")
    print(f"Training logs:   tensorboard --logdir {_shown(summary.training_logs)}")
    print(f"Full log:        {_shown(log_file)}")
    print(f"Finished in {seconds:.0f} s.")


def _report_failure(message: str, components: ComponentLines, log_file: pathlib.Path) -> None:
    where = f"{components.running} failed: " if components.running else ""
    print(f"{where}{message}")
    print(f"Full log: {_shown(log_file)}")


def _shown(path: str | pathlib.Path) -> str:
    """A path as a person types it: relative if it lies in the working directory."""
    path, here = pathlib.Path(path), pathlib.Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
