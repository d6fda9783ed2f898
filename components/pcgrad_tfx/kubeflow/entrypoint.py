"""One step of a TFX pipeline on open-source Kubeflow Pipelines.

`python -m pcgrad_tfx.kubeflow.entrypoint ARGUMENTS` takes the place of TFX's own
`tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor`, which expects what Vertex AI
hands over. The arguments are the same; any component's executor can be run. A compiled pipeline
says so: `KubeflowV2DagRunnerConfig(default_commands=COMMAND, use_pipeline_spec_2_1=True)`.

On failure the last line is what went wrong, and the exit code is 1. SIGTERM, with which Kubernetes
ends a pod, is answered in a line, too; the exit code is 143.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
import types

from absl import app
from absl.flags import argparse_flags
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx import version as tfx
from tfx.dsl.io import fileio
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

from pcgrad_tfx.errors import root_message
from pcgrad_tfx.kubeflow import executor_input as executor_inputs
from pcgrad_tfx.kubeflow import pages


def run(args: argparse.Namespace, beam_args: list[str]) -> None:
    """Runs the executor.

    Args:
        args: `executor_class_path`; `json_serialized_invocation_args`, an ExecutorInput;
            `json_serialized_inputs_spec_args`, the ComponentInputsSpec; `keep_gcs`.
        beam_args: Beam's options.
    """
    executor_input = json_format.Parse(
        args.json_serialized_invocation_args,
        pipeline_spec_pb2.ExecutorInput(),
        # A newer Kubeflow may say more.
        ignore_unknown_fields=True,
    )
    inputs_spec = json_format.Parse(
        args.json_serialized_inputs_spec_args,
        pipeline_spec_pb2.ComponentInputsSpec(),
        # As may a newer TFX that compiled the pipeline.
        ignore_unknown_fields=True,
    )
    executor_inputs.complete_types(executor_input, inputs_spec)
    executor_inputs.drop_absent_inputs(executor_input)
    page_files = pages.restore_types(executor_input)
    executor_inputs.drop_launcher_outputs(executor_input)
    paths = executor_inputs.to_local_paths(executor_input, args.keep_gcs)
    executor_inputs.drive_example_gen(executor_input, inputs_spec)

    args.json_serialized_invocation_args = json_format.MessageToJson(executor_input)
    kubeflow_v2_run_executor.main((args, beam_args))

    output_file = executor_input.outputs.output_file
    executor_output = executor_inputs.read_output(output_file)
    executor_inputs.to_uris(executor_output, paths)
    pages.point_to_files(executor_output, page_files)
    executor_inputs.make_missing_outputs(executor_output)
    with fileio.open(output_file, "w") as file:
        file.write(json_format.MessageToJson(executor_output))


def _parse(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse_flags.ArgumentParser(
        prog="python -m pcgrad_tfx.kubeflow.entrypoint",
        description="Runs one component's executor; all other arguments are Beam's.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--executor_class_path", metavar="CLASS", required=True, help="import path of the executor"
    )
    parser.add_argument(
        "--json_serialized_invocation_args", metavar="JSON", required=True,
        help="the ExecutorInput",
    )  # fmt: skip
    parser.add_argument(
        "--json_serialized_inputs_spec_args", metavar="JSON", required=True,
        help="the ComponentInputsSpec; a pipeline compiled with use_pipeline_spec_2_1 passes it",
    )  # fmt: skip
    parser.add_argument(
        "--tfx_version", metavar="VERSION", help="of the TFX that compiled the pipeline"
    )
    parser.add_argument(
        "--keep_gcs", action="store_true",
        help="open gs:// itself, not the launcher's copy; for a distributed Beam runner",
    )  # fmt: skip
    args, beam_args = parser.parse_known_args(argv[1:])
    return args, beam_args


def version_problem(compiled_by: str | None) -> str | None:
    """Says whether the pipeline was compiled by another TFX than the image's.

    Args:
        compiled_by: The version, `None` if unknown.

    Returns:
        A line, `None` if they are the same.
    """
    if compiled_by in (None, tfx.__version__):
        return None
    return (
        f"The pipeline was compiled by TFX {compiled_by}, and this image has {tfx.__version__}: "
        "compile with the packages of the image."
    )


def _leave(signum: int, frame: types.FrameType | None) -> None:
    print(
        "Terminated (SIGTERM). A training with a checkpoint_root goes on after its last epoch.",
        file=sys.stderr,
        flush=True,
    )
    os._exit(128 + signum)


def _main(command: tuple[argparse.Namespace, list[str]]) -> None:
    signal.signal(signal.SIGTERM, _leave)
    if remark := version_problem(command[0].tfx_version):
        print(remark, file=sys.stderr, flush=True)
    try:
        run(*command)
    except Exception as error:
        traceback.print_exc()
        if remark:
            print(remark, file=sys.stderr)
        print(root_message(error), file=sys.stderr, flush=True)
        # While the interpreter shuts down, TensorFlow's objects complain about missing modules.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.exit(1)


if __name__ == "__main__":
    app.run(_main, flags_parser=_parse)
