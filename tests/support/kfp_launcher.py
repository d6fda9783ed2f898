"""Executes a compiled pipeline as open-source Kubeflow Pipelines does, without a cluster.

It stands in for the driver (inputs, outputs, caching), the launcher (copies between object store
and pod, placeholders, the container's command) and ML Metadata; each function names what it follows
in kubeflow/pipelines. A pod is a folder that is gone when its step has finished.
"""

import copy
import dataclasses
import graphlib
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import yaml
from google.protobuf import json_format, struct_pb2
from kfp.pipeline_spec import pipeline_spec_pb2 as pb

from pcgrad_tfx.kubeflow.uris import MOUNT_ROOT_VARIABLE


@dataclasses.dataclass
class Step:
    """What became of a task.

    Attributes:
        cached: Whether an earlier step's outputs were reused.
        attempts: How often the container was started.
        seconds: How long the container ran.
        exit_code: Of the container.
        log: What the container printed.
        input: Its ExecutorInput.
        outputs: Its artifacts as ML Metadata knows them, by output key.
    """

    cached: bool = False
    attempts: int = 0
    seconds: float = 0.0
    exit_code: int = 0
    log: str = ""
    input: pb.ExecutorInput = dataclasses.field(default_factory=pb.ExecutorInput)
    outputs: dict[str, pb.RuntimeArtifact] = dataclasses.field(default_factory=dict)


class Cluster:
    """Runs a compiled pipeline.

    Args:
        compiled: The YAML file.
        folder: Of the object store and the pods.
        pipeline_root: Where the artifacts go.
        image: The file system of an image whose containers run the commands, as user 1000, with
            `folder` as a volume; by default this process's own Python does.
    """

    def __init__(
        self, compiled, folder, pipeline_root="minio://mlpipeline/v2/artifacts", image=None
    ):
        documents = list(yaml.safe_load_all(Path(compiled).read_text()))
        self.spec = json_format.ParseDict(documents[0], pb.PipelineSpec())
        self.executors = json_format.ParseDict(
            json_format.MessageToDict(self.spec.deployment_spec), pb.PipelineDeploymentConfig()
        ).executors
        self.folder = Path(folder)
        self.pipeline_root = pipeline_root
        self.image = image
        self._artifacts = 0
        self._cache = {}

    def run(self, until=None, **parameters):
        """Starts a run.

        Args:
            until: The last task to execute; all by default.
            **parameters: Values of runtime parameters.

        Returns:
            The steps by task, in the order of their execution; the last one may have failed.
        """
        root = f"{self.pipeline_root}/{self.spec.pipeline_info.name}/{uuid.uuid4()}"
        values = _runtime_values(self.spec.root.input_definitions.parameters, parameters)
        steps = {}
        for task in self._order(until):
            steps[task] = self._run_task(task, root, values, steps)
            if steps[task].exit_code:
                break
        return steps

    def local_path(self, uri):
        """Where the object store keeps what lies at a URI."""
        return self.folder / "store" / uri.replace("://", "/")

    def _order(self, until):
        # addImplicitDependencies, compiler/argocompiler/dag.go
        tasks = self.spec.root.dag.tasks
        depends_on = {}
        for name, task in tasks.items():
            producers = {
                artifact.task_output_artifact.producer_task
                for artifact in task.inputs.artifacts.values()
            }
            depends_on[name] = {*task.dependent_tasks, *producers}
            assert depends_on[name] <= set(tasks), f"{name}: unknown producer task"
        if until is not None:
            wanted, found = set(), {until}
            while found - wanted:
                wanted |= found
                found = set().union(*(depends_on[name] for name in wanted))
            depends_on = {name: depends_on[name] for name in wanted}
        return graphlib.TopologicalSorter(depends_on).static_order()

    def _run_task(self, name, root, values, steps):
        task = self.spec.root.dag.tasks[name]
        component = self.spec.components[task.component_ref.name]
        container = self.executors[component.executor_label].container
        assert container.image, f"{name}: only containers can be executed"
        pod = self.folder / "pods" / name
        pod.mkdir(parents=True)
        step = Step()
        step.input.inputs.CopyFrom(_resolve_inputs(task, component, values, steps))
        step.input.outputs.CopyFrom(_provision_outputs(root, name, component, pod))
        fingerprint = _fingerprint(step.input, container)
        if task.caching_options.enable_cache and fingerprint in self._cache:
            step.cached, step.outputs = True, copy.deepcopy(self._cache[fingerprint])
        else:
            # Argo starts the executor again, not the driver: addContainerExecutorTemplate,
            # compiler/argocompiler/container.go
            while step.attempts <= task.retry_policy.max_retry_count:
                self._launch(step, component, container, pod)
                step.attempts += 1
                if not step.exit_code:
                    break
            if not step.exit_code:
                self._cache[fingerprint] = step.outputs
        shutil.rmtree(pod)
        return step

    def _launch(self, step, component, container, pod):
        # executeV2 and execute, component/launcher_v2.go
        for artifacts in step.input.inputs.artifacts.values():
            for artifact in artifacts.artifacts:
                stored = self.local_path(artifact.uri)
                if stored.exists():  # An artifact may have no files: DownloadBlob lists none.
                    shutil.copytree(stored, _in_pod(artifact.uri, pod), dirs_exist_ok=True)
        for artifacts in step.input.outputs.artifacts.values():
            for artifact in artifacts.artifacts:
                _in_pod(artifact.uri, pod).parent.mkdir(parents=True, exist_ok=True)

        command = _fill_placeholders([*container.command, *container.args], step.input)
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            MOUNT_ROOT_VARIABLE: str(pod),
        }
        if self.image is not None:
            command, environment = self._in_image(command, pod)
        started = time.monotonic()
        process = subprocess.run(
            command, cwd=pod, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        step.seconds, step.exit_code = time.monotonic() - started, process.returncode
        step.log = process.stdout
        if not step.exit_code:
            self._collect_outputs(step, component, pod)

    def _in_image(self, command, pod):
        volume = f"{self.image}{self.folder}"
        Path(volume).mkdir(parents=True, exist_ok=True)
        for path in [self.folder, *self.folder.rglob("*")]:
            os.chown(path, 1000, 1000)
        script = f"""
            mount --bind {self.folder} {volume} && mount -t proc proc {self.image}/proc &&
            mount --rbind /dev {self.image}/dev &&
            exec chroot --userspec=1000:1000 {self.image} sh -c 'cd {pod} && exec "$@"' sh "$@"
        """
        environment = {
            "PATH": "/opt/venv/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/home/tfx",
            "TF_CPP_MIN_LOG_LEVEL": "2",
            MOUNT_ROOT_VARIABLE: str(pod),
        }
        return ["unshare", "--mount", "sh", "-c", script, "sh", *command], environment

    def _collect_outputs(self, step, component, pod):
        # getExecutorOutputFile and uploadOutputArtifacts, component/launcher_v2.go
        output_file = Path(step.input.outputs.output_file)
        made = pb.ExecutorOutput()
        if output_file.exists():
            json_format.Parse(output_file.read_text(), made)  # Unknown fields are errors.
        for name, artifacts in step.input.outputs.artifacts.items():
            (artifact,) = artifacts.artifacts
            recorded = pb.RuntimeArtifact()
            recorded.CopyFrom(artifact)
            for said in made.artifacts[name].artifacts[:1] if name in made.artifacts else ():
                recorded.uri = said.uri or recorded.uri
                recorded.metadata.MergeFrom(said.metadata)
            local = _in_pod(recorded.uri, pod)
            if local is not None and local.exists():
                # Files only: an object store has no empty folders.
                for file in [local] if local.is_file() else filter(Path.is_file, local.rglob("*")):
                    stored = self.local_path(recorded.uri) / file.relative_to(local)
                    stored.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, stored)
            step.outputs[name] = self._record(name, recorded)

    def _record(self, name, artifact):
        # RecordArtifact, metadata/client.go; toMLMDArtifact, metadata/converter.go
        self._artifacts += 1
        known = pb.RuntimeArtifact(name=str(self._artifacts), uri=artifact.uri)
        for key, value in json_format.MessageToDict(artifact.metadata).items():
            assert value is not None, f"{name}: {key}: unknown/unsupported value type"
            nested = {dict: "struct", list: "list"}.get(type(value))
            known.metadata[key] = {nested: value} if nested else value
        known.metadata.update({"display_name": name, "store_session_info": "{}"})
        # Of an input the type is unknown: GetOutputArtifactsByExecutionId, metadata/client.go
        known.type.instance_schema = ""
        return known


def _runtime_values(declared, given):
    # validatePipelineJobInputs, apiserver/template/v2_template.go
    kinds = {
        "STRING": "string_value",
        "NUMBER_INTEGER": "number_value",
        "NUMBER_DOUBLE": "number_value",
    }
    assert set(given) <= set(declared), f"not required by pipeline: {set(given) - set(declared)}"
    values = {}
    for name, parameter in declared.items():
        if name in given:
            values[name] = json_format.ParseDict(given[name], struct_pb2.Value())
        else:
            assert parameter.HasField("default_value"), f"neither value nor default value: {name}"
            values[name] = parameter.default_value
        kind = kinds[pb.ParameterType.ParameterTypeEnum.Name(parameter.parameter_type)]
        assert values[name].WhichOneof("kind") == kind, f"{name}: wrong type"
    return values


def _resolve_inputs(task, component, values, steps):
    # resolveInputs, driver/resolve.go
    inputs = pb.ExecutorInput.Inputs()
    for name, parameter in task.inputs.parameters.items():
        if parameter.WhichOneof("kind") == "component_input_parameter":
            value = values[parameter.component_input_parameter]
        else:
            assert parameter.runtime_value.WhichOneof("value") == "constant", name
            value = parameter.runtime_value.constant
        inputs.parameter_values[name].CopyFrom(value)
    assert set(component.input_definitions.parameters) <= set(inputs.parameter_values)
    for name, artifact in task.inputs.artifacts.items():
        source = artifact.task_output_artifact
        produced = steps[source.producer_task].outputs[source.output_artifact_key]
        inputs.artifacts[name].artifacts.append(produced)
    return inputs


def _provision_outputs(root, task, component, pod):
    # provisionOutputs, driver/driver.go
    outputs = pb.ExecutorInput.Outputs()
    task_root = f"{root}/{task}/{uuid.uuid4()}"
    declared = dict(component.output_definitions.artifacts)
    # Since 2.5, unless the server is told not to publish logs.
    declared["executor-logs"] = pb.ComponentOutputsSpec.ArtifactSpec(
        artifact_type=pb.ArtifactTypeSchema(schema_title="system.Artifact")
    )
    for name, output in declared.items():
        outputs.artifacts[name].artifacts.add(
            name=name,
            uri=f"{task_root}/{name}",
            type=output.artifact_type,
            metadata=output.metadata,
        )
    outputs.output_file = str(_in_pod(task_root, pod) / "output_metadata.json")
    return outputs


def _fingerprint(executor_input, container):
    # GenerateCacheKey, cacheutils/cache.go: of input artifacts only the names count.
    inputs, outputs = executor_input.inputs, executor_input.outputs
    key = [
        {name: [a.name for a in found.artifacts] for name, found in inputs.artifacts.items()},
        {name: json_format.MessageToDict(v) for name, v in inputs.parameter_values.items()},
        {name: str(found.artifacts[0].type) for name, found in outputs.artifacts.items()},
        [container.image, *container.command, *container.args],
    ]
    return json.dumps(key, sort_keys=True)


def _fill_placeholders(command, executor_input):
    # compileCmdAndArgs and getPlaceholders, component/launcher_v2.go
    filled = [
        argument.replace("{{$}}", json_format.MessageToJson(executor_input, indent=None))
        for argument in command
    ]
    for original, argument in zip(command, filled, strict=True):
        assert "{{$." not in original, f"not filled: {argument}"
    return filled


def _in_pod(uri, pod):
    # LocalPathForURI, component/launcher_v2.go
    for scheme, folder in {"gs://": "gcs", "minio://": "minio", "s3://": "s3"}.items():
        if uri.startswith(scheme):
            return pod / folder / uri.removeprefix(scheme)
    return None
