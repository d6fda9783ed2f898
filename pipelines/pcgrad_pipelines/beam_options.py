"""Which Beam runner the data components use: the options that all runners of the pipeline share."""

from __future__ import annotations

import argparse

from pcgrad_pipelines.config import ConfigError

# Beam's "DirectRunner" is not one engine: it may download and start another one.
IN_PROCESS_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"

_IN_PROCESS = ("DirectRunner", "FnApiRunner", IN_PROCESS_RUNNER)


def add_beam_options(parser: argparse._ActionsContainer) -> None:
    """Adds `--beam-runner` and `--beam-arg`."""
    parser.add_argument(
        "--beam-runner", metavar="NAME",
        help="runner of the data components: PortableRunner, FlinkRunner, SparkRunner, "
        "DataflowRunner … (default: Beam's in-process runner)",
    )  # fmt: skip
    parser.add_argument(
        "--beam-arg", metavar="ARG", action="append", default=[],
        help="an option for that runner, as --beam-arg=--NAME=VALUE; may be repeated",
    )  # fmt: skip


def check_beam_options(args: argparse.Namespace) -> None:
    """Refuses a runner that is known to give wrong results.

    Raises:
        ConfigError: If it is that.
    """
    if "dask" in (args.beam_runner or "").lower():
        raise ConfigError(
            "--beam-runner: Beam's DaskRunner loses data silently; choose another runner"
        )


def beam_pipeline_args(args: argparse.Namespace) -> list[str]:
    """Beam's command line."""
    return [f"--runner={args.beam_runner or IN_PROCESS_RUNNER}", *args.beam_arg]


def is_distributed(args: argparse.Namespace) -> bool:
    """Whether the runner has workers elsewhere, which see no local files."""
    return args.beam_runner is not None and args.beam_runner not in _IN_PROCESS
