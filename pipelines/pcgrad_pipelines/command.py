"""The command `tfx-pcgrad`."""

from __future__ import annotations

import argparse

from pcgrad_pipelines.constraints import print_constraints
from pcgrad_pipelines.kubeflow import runner as kubeflow
from pcgrad_pipelines.kubeflow import submission
from pcgrad_pipelines.local import runner as local


def main(arguments: list[str] | None = None) -> int:
    """Runs one of the subcommands.

    Args:
        arguments: Command line, `sys.argv` by default.

    Returns:
        The exit code.
    """
    args = build_parser().parse_args(arguments)
    return int(args.function(args))


def build_parser() -> argparse.ArgumentParser:
    """The subcommands and their options; `function` takes them and returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="tfx-pcgrad",
        description="Multi-task training with gradient surgery in TensorFlow Extended.",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, text: str, epilog: str | None = None) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=text[0].lower() + text[1:].rstrip("."),
            description=text,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    run = add("run", "Run the whole pipeline on this machine.", local.EXIT_CODES)
    local.add_run_options(run)
    run.set_defaults(
        label=[], no_header=False, sql=None, function=lambda args: local.guarded(local.run, args)
    )

    init = add("init", "Look at data and propose a configuration.")
    init.add_argument(
        "data",
        metavar="DATA",
        help="a file of CSV, Parquet, JSON lines, Arrow or TFRecords, a folder, or a file's "
        "address in the web, which is downloaded",
    )
    local.add_init_options(init)
    init.add_argument(
        "--config", metavar="FILE", help="the file to write (default: named like the data)"
    )
    local.add_verbose_option(init)
    init.set_defaults(function=lambda args: local.guarded(local.init, args, data=args.data))

    doctor = add("doctor", "List what earlier runs left behind in an output folder.")
    doctor.add_argument("--clean", action="store_true", help="delete it")
    local.add_output_option(doctor)
    local.add_verbose_option(doctor)
    doctor.set_defaults(function=lambda args: local.guarded(local.doctor, args, clean=args.clean))

    compiler = add("compile", "Compile the pipeline for Kubeflow Pipelines or Vertex AI.")
    kubeflow.add_target_option(compiler)
    kubeflow.add_compile_options(compiler)
    compiler.set_defaults(
        submit=False, compiled=None, function=lambda args: kubeflow.execute(args, compiler)
    )

    submit = add("submit", "Start a run of a compiled pipeline.", kubeflow.EXIT_CODES)
    submit.add_argument("compiled", metavar="FILE", help="what `tfx-pcgrad compile` has written")
    kubeflow.add_target_option(submit)
    submission.add_server_options(submit)
    submit.set_defaults(submit=True, function=lambda args: kubeflow.execute(args, submit))

    pins = add("constraints", "Print the tested versions of all packages, for pip's --constraint.")
    pins.set_defaults(function=lambda args: print_constraints())
    return parser
