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
from pcgrad_pipelines.kubeflow import options, submission, submit
from pcgrad_pipelines.kubeflow.options import Settings
from pcgrad_pipelines.kubeflow.settings import (
    KFP,
    RUNTIME_PARAMETERS,
    VERTEX,
    KubeflowSettings,
    add_options,
    option,
)
from pcgrad_pipelines.runner_options import (
    DEFAULT_CONFIG,
    add_config_option,
    add_training_options,
    with_training_options,
)
from pcgrad_pipelines.script import silent_imports

DONE, FAILED, CANCELED, LOST = 0, 1, 3, 4

_EXIT_CODES = {
    submit.Outcome.SUCCEEDED: DONE,
    submit.Outcome.FAILED: FAILED,
    submit.Outcome.CANCELED: CANCELED,
    submit.Outcome.LOST: LOST,
}

EXIT_CODES = f"""\
exit codes:
  {DONE}  compiled, and submitted if asked to; with --wait: the run succeeded
  {FAILED}  a wrong option or configuration, or the server cannot be reached or refuses; with
     --wait: the run failed
  2  wrong arguments
  {CANCELED}  with --wait: the run was canceled
  {LOST}  with --wait: the server cannot be reached any more; the run may go on

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
    group = parser.add_argument_group("submission")
    group.add_argument("--submit", action="store_true", help="start a run")
    submission.add_server_options(group)
    group.add_argument(
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
            return _EXIT_CODES[submission.submit_pipeline(path, args)]
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
    parser.add_argument(
        "--output", metavar="FILE",
        help="the compiled pipeline (default: output/NAME.yaml, for Vertex AI output/NAME.json)",
    )  # fmt: skip
    groups = add_options(parser)
    add_training_options(groups[RUNTIME_PARAMETERS], "surgery", "epochs", "learning_rate", "seed")
    add_beam_options(groups["running"])


def _check_presence(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Checks which options are there, and which packages."""
    other = VERTEX if args.target == KFP else KFP
    of_other = [name for name, (target, _) in submission.OPTIONS.items() if target == other]
    refused = {f"is for --target {other}; remove it": of_other}
    needed = {}
    if args.submit:
        where = {KFP: ["host"], VERTEX: ["project", "region"]}
        needed["is missing; it says where to submit"] = where[args.target]
    else:
        refused["is for --submit; add that, or remove it"] = [*submission.OPTIONS, "compiled"]
    if args.compiled:
        refused["is for compiling; remove it, or --compiled"] = [
            *("config", "output", "surgery", "epochs", "learning_rate", "seed"),
            *BEAM_OPTIONS,
            *KubeflowSettings.model_fields,
        ]
    for problem, names in refused.items():
        for name in names:
            if getattr(args, name, None) != parser.get_default(name):
                raise ConfigError(f"{option(name)} {problem}")
    for problem, names in needed.items():
        for name in names:
            if not getattr(args, name):
                raise ConfigError(f"{option(name)} {problem}")
    _require("tfx", "tfx")
    _require("kfp.client" if args.submit and args.target == KFP else "kfp.pipeline_spec", "kfp")


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
    kubeflow = options.with_options(config.kubeflow, args)
    options.check_target(kubeflow, args.target)
    image = options.required(kubeflow, "image")
    root = options.required(kubeflow, "pipeline_root").rstrip("/")
    options.check_pipeline_root(root, args.target, beam.is_distributed)
    default = f"{root}/pushed_model" if root.startswith("gs://") else None
    destination = options.check_place(
        "push_destination", kubeflow.push_destination or default, args.target, kubeflow
    )
    if kubeflow.checkpoint_root is not None:
        options.check_place("checkpoint_root", kubeflow.checkpoint_root, args.target, kubeflow)
    return Settings(
        target=args.target,
        config=config,
        kubeflow=kubeflow,
        image=image,
        pipeline_root=root,
        data=options.data_location(kubeflow.data, config.data, args.target),
        push_destination=destination,
        beam_args=beam.arguments,
        is_distributed=beam.is_distributed,
    )


def _compile(args: argparse.Namespace) -> pathlib.Path:
    settings = _settings(args)
    name = settings.config.name
    print(f"{name}: compiling …", flush=True)
    suffix = {KFP: "yaml", VERTEX: "json"}[args.target]
    path = pathlib.Path(args.output or f"output/{name}.{suffix}")
    with silent_imports():
        from pcgrad_pipelines.kubeflow.compiler import compile_pipeline

        # Which imports the stages.
        parameters = compile_pipeline(settings, path)
    print(f"Compiled:           {path}")
    shown = ", ".join(f"{name}={default}" for name, default in parameters.items())
    print(f"Runtime parameters: {shown}")
    return path
