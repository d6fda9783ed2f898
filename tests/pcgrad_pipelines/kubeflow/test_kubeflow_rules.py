"""What open-source Kubeflow accepts: the compiled pipelines are linted."""

import copy

import pytest
from tfx import v1 as tfx
from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner
from tfx.v1.dsl.experimental import RuntimeParameter

from kfp_rules import RULES, broken_rules
from kubeflow_runs import documents, spec, write_houses
from pcgrad_pipelines.config import load_config
from pcgrad_pipelines.kubeflow.runner import DEFAULT_CONFIG
from pcgrad_pipelines.pipeline import RunSettings, create_pipeline
from pcgrad_tfx.data.files import DataFiles

KFP_OPTIONS = [
    [],
    ["--no-cache", "--retries=1"],
    [
        "--resources=Trainer:cpu=1",
        "--pipeline-root=gs://b",
        "--beam-runner=flink",
        "--flink-master=flink:8081",
        "--beam-image=worker:1",
    ],
    [
        "--volume=models=/mnt/models",
        "--push-destination=/mnt/models/taxi",
        "--secret-volume=tracking=/mnt/secrets",
        "--resources=Trainer:cpu=2,memory=4G",
        "--requests=Trainer:cpu=1",
        "--retries=2",
        "--timeout=8h",
        "--node-affinity=zone in (a,b),!spot@50",
        "--label=team=taxi",
        "--annotation=example.com/owner=me",
    ],
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
    settings = RunSettings(
        pipeline_root="minio://mlpipeline/v2",
        push_destination="/pushed",
        data_root=RuntimeParameter("data_root", str, default="/data"),
        baseline=baseline,
    )
    config = config.model_copy(update={"schema_text": None, "comparison": None})
    pipeline = create_pipeline(config, DataFiles("/data", {"all": "*.csv"}, "csv"), settings)
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


def pods(platform):
    return platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def lose_a_path(first, platform):
    del pods(platform)["Trainer_executor"]["pvcMount"][0]["mountPath"]


def attract_other_pods(first, platform):
    pods(platform)["Trainer_executor"]["podAffinity"] = [{"topologyKey": "zone"}]


def name_a_secret_like_a_claim(first, platform):
    pods(platform)["Trainer_executor"]["secretAsVolume"][0]["secretName"] = "models"


def prefer_too_much(first, platform):
    pods(platform)["Trainer_executor"]["nodeAffinity"][0]["weight"] = 101


def request_too_much(first, platform):
    container = first["deploymentSpec"]["executors"]["Trainer_executor"]["container"]
    container["resources"]["cpuRequest"] = 3.0


def retry_never(first, platform):
    del first["root"]["dag"]["tasks"]["Trainer"]["retryPolicy"]["backoffMaxDuration"]


DOCTORED = {
    "only_a_bare_pipeline_spec_comes_first": add_unknown_field,
    "each_task_has_a_component_and_that_an_executor": lose_a_component,
    "names_of_tasks_are_fit_for_argo": name_like_python,
    "producers_exist": lose_a_producer,
    "placeholders_are_known": misspell_a_placeholder,
    "outputs_have_a_type_with_a_title": lose_a_type,
    "a_second_document_is_a_platform_spec": lose_a_path,
    "platform_fields_are_known_to_all_servers": attract_other_pods,
    "volumes_have_names_and_paths_of_their_own": name_a_secret_like_a_claim,
    "affinities_are_of_the_form_of_kubernetes": prefer_too_much,
    "requests_are_not_above_limits": request_too_much,
    "retries_have_an_end_after_the_step": retry_never,
}


@pytest.mark.parametrize("rule", DOCTORED)
def test_a_doctored_one_breaks_the_rule(compiled, rule):
    doctored = copy.deepcopy(documents(compiled("kfp", *KFP_OPTIONS[-1])))
    assert rule not in broken_rules(doctored)
    DOCTORED[rule](*doctored)
    assert rule in broken_rules(doctored)


def test_each_rule_has_been_seen_to_bite():
    assert {rule.__name__ for rule in RULES} == BROKEN_BY_STOCK_TFX | set(DOCTORED)
