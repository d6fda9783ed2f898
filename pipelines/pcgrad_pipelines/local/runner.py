"""Runs the whole pipeline on this machine: `tfx-pcgrad run`, `pipelines/local_runner.py`."""

from __future__ import annotations

import argparse
import os
import pathlib
import warnings
from collections.abc import Callable
from typing import Any

from pcgrad_pipelines.beam_options import add_beam_options, check_beam_options
from pcgrad_pipelines.config import load_config
from pcgrad_pipelines.local.beam_workers import check_beam_workers
from pcgrad_pipelines.local.interruption import INTERRUPTED, TERMINATED, catch_interrupt
from pcgrad_pipelines.local.output_folder import check_metadata, lock_output
from pcgrad_pipelines.local.run import FAILED, NOT_PUSHED, PUSHED, run_config
from pcgrad_pipelines.runner_options import (
    DEFAULT_CONFIG,
    add_config_option,
    add_training_options,
    with_training_options,
)
from pcgrad_pipelines.script import silent_imports
from pcgrad_tfx.reference.settings import ReferenceSettings

DONE = 0

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
        help="look at a file of data or a folder, and write a proposal for --config",
    )  # fmt: skip
    add_init_options(instead, "with --init: ")
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
    if args.no_header:
        raise ValueError("--no-header goes with --init; a configuration says `header = false`")
    if args.sql is not None:
        raise ValueError("--sql goes with --init; a configuration has the key `sql`")
    args.config = args.config or str(DEFAULT_CONFIG)
    output = _output(args)
    check_beam_options(args)
    check_beam_workers(args, output)
    config = with_training_options(load_config(args.config, draft=True), args)
    given = {"seeds": args.seeds, "search": args.search}
    if args.compare or config.comparison is not None:
        config = config.with_comparison(**given)
    elif found := [name for name, value in given.items() if value is not None]:
        raise ValueError(f"--{found[0]} is about a comparison; add --compare")
    if args.no_reference:
        config = config.model_copy(update={"reference": ReferenceSettings(enabled=False)})
    with lock_output(output):
        check_metadata(output)
        return run_config(config, args, output)


def init(args: argparse.Namespace, data: str) -> int:
    """Writes a proposal for a configuration; options `config`, `verbose` and those of init."""
    if args.sql is not None and not args.sql.strip():
        raise ValueError("--sql is empty; pass a SELECT statement")
    if args.sql and args.no_header:
        raise ValueError("--no-header goes without --sql; write read_csv('a.csv', header = false)")
    if not args.verbose:
        warnings.simplefilter("ignore")
    with silent_imports(args.verbose):
        from pcgrad_pipelines.local.init_config import init_config

    init_config(data, args.config, args.label, header=not args.no_header, sql=args.sql)
    return DONE


def doctor(args: argparse.Namespace, clean: bool) -> int:
    """Lists or removes what runs left behind; options `output` and `verbose`."""
    if not args.verbose:
        warnings.simplefilter("ignore")
    with silent_imports(args.verbose):
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


def add_init_options(parser: argparse._ActionsContainer, when: str = "") -> None:
    """Adds `--label`, `--no-header` and `--sql`."""
    parser.add_argument(
        "--label", metavar="COLUMN", action="append", default=[],
        help=f"{when}a column to predict; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--no-header", action="store_true",
        help=f"{when}the first line of the file is data; the columns are called column_1 …",
    )  # fmt: skip
    parser.add_argument(
        "--sql", metavar="QUERY",
        help=f"{when}a SELECT statement over these files, or a database: its rows are taken",
    )  # fmt: skip


def add_verbose_option(parser: argparse._ActionsContainer) -> None:
    """Adds `--verbose`."""
    parser.add_argument(
        "--verbose", action="store_true", help="show all messages instead of logging them"
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of a run."""
    add_config_option(parser)
    add_output_option(parser)
    parser.add_argument(
        "--compare", action="store_true",
        help="also compare equal weights, PCGrad, other methods, static loss weights and single "
        "tasks, each tuned alike and trained with several seeds (136 trainings with three tasks)",
    )  # fmt: skip
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="of the comparison, for each method (default: 5)"
    )
    parser.add_argument(
        "--search", type=int, metavar="N",
        help="settings that the comparison tries for each method (default: 12); 0: untuned",
    )  # fmt: skip
    parser.add_argument(
        "--no-reference", action="store_true",
        help="train no boosted trees beside the network (they take seconds)",
    )  # fmt: skip
    parser.add_argument(
        "--open", action="store_true", help="open the report in a browser when the run is done"
    )
    training = parser.add_argument_group("training (in place of what the TOML file says)")
    add_training_options(training, "surgery", "epochs", "batch_size", "seed")
    running = parser.add_argument_group("running")
    running.add_argument(
        "--orchestrator", choices=["beam", "local"],
        help="BeamDagRunner or LocalDagRunner (default: beam, unless the --beam-runner starts a "
        "server)",
    )  # fmt: skip
    add_beam_options(running)
    running.add_argument(
        "--shared-folders", action="store_true",
        help="the machines of the --beam-runner mount --output and the data at the same paths",
    )  # fmt: skip
    add_verbose_option(running)


def _output(args: argparse.Namespace) -> pathlib.Path:
    if not args.output.strip():
        # It would be the working directory; who wants that writes a point.
        raise ValueError("--output: the name is empty; name a folder")
    return pathlib.Path(args.output).resolve()
