"""The Kubeflow runner's command line: what a person is told."""

import re
import shlex
import shutil
import subprocess
import sys

import pytest

from kubeflow_runs import write_houses
from pcgrad_pipelines.command import main as tfx_pcgrad
from pcgrad_pipelines.data_settings import Data
from pcgrad_pipelines.kubeflow.options import data_location
from pcgrad_pipelines.kubeflow.runner import DEFAULT_CONFIG, DONE, FAILED, main

RUNNER = DEFAULT_CONFIG.parents[1] / "kubeflow_runner.py"
DOCS = RUNNER.parents[1] / "docs" / "kubeflow.md"
KFP = ["--target=kfp", "--image=i", "--pipeline-root=minio://b", "--push-destination=gs://p"]
VERTEX = ["--target=vertex", "--image=i", "--pipeline-root=gs://b"]


def run_in_process(arguments, before="", after=""):
    """Runs the script in a process of its own, with statements before and after."""
    program = (
        f"import runpy, sys\n{before}\n"
        f"sys.argv = ['kubeflow_runner.py', *{arguments!r}]\n"
        f"try:\n    runpy.run_path({str(RUNNER)!r}, run_name='__main__')\n"
        f"finally:\n    {after or 'pass'}\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=False
    )


def test_help_is_instant_and_tells_the_exit_codes():
    modules = "tensorflow", "tfx", "kfp", "apache_beam"
    process = run_in_process(["--help"], after=f"print([m for m in {modules} if m in sys.modules])")
    assert process.returncode == DONE
    assert "exit codes:" in process.stdout
    assert process.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [
        ("tfx", KFP, "tfx"),
        ("kfp", KFP, "kfp"),
        ("kfp", VERTEX, "kfp"),
        ("kfp.client", [*KFP, "--submit", "--host=h"], "kfp"),
    ],
)
def test_a_missing_extra_is_named(module, arguments, extra):
    process = run_in_process(arguments, before=f"sys.modules[{module!r}] = None")
    assert process.returncode == FAILED
    (line,) = process.stdout.splitlines()
    assert line.endswith(f"is not installed; try: pip install 'tfx-pcgrad[{extra}]'")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--target=kfp"], "--image is missing; add it"),
        (["--target=kfp", "--image=i"], "--pipeline-root is missing; add it"),
        ([*KFP, "--submit"], "--host is missing; it says where to submit"),
        ([*VERTEX, "--submit", "--project=p"], "--region is missing; it says where to submit"),
        ([*KFP, "--host=h"], "--host is for --submit; add that, or remove it"),
        ([*KFP, "--parameter=epochs=3"], "--parameter is for --submit; add that, or remove it"),
        ([*KFP, "--compiled=taxi.yaml"], "--compiled is for --submit; add that, or remove it"),
        (
            ["--target=kfp", "--submit", "--host=h", "--compiled=taxi.yaml", "--seed=1"],
            "--seed is for compiling; remove it, or --compiled",
        ),
        ([*KFP, "--region=r"], "--region is for --target vertex; remove it"),
        ([*VERTEX, "--volume=v=/a"], "--volume is for --target kfp; remove it"),
        ([*VERTEX, "--cache-examples"], "--cache-examples is for --target kfp; remove it"),
        (
            [*VERTEX, "--pipeline-root=minio://b"],
            "--pipeline-root: 'minio://b' does not begin with gs://",
        ),
        ([*KFP, "--pipeline-root=/data"], "does not begin with minio:// or s3:// or gs://"),
        (
            [*KFP, "--beam-runner=flink", "--flink-master=f:1", "--beam-image=i"],
            "workers of that --beam-runner cannot open minio://b",
        ),
        ([*KFP, "--beam-runner=DaskRunner"], "DaskRunner loses data silently"),
        (KFP[:-1], "--push-destination is missing; give gs://…, or a path on a --volume"),
        ([*KFP, "--push-destination=s3://m"], "TensorFlow cannot open s3://m; give gs://…"),
        ([*KFP, "--push-destination=/m"], "'/m' is on no volume and is lost with the pod"),
        ([*KFP, "--volume=v=/mnt", "--push-destination=/mnt2/m"], "'/mnt2/m' is on no volume"),
        ([*KFP, "--checkpoint-root=ckpt"], "--checkpoint-root: 'ckpt' is on no volume"),
        ([*KFP, "--data=data.csv"], "--data: 'data.csv' is no absolute path; give --data gs://…"),
        ([*KFP, "--data=gs://b/trips.tfrecord.gz"], "or a folder of .csv files"),
        ([*KFP, "--data=minio://b/d"], "--data: TensorFlow cannot open minio://b/d"),
        ([*KFP, "--volume=v"], "--volume: 'v' is not of the form NAME=/path"),
        ([*KFP, "--volume=V_1=/mnt"], "--volume: 'V_1=/mnt' is not of the form NAME=/path"),
        ([*KFP, "--volume=v=/"], "--volume: 'v=/' is not of the form NAME=/path"),
        ([*KFP, "--volume=v=/s3/x"], "--volume: v=/s3/x: Kubeflow itself mounts there"),
        ([*KFP, "--volume=v=/a", "--volume=v=/b"], "--volume: v is given twice"),
        ([*KFP, "--volume=v=/a", "--secret-volume=v=/b"], "the volume v is there twice"),
        ([*KFP, "--volume=v=/a", "--secret-volume=w=/a"], "the path /a is there twice"),
        ([*KFP, "--secret-volume=ca-bundle=/a"], "Kubeflow itself has a volume ca-bundle"),
        ([*KFP, "--env=A=1", "--secret-env=A=b:c"], "the environment variable A is there twice"),
        (
            [*KFP, "--resources=Trainer"],
            "--resources: 'Trainer' is not of the form COMPONENT:cpu=4",
        ),
        (
            [*KFP, "--resources=Trainer:ram=4G"],
            "unknown 'ram'; there are: cpu, memory, accelerator",
        ),
        ([*KFP, "--resources=Trainer:cpu=0"], "cpu '0' is not a number above 0"),
        ([*KFP, "--resources=Trainer:memory=16"], "memory '16' is not a number with a unit (M, G"),
        ([*KFP, "--resources=T:accelerator=gpu"], "T:accelerator=gpu: 'gpu' is not TYPE:COUNT"),
        ([*KFP, "--env=1=a"], "--env: '1=a' is not of the form NAME=VALUE"),
        ([*KFP, "--env=A=1", "--env=A=2"], "--env: A is given twice"),
        ([*KFP, "--secret-env=A=b"], "--secret-env: 'A=b' is not of the form NAME=SECRET:KEY"),
        ([*KFP, "--node-selector=Trainer:gpu"], "--node-selector: 'Trainer:gpu' is not of the"),
        ([*KFP, "--node-selector=T:a=b", "--node-selector=T:a=c"], "T:a is given twice"),
        ([*KFP, "--toleration=gpu:Sometimes"], "--toleration: 'gpu:Sometimes' is not of the form"),
        (
            [*VERTEX, "--toleration=gpu:NoExecute"],
            "--toleration is for --target kfp; remove it",
        ),
        ([*KFP, "--retries=-1"], "--retries: -1 is below 0"),
        ([*KFP, "--retries=often"], "--retries: 'often' is not a whole number"),
        ([*KFP, "--retries=1", "--retries=2"], "--retries: all steps is given twice"),
        ([*KFP, "--timeout=Trainer:8"], "--timeout: 'Trainer:8' is not a whole number above 0"),
        ([*KFP, "--timeout=0m"], "--timeout: '0m' is not a whole number above 0 with a unit"),
        ([*KFP, "--requests=cpus=1"], "--requests: cpus=1: unknown 'cpus'; did you mean"),
        ([*KFP, "--node-affinity=zone in a"], "'zone in a' is not a label selector, as "),
        ([*KFP, "--node-affinity=a=b,"], "--node-affinity: 'a=b,' is not a label selector"),
        ([*KFP, "--node-affinity=a@101"], "the weight '101' is not a whole number from 1 to 100"),
        ([*KFP, "--label=team=a b"], "--label: team=a b: a label's value has 63 letters"),
        ([*KFP, "--annotation=a"], "--annotation: 'a' is not of the form KEY=VALUE"),
        ([*KFP, "--annotation=a={{b}}"], "Argo would take {{ for its own; remove it"),
        ([*KFP, "--image-pull-policy=Often"], '--image-pull-policy: "Often" is not one of Always,'),
        ([*KFP, "--epochs=0"], "epochs: 0 should be greater than or equal to 1"),
        ([*KFP, "--learning-rate=nan"], "learning_rate"),
        ([*KFP, "--config=nowhere.toml"], "nowhere.toml: No such file"),
        (
            ["--target=kfp", "--submit", "--host=h", "--compiled=nowhere.yaml"],
            "nowhere.yaml: No such file or directory; name a compiled pipeline",
        ),
        (
            ["--target=kfp", "--submit", "--host=h", f"--compiled={DEFAULT_CONFIG}"],
            "no compiled pipeline; name a file that `tfx-pcgrad compile` has",
        ),
    ],
)
def test_wrong_options_get_one_line(arguments, expected, capsys):
    assert main(arguments) == FAILED
    (line,) = capsys.readouterr().out.splitlines()
    assert expected in line


def test_data_of_this_machine_are_out_of_a_pods_reach(tmp_path, capsys):
    config = write_houses(tmp_path)
    assert main([*KFP, f"--config={config}"]) == FAILED
    (line,) = capsys.readouterr().out.splitlines()
    assert f"{tmp_path / 'houses.csv'} is on this machine, where pods cannot read it" in line


def test_data_of_a_package_within_another_are_in_the_image():
    data = Data(package="importlib.metadata", resource="__init__.py")
    found = data_location(None, data, "kfp")
    assert found == "/opt/site-packages/importlib/metadata/__init__.py"


def test_splits_of_ones_own_are_not_split_anew(tmp_path, capsys):
    config = write_houses(tmp_path)
    for split in ("train", "valid", "test"):
        (tmp_path / "splits" / split).mkdir(parents=True)
        shutil.copy(tmp_path / "houses.csv", tmp_path / "splits" / split)
    config.write_text(config.read_text().replace('"houses.csv"', '"splits"'))
    assert main([*KFP, f"--config={config}", "--data=gs://b/houses"]) == FAILED
    line = capsys.readouterr().out.splitlines()[-1]
    assert f"{tmp_path / 'splits'}: has splits of its own (train, eval, test)" in line


def test_a_name_that_kubernetes_does_not_take_is_refused(tmp_path, capsys):
    config = write_houses(tmp_path)
    config.write_text(config.read_text().replace('"houses"', '"My_Houses"'))
    assert main([*KFP, f"--config={config}"]) == FAILED
    (line,) = capsys.readouterr().out.splitlines()
    assert "name: 'My_Houses': on Kubeflow it is made of lower-case letters" in line


def test_resources_for_no_component_are_refused(tmp_path, capsys):
    output = tmp_path / "taxi.yaml"
    assert main([*KFP, f"--output={output}", "--resources=Trainr:cpu=1"]) == FAILED
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == "--resources: no component 'Trainr'; did you mean \"Trainer\"?"
    assert not output.exists()


def documented(language):
    return re.findall(rf"^```{language}\n(.*?)^```", DOCS.read_text(), re.M | re.S)


def documented_commands():
    lines = "".join(documented("bash")).replace("\\\n", "").splitlines()
    commands = [shlex.split(line) for line in lines]
    assert all(command[0] == "tfx-pcgrad" for command in commands)
    return [command[1:] for command in commands]


def test_the_documented_commands_compile(tmp_path):
    compiled = [command for command in documented_commands() if command[0] == "compile"]
    assert len(compiled) >= 4
    for number, command in enumerate(compiled):
        assert tfx_pcgrad([*command, f"--output={tmp_path / str(number)}"]) == DONE


def test_the_documented_code_runs():
    (text,) = documented("python")
    namespace = {}
    exec(compile(text, str(DOCS), "exec"), namespace)
    assert namespace["config"].default_commands[-1] == "pcgrad_tfx.kubeflow.entrypoint"
