"""Compiles the pipeline for Kubeflow: `tfx-pcgrad compile`, `pipelines/kubeflow_runner.py`."""

from __future__ import annotations

import argparse
import importlib.util
import os
import pathlib
import warnings

from pcgrad_pipelines.beam_options import (
    BEAM_OPTIONS,
    BeamRunner,
    add_beam_options,
    check_beam_options,
)
from pcgrad_pipelines.config import ConfigError, load_config
from pcgrad_pipelines.kubeflow import options, pods, submit
from pcgrad_pipelines.kubeflow.options import KFP, VERTEX, Settings
from pcgrad_pipelines.runner_options import (
    DEFAULT_CONFIG,
    add_config_option,
    add_training_options,
    with_training_options,
)

DONE, FAILED = 0, 1

EXIT_CODES = f"""\
exit codes:
  {DONE}  compiled, and submitted if asked to
  {FAILED}  a wrong option or configuration, or the server cannot be reached or refuses
  2  wrong arguments

docs/kubeflow.md tells more.
"""


def main(arguments: list[str] | None = None) -> int:
    """Compiles the pipeline, and starts a run if asked to.

    Args:
        arguments: Command line, `sys.argv` by default.

    Returns:
        The exit code: 0, or 1 on failure.
    """
    parser = argparse.ArgumentParser(
        description="Compiles the pipeline for open-source Kubeflow Pipelines (kfp) or Vertex AI, "
        "and starts a run with --submit.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_target_option(parser)
    add_compile_options(parser)
    submission = parser.add_argument_group("submission")
    submission.add_argument("--submit", action="store_true", help="start a run")
    add_server_options(submission)
    submission.add_argument(
        "--compiled", metavar="FILE", help="submit this compiled pipeline instead of compiling"
    )
    return execute(parser.parse_args(arguments), parser)


def execute(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Compiles, submits, or both.

    Args:
        args: All options of `main`.
        parser: The parser that they are from, for its defaults.

    Returns:
        The exit code.
    """
    # Before any import of TensorFlow or TFX, which read it or warn.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore")
    try:
        _check_presence(args, parser)
        path = pathlib.Path(args.compiled) if args.compiled else _compile(args)
        if args.submit:
            _submit(path, args)
    except (ConfigError, submit.SubmitError, OSError) as error:
        print(error)
        return FAILED
    return DONE


def add_target_option(parser: argparse.ArgumentParser) -> None:
    """Adds `--target`."""
    parser.add_argument(
        "--target", choices=[KFP, VERTEX], required=True, help="where the pipeline is to run"
    )


def add_compile_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of compiling."""
    add_config_option(parser, str(DEFAULT_CONFIG))
    parser.add_argument("--image", metavar="NAME", help="the container image; see Dockerfile")
    parser.add_argument(
        "--pipeline-root", metavar="URI",
        help="where the artifacts go: minio://…, s3://… or gs://…, on Vertex AI gs://…",
    )  # fmt: skip
    parser.add_argument(
        "--output", metavar="FILE",
        help="the compiled pipeline (default: output/NAME.yaml, for Vertex AI output/NAME.json)",
    )  # fmt: skip
    defaults = parser.add_argument_group(
        "runtime parameters (their defaults; a run may have others, see --parameter)"
    )
    defaults.add_argument(
        "--data", metavar="PLACE",
        help="a CSV file or a folder of them, as the pods see it (default: data that ship in a "
        "package are in the image)",
    )  # fmt: skip
    defaults.add_argument(
        "--push-destination", metavar="FOLDER",
        help="where the model goes: gs://…, or a path on a --volume (default: pushed_model in the "
        "pipeline root if that is gs://…)",
    )  # fmt: skip
    add_training_options(defaults, "surgery", "epochs", "learning_rate", "seed")
    running = parser.add_argument_group("running")
    running.add_argument(
        "--resources", metavar="STEP:SETTINGS", action="append", default=[],
        help="what a component may use, as Trainer:cpu=4,memory=16G,accelerator=nvidia.com/gpu:1; "
        "may be repeated",
    )  # fmt: skip
    running.add_argument(
        "--retries", metavar="N", type=int, default=0,
        help="start Trainer and Transform again if they fail (default: %(default)s times)",
    )  # fmt: skip
    running.add_argument(
        "--checkpoint-root", metavar="FOLDER",
        help="where an interrupted training resumes from: gs://…, or a path on a --volume",
    )  # fmt: skip
    running.add_argument(
        "--volume", metavar="CLAIM=PATH", action="append", default=[],
        help="mount a PersistentVolumeClaim into every step (kfp); may be repeated",
    )  # fmt: skip
    running.add_argument(
        "--env", metavar="NAME=VALUE", action="append", default=[],
        help="an environment variable of every step; may be repeated",
    )  # fmt: skip
    pods.add_options(running)
    running.add_argument("--no-cache", action="store_true", help="run every step in every run")
    running.add_argument(
        "--cache-examples", action="store_true",
        help="let Kubeflow reuse the examples, too, although it does not see whether the files "
        "have changed: only if new data get a new folder (kfp)",
    )  # fmt: skip
    add_beam_options(running)


def add_server_options(parser: argparse._ActionsContainer) -> None:
    """Adds where a run is started, and with which parameters."""
    parser.add_argument("--host", metavar="URL", help="of the server (kfp)")
    parser.add_argument("--project", metavar="NAME", help="of Google Cloud (Vertex AI)")
    parser.add_argument("--region", metavar="NAME", help="of Google Cloud (Vertex AI)")
    parser.add_argument(
        "--parameter", metavar="NAME=VALUE", action="append", default=[],
        help="a runtime parameter of this run; may be repeated",
    )  # fmt: skip


# The options of one target only, of --submit only, and of compiling only.
_TARGET_OPTIONS = {
    KFP: [
        "volume", "cache_examples", "host", "image_pull_policy", "image_pull_secret", "secret_env",
        "node_selector", "toleration",
    ],
    VERTEX: ["project", "region"],
}  # fmt: skip
_SUBMIT_OPTIONS = ["host", "project", "region", "parameter", "compiled"]
_COMPILER_OPTIONS = [
    "config", "image", "pipeline_root", "output", "data", "push_destination", "surgery", "epochs",
    "learning_rate", "seed", "resources", "retries", "checkpoint_root", "volume", "no_cache",
    "cache_examples", "env", "image_pull_policy", "image_pull_secret", "secret_env",
    "node_selector", "toleration", *BEAM_OPTIONS,
]  # fmt: skip


def _check_presence(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Checks which options are there, and which packages."""
    other = VERTEX if args.target == KFP else KFP
    refused = {f"is for --target {other}; remove it": _TARGET_OPTIONS[other]}
    needed = {}
    if args.submit:
        where = {KFP: ["host"], VERTEX: ["project", "region"]}
        needed["is missing; it says where to submit"] = where[args.target]
    else:
        refused["is for --submit; add that, or remove it"] = _SUBMIT_OPTIONS
    if args.compiled:
        refused["is for compiling; remove it, or --compiled"] = _COMPILER_OPTIONS
    else:
        needed["is missing; add it"] = ["image", "pipeline_root"]
    for problem, names in refused.items():
        for name in names:
            if getattr(args, name, None) != parser.get_default(name):
                raise ConfigError(f"{_option(name)} {problem}")
    for problem, names in needed.items():
        for name in names:
            if not getattr(args, name):
                raise ConfigError(f"{_option(name)} {problem}")
    _require("tfx", "tfx")
    _require("kfp.client" if args.submit and args.target == KFP else "kfp.pipeline_spec", "kfp")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _require(module: str, extra: str) -> None:
    try:
        found = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        raise ConfigError(f"{module} is not installed; try: pip install 'tfx-pcgrad[{extra}]'")


def _settings(args: argparse.Namespace) -> Settings:
    """Checks the options and the configuration."""
    check_beam_options(args)
    beam = BeamRunner(args)
    config = with_training_options(load_config(args.config), args)
    options.check_name(config.name)
    root = args.pipeline_root.rstrip("/")
    options.check_pipeline_root(root, args.target, beam.is_distributed)
    volumes = options.parse_volumes(args.volume)
    default = f"{root}/pushed_model" if root.startswith("gs://") else None
    destination = options.check_place(
        "--push-destination", args.push_destination or default, args.target, volumes
    )
    if args.checkpoint_root is not None:
        options.check_place("--checkpoint-root", args.checkpoint_root, args.target, volumes)
    if args.retries < 0:
        raise ConfigError(f"--retries: {args.retries} is below 0; give 0 or more")
    return Settings(
        target=args.target,
        config=config,
        image=args.image,
        pipeline_root=root,
        data=options.data_location(args.data, config.data, args.target),
        push_destination=destination,
        checkpoint_root=args.checkpoint_root,
        resources=options.parse_resources(args.resources),
        retries=args.retries,
        environment=pods.parse_environment(args.env),
        pods=[*pods.mounts(volumes), *pods.parse_options(args)],
        enable_cache=not args.no_cache,
        cache_examples=args.cache_examples,
        beam_args=beam.arguments,
        is_distributed=beam.is_distributed,
    )


def _compile(args: argparse.Namespace) -> pathlib.Path:
    settings = _settings(args)
    name = settings.config.name
    print(f"{name}: compiling …", flush=True)
    from pcgrad_pipelines.kubeflow.compiler import compile_pipeline

    suffix = {KFP: "yaml", VERTEX: "json"}[args.target]
    path = pathlib.Path(args.output or f"output/{name}.{suffix}")
    parameters = compile_pipeline(settings, path)
    print(f"Compiled:           {path}")
    shown = ", ".join(f"{name}={default}" for name, default in parameters.items())
    print(f"Runtime parameters: {shown}")
    return path


def _submit(path: pathlib.Path, args: argparse.Namespace) -> None:
    spec = submit.read_spec(path)
    parameters = submit.parse_parameters(args.parameter, spec)
    print(f"Submitting {path} …", flush=True)
    if args.target == KFP:
        run = submit.submit_to_kfp(path, args.host, parameters)
    else:
        run = submit.submit_to_vertex(path, args.project, args.region, parameters)
    print(f"Run:                {run}")
