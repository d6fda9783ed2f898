"""One run of the pipeline on this machine, and what is printed of it."""

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
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pcgrad_pipelines.beam_options import IN_PROCESS_RUNNER, BeamRunner
from pcgrad_pipelines.config import PipelineConfig
from pcgrad_pipelines.local.beam_workers import orchestrator
from pcgrad_pipelines.local.failure import failure_message
from pcgrad_pipelines.local.output_folder import (
    METADATA_FILE,
    checkpoint_root,
    metadata_connection,
    pipeline_root,
    push_folder,
    reserve_used_numbers,
)
from pcgrad_tfx.config.surgery import surgery_text

if TYPE_CHECKING:
    from tfx import v1 as tfx

    from pcgrad_pipelines.local.console import ComponentLines, LineStream
    from pcgrad_pipelines.local.run_summary import RunSummary

PUSHED, FAILED, NOT_PUSHED = 0, 1, 3

_KEPT = "Finished components and epochs of training are kept: the same command goes on from there."


def run_config(config: PipelineConfig, args: argparse.Namespace, output: pathlib.Path) -> int:
    """Runs the pipeline of a configuration.

    Args:
        config: What to learn from which data; it may be a draft.
        args: The options of `add_run_options`, and `interruption`.
        output: The folder of everything that is made.

    Returns:
        The exit code.
    """
    from pcgrad_pipelines.local.console import ComponentLines, quiet

    started = datetime.datetime.now()
    log_file = output / "logs" / f"{started:%Y%m%d-%H%M%S}.log"
    with quiet(log_file, args.verbose) as console, _temporary_folder():
        training, names = config.training, ", ".join(task.name for task in config.tasks)
        surgery = surgery_text(training.surgery)
        print(f"{config.name}: {names}; surgery: {surgery}; output in {_shown(output)}")
        components = ComponentLines(console)
        begun = time.monotonic()
        try:
            if not args.verbose:
                warnings.simplefilter("ignore")
            summary = _run_pipeline(config, args, output, components)
        except (Exception, KeyboardInterrupt) as error:
            traceback.print_exc()
            if args.interruption.received:
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
    from pcgrad_pipelines.local.doctor import doctor_command, find_killed, mark_interrupted

    checked = check_config_data(config, args.config)
    config = checked.config
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
    from pcgrad_pipelines.pipeline import RunSettings, create_pipeline

    logging.set_verbosity(logging.INFO)
    logging.get_absl_logger().addHandler(components)
    # BeamDagRunner itself is a Beam pipeline, which takes no options.
    StandardOptions.DEFAULT_RUNNER = IN_PROCESS_RUNNER
    connection = metadata_connection(output)
    settings = RunSettings(
        pipeline_root=str(pipeline_root(output)),
        push_destination=str(push_folder(output)),
        checkpoint_root=str(checkpoint_root(output)),
        metadata_connection_config=connection,
        # Without any, TFX does not pack itself up for workers elsewhere, 42 MB in each component.
        beam_pipeline_args=BeamRunner(args).arguments if args.beam_runner or args.beam_arg else [],
    )
    pipeline = create_pipeline(config, checked.files, settings)
    try:
        _dag_runner(orchestrator(args)).run(pipeline)
    except (Exception, KeyboardInterrupt):
        if args.interruption.received:
            mark_interrupted(output)
        raise
    finally:
        logging.get_absl_logger().removeHandler(components)
    nodes = run_summary.read_last_run(connection, config.name)
    return run_summary.summarize(nodes, config.tasks)


def _dag_runner(name: str) -> tfx.orchestration.LocalDagRunner:
    module, runner = {
        "beam": ("tfx.orchestration.beam.beam_dag_runner", "BeamDagRunner"),
        "local": ("tfx.orchestration.local.local_dag_runner", "LocalDagRunner"),
    }[name]
    return getattr(importlib.import_module(module), runner)()


def _report(
    summary: RunSummary, console: LineStream, log_file: pathlib.Path, seconds: float
) -> None:
    from pcgrad_pipelines.local.console import rich_console
    from pcgrad_pipelines.local.run_summary import reference_sentences, results_table

    rich_console(console).print(results_table(summary))
    for sentence in (*reference_sentences(summary), *summary.verdict):
        print(textwrap.fill(sentence, 100))
    print(f"Report:          {_shown(summary.report)}")
    if summary.pushed:
        print(f"Pushed model:    {_shown(summary.pushed)}")
    else:
        failed = [result for result in summary.results if not result.passed]
        for result in failed:
            reasons = "; ".join(result.reasons)
            print(f"Not pushed:      {result.task} did not pass: {reasons}")
        if not failed:
            print("Not pushed:      the model did not pass")
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
