"""The compiled pipelines' pods: what each step gets of resources, volumes, variables and nodes."""

import pytest
from google.protobuf import json_format
from kfp import components
from kfp.pipeline_spec import pipeline_spec_pb2 as pb

from kfp_rules import broken_rules
from kubeflow_runs import BASELINE, COMMON, containers, documents, spec
from pcgrad_pipelines.kubeflow.runner import FAILED, main
from pcgrad_tfx.training.distribution import ACCELERATOR_VARIABLE


def resources(path):
    return {
        name: found["resources"] for name, found in containers(path).items() if "resources" in found
    }


@pytest.mark.parametrize("target", ["kfp", "vertex"])
def test_resources(compiled, target):
    options = ["--requests=none"] if target == "kfp" else []
    path = compiled(
        target,
        "--resources=Trainer:cpu=4,memory=16G,accelerator=nvidia.com/gpu:2",
        "--resources=CsvExampleGen:memory=8Gi",
        *options,
    )
    assert resources(path) == {
        "Trainer": {
            "cpuLimit": 4.0,
            "memoryLimit": 16.0,
            "accelerator": {"type": "nvidia.com/gpu", "count": "2"},
        },
        "CsvExampleGen": {"memoryLimit": pytest.approx(8 * 2**30 / 1e9)},
    }
    told = {name: found["env"] for name, found in containers(path).items() if "env" in found}
    assert told == {"Trainer": [{"name": ACCELERATOR_VARIABLE, "value": "nvidia.com/gpu"}]}
    parses(path)


def test_every_step_requests_what_it_needs(compiled):
    by_default = {"cpuRequest": 1.0, "memoryRequest": 2.0}
    assert resources(compiled("kfp")) == dict.fromkeys(COMMON | BASELINE["kfp"], by_default)
    # Google's machines are of the size that a limit asks for.
    assert resources(compiled("vertex")) == {}
    path = compiled(
        "kfp",
        "--resources=Trainer:cpu=4,memory=16G",
        "--resources=Transform:memory=1G",
        "--requests=memory=3G",
        "--requests=Trainer:cpu=2",
        "--requests=Pusher:none",
    )
    found = resources(path)
    # Kubernetes takes a limit for what is requested unless the step has a request of its own.
    assert found.pop("Trainer") == {"cpuLimit": 4.0, "memoryLimit": 16.0, "cpuRequest": 2.0}
    assert found.pop("Transform") == {"memoryLimit": 1.0}
    assert "Pusher" not in found
    assert set(found) == (COMMON | BASELINE["kfp"]) - {"Trainer", "Transform", "Pusher"}
    assert all(one == {"memoryRequest": 3.0} for one in found.values())
    assert broken_rules(documents(path)) == {}
    parses(path)


def parses(path):
    json_format.ParseDict(spec(path), pb.PipelineSpec())
    json_format.ParseDict(spec(path)["deploymentSpec"], pb.PipelineDeploymentConfig())


@pytest.mark.parametrize("target", ["kfp", "vertex"])
def test_retries(compiled, target):
    path = compiled(target, "--retries=2", "--retries=Trainer:3", "--retries=ValidationGate:0")
    retried = {
        name: task["retryPolicy"]
        for name, task in spec(path)["root"]["dag"]["tasks"].items()
        if "retryPolicy" in task
    }
    assert set(retried) == set(containers(path)) - {"ValidationGate"}
    for name, policy in retried.items():
        assert policy["maxRetryCount"] == (3 if name == "Trainer" else 2)
        # Argo counts from the first start, so a long training must fit in.
        days = 30 if target == "kfp" else 1 / 24
        assert policy["backoffMaxDuration"] == f"{days * 24 * 3600:.0f}s"
    parses(path)


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


def test_pods(compiled):
    path = compiled(
        "kfp",
        "--volume=models=/mnt/models",
        "--image-pull-policy=Always",
        "--image-pull-secret=registry",
        "--secret-env=TOKEN=tracking:token",
        "--node-selector=pool=ml",
        "--node-selector=Trainer:cloud.example.com/gpu=a100",
        "--toleration=Trainer:nvidia.com/gpu:NoSchedule",
        "--toleration=Trainer:pool=ml:NoExecute",
        "--secret-volume=keys=/mnt/keys",
        "--node-affinity=zone in (a,b)",
        "--node-affinity=Trainer:!spot,cpu=amd@50",
        "--node-affinity=Trainer:gpu@100",
        "--timeout=90m",
        "--timeout=Trainer:2d",
        "--label=team=taxi",
        "--annotation=example.com/owner=me = I",
    )
    _, platform = documents(path)
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    of_all = {
        "pvcMount": [{"constant": "models", "mountPath": "/mnt/models"}],
        "imagePullPolicy": "Always",
        "imagePullSecret": [{"secretName": "registry"}],
        "secretAsEnv": [
            {"secretName": "tracking", "keyToEnv": [{"secretKey": "token", "envVar": "TOKEN"}]}
        ],
        "nodeSelector": {"labels": {"pool": "ml"}},
        "secretAsVolume": [{"secretName": "keys", "mountPath": "/mnt/keys"}],
        "nodeAffinity": [
            {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]}
        ],
        "activeDeadlineSeconds": "5400",
        "podMetadata": {
            "labels": {"team": "taxi"},
            "annotations": {"example.com/owner": "me = I"},
        },
    }
    of_trainer = {
        # Of its own: beside that of all it would be an alternative.
        "nodeAffinity": [
            {
                "matchExpressions": [
                    {"key": "spot", "operator": "DoesNotExist"},
                    {"key": "cpu", "operator": "In", "values": ["amd"]},
                ],
                "weight": 50,
            },
            {"matchExpressions": [{"key": "gpu", "operator": "Exists"}], "weight": 100},
        ],
        "activeDeadlineSeconds": "172800",
        "nodeSelector": {"labels": {"pool": "ml", "cloud.example.com/gpu": "a100"}},
        "tolerations": [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "pool", "operator": "Equal", "value": "ml", "effect": "NoExecute"},
        ],
    }
    assert executors.pop("Trainer_executor") == of_all | of_trainer
    others = (COMMON | BASELINE["kfp"]) - {"Trainer"}
    assert set(executors) == {f"{name}_executor" for name in others}
    assert all(config == of_all for config in executors.values())
    assert broken_rules(documents(path)) == {}


@pytest.mark.parametrize("own_first", [True, False])
def test_of_one_label_of_nodes_a_steps_own_value_counts(compiled, own_first):
    options = ["--node-selector=Trainer:pool=gpu", "--node-selector=pool=cpu"]
    _, platform = documents(compiled("kfp", *(options if own_first else reversed(options))))
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    pools = {name: pod["nodeSelector"]["labels"]["pool"] for name, pod in executors.items()}
    assert pools.pop("Trainer_executor") == "gpu"
    assert set(pools.values()) == {"cpu"}


def test_pods_of_a_component_that_there_is_not(tmp_path, capsys):
    options = ["--target=kfp", "--image=i", f"--output={tmp_path / 'taxi.yaml'}"]
    places = ["--pipeline-root=minio://b", "--push-destination=gs://p"]
    assert main([*options, *places, "--node-selector=Trainr:a=b"]) == FAILED
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("--node-selector: no component 'Trainr'; did you mean \"Trainer\"?")


@pytest.mark.parametrize("target", ["kfp", "vertex"])
def test_environment_variables_reach_every_step(compiled, target):
    found = containers(
        compiled(target, "--env=A=1=2", "--env=B=", "--resources=Trainer:accelerator=g:1")
    )
    for name, container in found.items():
        told = [{"name": "A", "value": "1=2"}, {"name": "B", "value": ""}]
        if name == "Trainer":
            told.insert(0, {"name": ACCELERATOR_VARIABLE, "value": "g"})
        assert container["env"] == told
