"""The table `[kubeflow]` and the options of the same names: one definition, and options win."""

import argparse
import pathlib
import re

import pytest

from kfp_rules import broken_rules
from kubeflow_runs import compile_for, documents, write_houses
from pcgrad_pipelines.command import build_parser
from pcgrad_pipelines.config import ConfigError, load_config
from pcgrad_pipelines.kubeflow.forms import Mount, Requests, Resources, Retries, Timeout
from pcgrad_pipelines.kubeflow.placement import NodeAffinity, Requirement
from pcgrad_pipelines.kubeflow.runner import DONE, FAILED, main
from pcgrad_pipelines.kubeflow.settings import KubeflowSettings

TABLE = """
[kubeflow]
image = "registry/tfx-pcgrad:1"
pipeline_root = "minio://mlpipeline/v2"
data = "gs://houses"
push_destination = "/mnt/models/houses"
checkpoint_root = "/mnt/models/checkpoints"
volume = { models = "/mnt/models" }
secret_volume = "tracking=/mnt/secrets"
env = { A = "1", B = "2" }
secret_env = { TOKEN = "tracking:token" }
resources = { Trainer = "cpu=4,memory=16G" }
requests = "cpu=0.5,memory=1G"
retries = { Trainer = 3, Transform = 1 }
timeout = ["8h", "Trainer:2d"]
node_selector = { pool = "ml" }
node_affinity = "Trainer:zone in (a,b)@50"
toleration = ["Trainer:nvidia.com/gpu:NoSchedule"]
label = { team = "houses" }
annotation = { "example.com/owner" = "me" }
image_pull_policy = "Always"
image_pull_secret = ["registry"]
cache = false
cache_examples = true
"""
# The same on the command line.
OPTIONS = [
    "--image=registry/tfx-pcgrad:1",
    "--pipeline-root=minio://mlpipeline/v2",
    "--data=gs://houses",
    "--push-destination=/mnt/models/houses",
    "--checkpoint-root=/mnt/models/checkpoints",
    "--volume=models=/mnt/models",
    "--secret-volume=tracking=/mnt/secrets",
    "--env=A=1",
    "--env=B=2",
    "--secret-env=TOKEN=tracking:token",
    "--resources=Trainer:cpu=4,memory=16G",
    "--requests=cpu=0.5,memory=1G",
    "--retries=Trainer:3",
    "--retries=Transform:1",
    "--timeout=8h",
    "--timeout=Trainer:2d",
    "--node-selector=pool=ml",
    "--node-affinity=Trainer:zone in (a,b)@50",
    "--toleration=Trainer:nvidia.com/gpu:NoSchedule",
    "--label=team=houses",
    "--annotation=example.com/owner=me",
    "--image-pull-policy=Always",
    "--image-pull-secret=registry",
    "--no-cache",
    "--cache-examples",
]


@pytest.fixture
def houses(tmp_path):
    """Writes a configuration with a table `[kubeflow]`."""

    def write(table):
        config = write_houses(tmp_path)
        config.write_text(config.read_text() + table)
        return config

    return write


def test_the_table_and_the_options_compile_to_the_same(houses, tmp_path):
    bare, by_options = houses(""), tmp_path / "options.yaml"
    assert main(["--target=kfp", f"--config={bare}", *OPTIONS, f"--output={by_options}"]) == DONE
    config, by_table = houses(TABLE), tmp_path / "table.yaml"
    assert set(load_config(config).kubeflow.model_fields_set) == set(KubeflowSettings.model_fields)
    assert main(["--target=kfp", f"--config={config}", f"--output={by_table}"]) == DONE
    assert documents(by_table) == documents(by_options)


def test_the_documented_table_compiles(houses, tmp_path):
    page = pathlib.Path(__file__).parents[3] / "docs" / "kubeflow.md"
    (table,) = re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.M | re.S)
    config = houses(f"\n{table}")
    path = tmp_path / "houses.yaml"
    arguments = ["--target=kfp", "--data=gs://houses", f"--output={path}"]
    assert main([*arguments, f"--config={config}"]) == DONE
    assert broken_rules(documents(path)) == {}


def test_an_option_takes_the_place_of_what_the_table_says(houses, tmp_path):
    config = houses(TABLE)
    path = compile_for(
        "kfp", tmp_path / "houses.yaml", f"--config={config}", "--env=A=3", "--cache", "--retries=0"
    )
    spec, _ = documents(path)
    container = spec["deploymentSpec"]["executors"]["Trainer_executor"]["container"]
    assert container["env"] == [{"name": "A", "value": "3"}]
    tasks = spec["root"]["dag"]["tasks"]
    assert not any("retryPolicy" in task for task in tasks.values())
    assert "cachingOptions" in tasks["CsvExampleGen"]


def test_every_key_is_an_option():
    parser = build_parser()
    compile_command = next(
        action for action in parser._actions if isinstance(action, argparse._SubParsersAction)
    ).choices["compile"]
    known = {action.dest for action in compile_command._actions}
    assert set(KubeflowSettings.model_fields) <= known


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("volumes = []", 'kubeflow.volumes: unknown key; did you mean "volume"?'),
        ("image = 1", "kubeflow.image: 1 is not a text in quotes (the container image; see"),
        ("volume = ['v']", "kubeflow.volume: 'v' is not of the form NAME=/path"),
        ("env = { A = 1.5 }", "kubeflow.env: 1.5 is not a text in quotes"),
        ("retries = -1", "kubeflow.retries: -1 is below 0; give 0 or more"),
        ("cache = 'no'", 'kubeflow.cache: "no" should be a valid boolean'),
        ("image_pull_policy = 'Often'", 'kubeflow.image_pull_policy: "Often" is not one of Always'),
        (
            "env = { A = '1' }\nsecret_env = { A = 'b:c' }",
            "kubeflow: the environment variable A is there twice; leave one out",
        ),
    ],
)
def test_a_wrong_table_gets_one_line(houses, table, expected):
    config = houses(f"[kubeflow]\n{table}\n")
    with pytest.raises(ConfigError) as raised:
        load_config(config)
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"{config}: {expected}")


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (
            "retries = { Trainr = 1 }",
            "kubeflow.retries: no component 'Trainr'; did you mean \"Trainer\"?",
        ),
        (
            'resources = { Trainer = "memory=1G" }\nrequests = { Trainer = "memory=2G" }',
            (
                "kubeflow.requests: Trainer requests more memory than kubeflow.resources lets it "
                "use; lower it"
            ),
        ),
        (
            # A Secret cannot be written to, and what is beside it is lost.
            'secret_volume = { gcp = "/secrets" }\ncheckpoint_root = "/secrets/checkpoints"',
            (
                "kubeflow.checkpoint_root: '/secrets/checkpoints' is on no volume and is lost with "
                "the pod; give gs://…, or a path on a --volume"
            ),
        ),
    ],
)
def test_what_does_not_fit_the_pipeline_gets_one_line(houses, tmp_path, table, expected, capsys):
    config, output = houses(f"[kubeflow]\n{table}\n"), tmp_path / "houses.yaml"
    arguments = ["--target=kfp", "--image=i", "--pipeline-root=minio://b", "--data=gs://houses"]
    places = ["--push-destination=gs://p", f"--output={output}"]
    assert main([*arguments, *places, f"--config={config}"]) == FAILED
    assert capsys.readouterr().out.splitlines()[-1] == expected
    assert not output.exists()


def test_keys_for_kubeflow_alone_are_refused_on_vertex_ai(houses, capsys):
    config = houses(TABLE.replace("minio://mlpipeline/v2", "gs://b"))
    assert main(["--target=vertex", f"--config={config}"]) == FAILED
    (line,) = capsys.readouterr().out.splitlines()
    assert line == "kubeflow.annotation is for --target kfp; remove it"


def test_the_forms_of_texts():
    settings = KubeflowSettings.model_validate(
        {
            "resources": ["Trainer:cpu=0.5,accelerator=nvidia.com/gpu:2", "Transform:memory=1.5Gi"],
            "requests": ["none", "Trainer:cpu=2"],
            "retries": [1, "Trainer:0"],
            "timeout": ["90s", "Trainer:2d"],
            "volume": ["a=/mnt/a/", "b-2=/b"],
        }
    )
    assert settings.resources == (
        Resources("Trainer", cpu=0.5, accelerator="nvidia.com/gpu", accelerators=2),
        Resources("Transform", memory=pytest.approx(1.610612736)),
    )
    assert settings.requests == (Requests(None), Requests("Trainer", cpu=2.0))
    assert settings.retries == (Retries(None, 1), Retries("Trainer", 0))
    assert settings.timeout == (Timeout(None, 90), Timeout("Trainer", 172_800))
    assert settings.volume == (Mount("a", "/mnt/a"), Mount("b-2", "/b"))


@pytest.mark.parametrize(
    ("text", "requirements", "weight"),
    [
        ("a=b", [("a", "In", ("b",))], None),
        ("a != b@1", [("a", "NotIn", ("b",))], 1),
        (
            "example.com/a in (b, c), d",
            [("example.com/a", "In", ("b", "c")), ("d", "Exists")],
            None,
        ),
        ("a notin (b),!c@100", [("a", "NotIn", ("b",)), ("c", "DoesNotExist")], 100),
    ],
)
def test_a_selector_is_read_as_kubectl_reads_it(text, requirements, weight):
    expected = tuple(Requirement(*one) for one in requirements)
    assert NodeAffinity.read(text) == NodeAffinity(None, expected, weight)
    assert NodeAffinity.read(f"Trainer:{text}") == NodeAffinity("Trainer", expected, weight)


@pytest.mark.parametrize(
    "text", ["", ",", "a=", "a in ()", "a in (b", "a b", "!a=b", "a=b c", "a=,b"]
)
def test_no_selector(text):
    with pytest.raises(ValueError, match="is not a label selector"):
        NodeAffinity.read(text)
