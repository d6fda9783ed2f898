"""The options of `--submit` and `tfx-pcgrad submit`, and what they do."""

from __future__ import annotations

import argparse
import pathlib
from typing import Any, Protocol

from pcgrad_pipelines.kubeflow import submit
from pcgrad_pipelines.kubeflow.kfp_server import TOKEN_VARIABLE, KfpServer, read_token
from pcgrad_pipelines.kubeflow.settings import KFP, VERTEX, option
from pcgrad_pipelines.kubeflow.vertex import Vertex

# By option: the one target that has it, and the arguments of `add_argument`.
OPTIONS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "host": (KFP, {"metavar": "URL", "help": "of the server (kfp)"}),
    "namespace": (KFP, {"metavar": "NAME", "help": "of a multi-user Kubeflow (kfp)"}),
    "token_file": (
        KFP,
        {
            "metavar": "FILE",
            "help": f"the server's token (kfp; default: environment variable {TOKEN_VARIABLE})",
        },
    ),
    "experiment": (
        KFP,
        {"metavar": "NAME", "help": "which the run belongs to (kfp; default: Default)"},
    ),
    "pipeline_version": (
        KFP,
        {"metavar": "NAME", "help": "upload the pipeline under that name, and run this (kfp)"},
    ),
    "project": (VERTEX, {"metavar": "NAME", "help": "of Google Cloud (Vertex AI)"}),
    "region": (VERTEX, {"metavar": "NAME", "help": "of Google Cloud (Vertex AI)"}),
    "network": (
        VERTEX,
        {
            "metavar": "NAME",
            "help": "that the steps are in, as projects/12345/global/networks/NAME (Vertex AI)",
        },
    ),
    "encryption_key": (
        VERTEX,
        {"metavar": "NAME", "help": "of Google Cloud's key management (Vertex AI)"},
    ),
    "service_account": (None, {"metavar": "NAME", "help": "as whom the steps run"}),
    "run_name": (None, {"metavar": "NAME", "help": "of the run (default: from the pipeline's)"}),
    "parameter": (
        None,
        {
            "metavar": "NAME=VALUE",
            "action": "append",
            "default": [],
            "help": "a runtime parameter of this run; may be repeated",
        },
    ),
    "wait": (
        None,
        {"action": "store_true", "help": "wait for the run's end; the exit code says how it ended"},
    ),
    "cron": (
        None,
        {
            "metavar": "TIMES",
            "help": "start a run at each of these times, as '0 0 3 * * *' (kfp, with seconds) or "
            "'0 3 * * *' (Vertex AI)",
        },
    ),
}


class Server(Protocol):
    """Where pipelines run."""

    def start(self, job: submit.Job) -> str:
        """Starts a run, or has runs started; returns its id."""

    def wait(self, run: str, spec: submit.Json) -> tuple[submit.Outcome, str]:
        """Waits for the end of a run; returns how it ended, and what there is to say about it."""


def add_server_options(parser: argparse._ActionsContainer) -> None:
    """Adds where a run is started, how, and with which parameters."""
    for name, (_, arguments) in OPTIONS.items():
        parser.add_argument(option(name), **arguments)


def submit_pipeline(path: pathlib.Path, args: argparse.Namespace) -> submit.Outcome:
    """Starts a run, or has runs started, and waits for the run's end if asked to.

    Args:
        path: The compiled pipeline.
        args: The options of `add_server_options`, and the target.

    Returns:
        How the run ended, if it was waited for.

    Raises:
        SubmitError: If an option is wrong, or the server cannot be reached or refuses.
    """
    spec = submit.read_spec(path)
    submit.check_cron(args.cron, args.target == KFP)
    if args.cron is not None and args.wait:
        raise submit.SubmitError("--wait: runs that recur have no end; remove it, or --cron")
    job = submit.Job(
        path=path,
        parameters=submit.parse_parameters(args.parameter, spec),
        name=args.run_name,
        service_account=args.service_account,
        cron=args.cron,
        experiment=args.experiment,
        namespace=args.namespace,
        version=args.pipeline_version,
        network=args.network,
        encryption_key=args.encryption_key,
    )
    token = read_token(args.token_file) if args.target == KFP else None
    print(f"Submitting {path} …", flush=True)
    server: Server
    if args.target == KFP:
        server = KfpServer(args.host, args.namespace, token)
    else:
        server = Vertex(args.project, args.region)
    run = server.start(job)
    print(f"{'Run:' if args.cron is None else 'Recurring run:':<19} {run}", flush=True)
    if not args.wait:
        return submit.Outcome.SUCCEEDED
    outcome, why = server.wait(run, spec)
    print(f"{run} {outcome.value}{why}")
    return outcome
