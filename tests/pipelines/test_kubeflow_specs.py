"""The compiled pipelines: parsed strictly, linted, and what options do to them."""

import copy
import json

import pytest
import yaml
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.protobuf import json_format
from kfp import components
from kfp.pipeline_spec import pipeline_spec_pb2 as pb
from tfx import v1 as tfx
from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner
from tfx.v1.dsl.experimental import RuntimeParameter

from kfp_rules import RULES, broken_rules
from kubeflow_runs import compile_for, write_houses
from pipelines.config import load_config
from pipelines.kubeflow_runner import DEFAULT_CONFIG
from pipelines.pipeline import create_pipeline

SUFFIX = {"kfp": "yaml", "vertex": "json"}
PARAMETERS = {
    "data_root": "/opt/site-packages/tfx/components/testdata/external/csv",
    "push_destination": '{"filesystem": {"base_directory": "gs://models/taxi"}}',
    "surgery": "pcgrad",
    "epochs": 12,
    "learning_rate": 0.001,
    "seed": 0,
}
COMMON = {
    "CsvExampleGen", "StatisticsGen", "CuratedSchema", "ExampleValidator", "ValidationGate",
    "Transform", "TrainingParameters", "Trainer", "ConflictReport", "Evaluator", "Pusher",
}  # fmt: skip
BASELINE = {
    "kfp": {"LastPushedModel"},
    "vertex": {"LatestBlessedModel-model-resolver", "LatestBlessedModel-model-blessing-resolver"},
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Compiles with some options, once."""
    folder, files = tmp_path_factory.mktemp("compiled"), {}

    def compile_once(target, *arguments):
        key = (target, *arguments)
        if key not in files:
            path = folder / f"{len(files)}.{SUFFIX[target]}"
            files[key] = compile_for(target, path, *arguments)
        return files[key]

    return compile_once


def documents(path):
    return list(yaml.safe_load_all(path.read_text()))


def spec(path):
    first = documents(path)[0]
    return first.get("pipelineSpec", first)


def containers(path):
    executors = spec(path)["deploymentSpec"]["executors"]
    return {
        name.removesuffix("_executor"): executor["container"]
        for name, executor in executors.items()
        if "container" in executor
    }


def test_both_are_the_same_dag_but_for_the_baseline(compiled):
    for target, baseline in BASELINE.items():
        assert set(spec(compiled(target))["root"]["dag"]["tasks"]) == COMMON | baseline


@pytest.mark.parametrize("target", ["kfp", "vertex"])
def test_a_comparison_is_part_of_it_where_the_configuration_has_one(tmp_path, target):
    config = write_houses(tmp_path)
    config.write_text(config.read_text() + "\n[comparison]\nseeds = 3\n")
    arguments = [f"--config={config}", "--data=gs://bucket/houses.csv"]
    path = compile_for(target, tmp_path / f"houses.{SUFFIX[target]}", *arguments)
    tasks = spec(path)["root"]["dag"]["tasks"]
    assert tasks["ConflictReport"]["inputs"]["artifacts"]["comparison"]["taskOutputArtifact"] == {
        "producerTask": "Comparison", "outputArtifactKey": "comparison",
    }  # fmt: skip
    if target == "kfp":
        assert broken_rules(documents(path)) == {}


@pytest.mark.parametrize("target", ["kfp", "vertex"])
def test_they_parse_strictly(compiled, target):
    # ParseDict refuses unknown fields.
    parsed = json_format.ParseDict(spec(compiled(target)), pb.PipelineSpec())
    deployment = json_format.MessageToDict(parsed.deployment_spec)
    parsed_deployment = json_format.ParseDict(deployment, pb.PipelineDeploymentConfig())
    assert parsed.schema_version == "2.1.0"
    labels = {component.executor_label for component in parsed.components.values()}
    assert labels == set(parsed_deployment.executors)


def test_vertex_ai_gets_a_job(compiled):
    path = compiled("vertex")
    job = json_format.ParseDict(json.loads(path.read_text()), pb.PipelineJob())
    assert job.runtime_config.gcs_output_directory == "gs://bucket/root"
    loaded = aiplatform.PipelineJob(
        display_name="taxi",
        template_path=str(path),
        parameter_values={"epochs": 3, "learning_rate": 0.01, "surgery": "none"},
        project="project",
        location="europe-west1",
        credentials=AnonymousCredentials(),
    )
    assert loaded.runtime_config.parameter_values["epochs"] == 3
    assert loaded.pipeline_spec["pipelineInfo"]["name"] == "taxi"


def test_kubeflow_gets_a_component_with_the_runtime_parameters_as_inputs(compiled):
    component = components.load_component_from_file(str(compiled("kfp")))
    assert component.name == "taxi"
    inputs = component.component_spec.inputs
    assert {name: given.default for name, given in inputs.items()} == PARAMETERS


@pytest.mark.parametrize("target", ["kfp", "vertex"])
def test_runtime_parameters_have_defaults_of_their_types(compiled, target):
    declared = spec(compiled(target))["root"]["inputDefinitions"]["parameters"]
    expected = dict(PARAMETERS)
    if target == "vertex":
        destination = {"filesystem": {"base_directory": "gs://bucket/root/pushed_model"}}
        expected["push_destination"] = json.dumps(destination)
    assert {name: parameter["defaultValue"] for name, parameter in declared.items()} == expected
    assert {name: parameter["parameterType"] for name, parameter in declared.items()} == {
        "data_root": "STRING",
        "push_destination": "STRING",
        "surgery": "STRING",
        "epochs": "NUMBER_INTEGER",
        "learning_rate": "NUMBER_DOUBLE",
        "seed": "NUMBER_INTEGER",
    }


def test_runtime_parameters_reach_the_steps(compiled):
    reached = {
        (task, name): given["componentInputParameter"]
        for task, found in spec(compiled("kfp"))["root"]["dag"]["tasks"].items()
        for name, given in found["inputs"].get("parameters", {}).items()
        if "componentInputParameter" in given
    }
    settings = ("surgery", "epochs", "learning_rate", "seed")
    assert reached == {("TrainingParameters", name): name for name in settings} | {
        ("CsvExampleGen", "input_base"): "data_root",
        ("LastPushedModel", "push_destination"): "push_destination",
        ("Pusher", "push_destination"): "push_destination",
    }


def test_options_change_the_defaults(compiled):
    options = ["--surgery=none", "--epochs=2", "--learning-rate=0.5", "--seed=7"]
    path = compiled("kfp", *options, "--data=gs://data/trips.csv", "--push-destination=gs://m")
    declared = spec(path)["root"]["inputDefinitions"]["parameters"]
    assert {name: parameter["defaultValue"] for name, parameter in declared.items()} == {
        "data_root": "gs://data",
        "push_destination": '{"filesystem": {"base_directory": "gs://m"}}',
        "surgery": "none",
        "epochs": 2,
        "learning_rate": 0.5,
        "seed": 7,
    }
    inputs = spec(path)["root"]["dag"]["tasks"]["CsvExampleGen"]["inputs"]["parameters"]
    assert '"trips.csv"' in inputs["input_config"]["runtimeValue"]["constant"]


def test_steps_run_in_the_image_by_our_entry_point_or_on_vertex_ai_by_tfx_own(compiled):
    modules = {
        "kfp": "pcgrad_tfx.kubeflow.entrypoint",
        "vertex": "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor",
    }
    for target, module in modules.items():
        for container in containers(compiled(target)).values():
            assert container["image"] == "registry/tfx-pcgrad:1"
            assert container["command"] == ["python", "-m", module]
            assert container["args"][-1].endswith(".FnApiRunner")


def test_kubeflow_reuses_all_but_what_looks_at_files_that_it_does_not_see(compiled):
    def cached(path):
        tasks = spec(path)["root"]["dag"]["tasks"]
        return {name for name, task in tasks.items() if "cachingOptions" in task}

    everything = COMMON | BASELINE["kfp"]
    assert cached(compiled("kfp")) == everything - {"CsvExampleGen", "LastPushedModel"}
    assert cached(compiled("kfp", "--cache-examples")) == everything - {"LastPushedModel"}
    assert cached(compiled("kfp", "--no-cache")) == set()
    assert "CsvExampleGen" in cached(compiled("vertex"))


@pytest.mark.parametrize("target", ["kfp", "vertex"])
def test_resources_and_retries(compiled, target):
    path = compiled(
        target,
        "--resources=Trainer:cpu=4,memory=16G,accelerator=nvidia.com/gpu:2",
        "--resources=CsvExampleGen:memory=8Gi",
        "--retries=3",
    )
    resources = {name: found["resources"] for name, found in containers(path).items()
                 if "resources" in found}  # fmt: skip
    assert resources == {
        "Trainer": {
            "cpuLimit": 4.0,
            "memoryLimit": 16.0,
            "accelerator": {"type": "nvidia.com/gpu", "count": "2"},
        },
        "CsvExampleGen": {"memoryLimit": pytest.approx(8 * 2**30 / 1e9)},
    }
    retried = {
        name: task["retryPolicy"]["maxRetryCount"]
        for name, task in spec(path)["root"]["dag"]["tasks"].items()
        if "retryPolicy" in task
    }
    assert retried == {"Transform": 3, "Trainer": 3}
    json_format.ParseDict(spec(path), pb.PipelineSpec())
    json_format.ParseDict(spec(path)["deploymentSpec"], pb.PipelineDeploymentConfig())


def test_a_volume_is_mounted_into_every_step(compiled):
    arguments = ["--volume=models=/mnt/models/", "--push-destination=/mnt/models/taxi"]
    path = compiled("kfp", *arguments, "--checkpoint-root=/mnt/models/checkpoints")
    _, platform = documents(path)
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert executors == {
        f"{name}_executor": {"pvcMount": [{"constant": "models", "mountPath": "/mnt/models"}]}
        for name in COMMON | BASELINE["kfp"]
    }
    loaded = components.load_component_from_file(str(path))
    assert set(loaded.platform_spec.platforms) == {"kubernetes"}


def test_steps_of_a_distributed_beam_runner_open_gcs_themselves(compiled):
    path = compiled(
        "kfp",
        "--pipeline-root=gs://bucket/root",
        "--beam-runner=DataflowRunner",
        "--beam-arg=--project=mine",
    )
    for container in containers(path).values():
        assert container["command"][-1] == "--keep_gcs"
        assert container["args"][-2:] == ["--runner=DataflowRunner", "--project=mine"]


# What open-source Kubeflow accepts.

KFP_OPTIONS = [
    [],
    ["--no-cache", "--retries=1"],
    ["--resources=Trainer:cpu=1", "--beam-runner=FlinkRunner", "--pipeline-root=gs://b"],
    ["--volume=models=/mnt/models", "--push-destination=/mnt/models/taxi"],
]


@pytest.mark.parametrize("options", KFP_OPTIONS)
def test_it_breaks_no_rule(compiled, options):
    assert broken_rules(documents(compiled("kfp", *options))) == {}


def test_it_breaks_no_rule_with_a_schema_that_is_inferred(compiled, tmp_path):
    config = write_houses(tmp_path)
    path = compiled("kfp", "--config", str(config), "--data=gs://houses")
    assert "SchemaGen" in spec(path)["root"]["dag"]["tasks"]
    assert broken_rules(documents(path)) == {}


@pytest.fixture(scope="module")
def stock():
    """What TFX itself makes of the same DAG, with a Resolver that it can compile."""
    config = load_config(DEFAULT_CONFIG)
    strategy = tfx.dsl.experimental.LatestBlessedModelStrategy
    baseline = tfx.dsl.Resolver(
        strategy_class=strategy,
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    ).with_id("LatestBlessedModel")
    pipeline = create_pipeline(
        pipeline_name="taxi",
        pipeline_root="minio://mlpipeline/v2",
        data_root=RuntimeParameter("data_root", str, default="/data"),
        tasks=config.tasks,
        features=config.features,
        training=config.training,
        push_destination="/pushed",
        baseline=baseline,
    )
    runner = kubeflow_v2_dag_runner.KubeflowV2DagRunner(
        kubeflow_v2_dag_runner.KubeflowV2DagRunnerConfig(default_image="image")
    )
    return runner.run(pipeline, write_out=False)


BROKEN_BY_STOCK_TFX = {
    "the_schema_version_is_2_1_0",
    "executors_are_containers_or_importers",
    "parameters_have_a_type",
    "runtime_parameters_have_defaults",
    "each_parameter_gets_a_value",
    "nothing_depends_on_a_lifecycle_hook",
    "steps_do_not_run_in_tfx_own_entry_point",
}


def test_what_tfx_itself_compiles_breaks_many(stock):
    assert set(broken_rules([stock["pipelineSpec"]])) == BROKEN_BY_STOCK_TFX
    assert "only_a_bare_pipeline_spec_comes_first" in broken_rules([stock])


def add_unknown_field(first, platform):
    first["runtimeConfig"] = {}


def lose_a_component(first, platform):
    del first["components"]["Trainer"]


def name_like_python(first, platform):
    tasks = first["root"]["dag"]["tasks"]
    tasks["last_step"] = tasks.pop("Pusher")


def lose_a_producer(first, platform):
    del first["root"]["dag"]["tasks"]["TrainingParameters"]


def misspell_a_placeholder(first, platform):
    container = first["deploymentSpec"]["executors"]["Trainer_executor"]["container"]
    container["args"].append("{{inputs.parameters.epochs}}")


def lose_a_type(first, platform):
    first["components"]["Trainer"]["outputDefinitions"]["artifacts"]["model"]["artifactType"] = {}


def lose_a_path(first, platform):
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    del executors["Trainer_executor"]["pvcMount"][0]["mountPath"]


DOCTORED = {
    "only_a_bare_pipeline_spec_comes_first": add_unknown_field,
    "each_task_has_a_component_and_that_an_executor": lose_a_component,
    "names_of_tasks_are_fit_for_argo": name_like_python,
    "producers_exist": lose_a_producer,
    "placeholders_are_known": misspell_a_placeholder,
    "outputs_have_a_type_with_a_title": lose_a_type,
    "a_second_document_is_a_platform_spec": lose_a_path,
}


@pytest.mark.parametrize("rule", DOCTORED)
def test_a_doctored_one_breaks_the_rule(compiled, rule):
    doctored = copy.deepcopy(documents(compiled("kfp", *KFP_OPTIONS[-1])))
    assert rule not in broken_rules(doctored)
    DOCTORED[rule](*doctored)
    assert rule in broken_rules(doctored)


def test_each_rule_has_been_seen_to_bite():
    assert {rule.__name__ for rule in RULES} == BROKEN_BY_STOCK_TFX | set(DOCTORED)
