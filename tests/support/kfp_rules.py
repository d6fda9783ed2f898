"""What open-source Kubeflow Pipelines 2.x accepts: a lint for compiled pipelines.

Each rule is a function from the documents of a YAML file to the places that break it, and names
its source in kubeflow/pipelines.
"""

import re

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2 as pb

from kfp_pod_rules import POD_RULES, executors_of, tasks_of


def only_a_bare_pipeline_spec_comes_first(documents):
    """A PipelineJob, as Vertex AI takes it, is "no pipeline spec"; unknown fields are errors.

    isPipelineSpec, backend/src/apiserver/template/template.go; NewV2SpecTemplate, v2_template.go
    """
    try:
        spec = json_format.ParseDict(documents[0], pb.PipelineSpec())
    except json_format.ParseError as error:
        return [str(error)]
    return [] if spec.pipeline_info.name and spec.HasField("root") else ["no name, or no root"]


def the_schema_version_is_2_1_0(documents):
    """NewV2SpecTemplate, backend/src/apiserver/template/v2_template.go."""
    version = documents[0].get("schemaVersion")
    return [] if version == "2.1.0" else [str(version)]


def executors_are_containers_or_importers(documents):
    """Others, resolvers for example, are "not implemented".

    pipelineDFS.dfs, backend/src/v2/compiler/visitor.go
    """
    return [
        n for n, e in executors_of(documents).items() if not e.keys() & {"container", "importer"}
    ]


def each_task_has_a_component_and_that_an_executor(documents):
    """pipelineDFS.dfs, backend/src/v2/compiler/visitor.go."""
    components, executors = documents[0].get("components", {}), executors_of(documents)
    found = []
    for name, task in tasks_of(documents).items():
        component = components.get(task.get("componentRef", {}).get("name"))
        if component is None or component.get("executorLabel") not in executors:
            found.append(name)
    return found


def names_of_tasks_are_fit_for_argo(documents):
    """Argo's workflowFieldNameFmt; tasks keep their names in the workflow.

    workflowCompiler.task, backend/src/v2/compiler/argocompiler/dag.go, and
    workflow/validate/validate.go in argoproj/argo-workflows
    """
    # The driver's task has the suffix -driver; a name has at most 128 characters.
    fit = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]{0,120}")
    return [name for name in tasks_of(documents) if not fit.fullmatch(name)]


def producers_exist(documents):
    """addImplicitDependencies, backend/src/v2/compiler/argocompiler/dag.go."""
    tasks = tasks_of(documents)
    found = []
    for name, task in tasks.items():
        artifacts = task.get("inputs", {}).get("artifacts", {}).values()
        producers = [artifact["taskOutputArtifact"]["producerTask"] for artifact in artifacts]
        found += [name for p in [*producers, *task.get("dependentTasks", [])] if p not in tasks]
    return found


def parameters_have_a_type(documents):
    """The "type" of schema 2.0 is not read.

    validatePipelineJobInputs, backend/src/apiserver/template/v2_template.go; resolveInputs,
    backend/src/v2/driver/resolve.go
    """
    components = {"root": documents[0].get("root", {}), **documents[0].get("components", {})}
    return [
        f"{component}.{name}"
        for component, spec in components.items()
        for name, parameter in spec.get("inputDefinitions", {}).get("parameters", {}).items()
        if "parameterType" not in parameter
    ]


def runtime_parameters_have_defaults(documents):
    """Else a run needs a value for each.

    validatePipelineJobInputs, backend/src/apiserver/template/v2_template.go
    """
    declared = documents[0].get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    return [name for name, parameter in declared.items() if "defaultValue" not in parameter]


def each_parameter_gets_a_value(documents):
    """A constant, or a parameter of the pipeline; other kinds are "not implemented".

    resolveInputParameter, backend/src/v2/driver/resolve.go
    """
    root = documents[0].get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    components = documents[0].get("components", {})
    found = []
    for task_name, task in tasks_of(documents).items():
        given = task.get("inputs", {}).get("parameters", {})
        component = components.get(task.get("componentRef", {}).get("name"), {})
        for name in component.get("inputDefinitions", {}).get("parameters", {}):
            value = given.get(name, {})
            is_constant = "constant" in value.get("runtimeValue", {})
            if not is_constant and value.get("componentInputParameter") not in root:
                found.append(f"{task_name}.{name}")
    return found


def placeholders_are_known(documents):
    """Others stay as they are, and Argo takes {{…}} for its own.

    compileCmdAndArgs and getPlaceholders, backend/src/v2/component/launcher_v2.go
    """
    known = re.compile(r"\{\{\$(\.(in|out)puts\.(artifacts|parameters)\['\w+'\](\.\w+)?)?\}\}")
    return [
        f"{name}: {text}"
        for name, executor in executors_of(documents).items()
        for text in [
            *executor.get("container", {}).get("command", []),
            *executor.get("container", {}).get("args", []),
        ]
        if "{{" in known.sub("", text)
    ]


def outputs_have_a_type_with_a_title(documents):
    """It becomes the type in ML Metadata.

    getArtifactSchema, backend/src/v2/component/launcher_v2.go; SchemaToArtifactType,
    backend/src/v2/metadata/client.go
    """
    found = []
    for component, spec in documents[0].get("components", {}).items():
        for name, output in spec.get("outputDefinitions", {}).get("artifacts", {}).items():
            kind = output.get("artifactType", {})
            if not ("schemaTitle" in kind or kind.get("instanceSchema", "").startswith("title: ")):
                found.append(f"{component}.{name}")
    return found


def nothing_depends_on_a_lifecycle_hook(documents):
    """It is ignored: a pod is made of image, command, arguments, resources and environment.

    initPodSpecPatch, backend/src/v2/driver/driver.go
    """
    return [n for n, e in executors_of(documents).items() if "lifecycle" in e.get("container", {})]


def steps_do_not_run_in_tfx_own_entry_point(documents):
    """It opens URIs itself and makes artifacts by the types in ExecutorInput.

    The artifacts of inputs come without a type: GetOutputArtifactsByExecutionId,
    backend/src/v2/metadata/client.go. Among the outputs is a log of a type that TFX does not know:
    provisionOutputs, backend/src/v2/driver/driver.go. Files are copied between object store and
    local paths: LocalPathForURI, backend/src/v2/component/launcher_v2.go.
    """
    return [
        name
        for name, executor in executors_of(documents).items()
        if any(part.startswith("tfx.") for part in executor.get("container", {}).get("command", []))
    ]


def a_second_document_is_a_platform_spec(documents):
    """Of Kubernetes, for executors that there are, with a claim and a path for each volume.

    NewV2SpecTemplate, backend/src/apiserver/template/v2_template.go; makeVolumeMountPatch,
    backend/src/v2/driver/k8s.go
    """
    found = []
    for document in documents[1:]:
        try:
            json_format.ParseDict(document, pb.PlatformSpec())
        except json_format.ParseError as error:
            return [str(error)]
        configs = document["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        found += [name for name in configs if name not in executors_of(documents)]
        for name, config in configs.items():
            mounts = config.get("pvcMount", [])
            found += [name for m in mounts if not m.get("constant") or not m.get("mountPath")]
    return found


RULES = [
    only_a_bare_pipeline_spec_comes_first,
    the_schema_version_is_2_1_0,
    executors_are_containers_or_importers,
    each_task_has_a_component_and_that_an_executor,
    names_of_tasks_are_fit_for_argo,
    producers_exist,
    parameters_have_a_type,
    runtime_parameters_have_defaults,
    each_parameter_gets_a_value,
    placeholders_are_known,
    outputs_have_a_type_with_a_title,
    nothing_depends_on_a_lifecycle_hook,
    steps_do_not_run_in_tfx_own_entry_point,
    a_second_document_is_a_platform_spec,
    *POD_RULES,
]


def broken_rules(documents):
    """The rules that are broken, and where."""
    found = {rule.__name__: rule(documents) for rule in RULES}
    return {name: places for name, places in found.items() if places}
