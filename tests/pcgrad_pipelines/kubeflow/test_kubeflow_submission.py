"""`tfx-pcgrad submit`: what a server is sent, and what a person is told."""

import json
import socket

import pytest

from kfp_api import KfpApi
from kubeflow_runs import compile_for
from pcgrad_pipelines.command import main as tfx_pcgrad
from pcgrad_pipelines.kubeflow.runner import CANCELED, DONE, FAILED, LOST, main
from pcgrad_pipelines.kubeflow.submit import (
    SubmitError,
    check_cron,
    parse_parameters,
    push_destination,
    read_spec,
)


@pytest.fixture(scope="module")
def taxi(tmp_path_factory):
    """The compiled taxi pipeline."""
    return compile_for("kfp", tmp_path_factory.mktemp("taxi") / "taxi.yaml")


def submit(compiled, host, *arguments):
    return tfx_pcgrad(["submit", str(compiled), "--target=kfp", f"--host={host}", *arguments])


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A running server."""
    monkeypatch.setenv("HOME", str(tmp_path))  # kfp keeps its context there.
    monkeypatch.delenv("KFP_TOKEN", raising=False)
    with KfpApi() as running:
        yield running


def test_a_run_is_started_with_its_parameters(taxi, server, capsys):
    given = ["epochs=3", "surgery=none", "learning_rate=1e-2", "push_destination=/mnt/models/a=b"]
    assert submit(taxi, server.host, *(f"--parameter={item}" for item in given)) == DONE
    assert capsys.readouterr().out.splitlines()[-1].endswith(" r1")
    (run,) = server.runs
    assert run["runtime_config"] == {
        "parameters": {
            "epochs": 3,
            "surgery": "none",
            "learning_rate": 0.01,
            "push_destination": '{"filesystem": {"base_directory": "/mnt/models/a=b"}}',
        },
        "pipeline_root": "minio://mlpipeline/v2",
    }
    assert run["pipeline_spec"]["schemaVersion"] == "2.1.0"
    assert run["pipeline_spec"]["pipelineInfo"] == {"name": "taxi"}


def test_a_push_destination_is_a_folder_or_the_json_of_one(taxi):
    spec = read_spec(taxi)
    wanted = push_destination("gs://b/models")
    for given in ("gs://b/models", wanted, f" {wanted}"):
        found = parse_parameters([f"push_destination={given}"], spec)
        assert json.loads(found["push_destination"]) == json.loads(wanted)


def test_volumes_are_sent_along(tmp_path, server):
    options = ["--volume=models=/mnt/models", "--push-destination=/mnt/models/taxi"]
    assert submit(compile_for("kfp", tmp_path / "taxi.yaml", *options), server.host) == DONE
    (run,) = server.runs
    executors = run["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]["deploymentSpec"][
        "executors"
    ]
    mount = {"constant": "models", "mountPath": "/mnt/models"}
    assert executors["Pusher_executor"] == {"pvcMount": [mount]}


def test_a_server_that_refuses_gets_one_line(taxi, server, capsys):
    server.error = {"error": "pipeline spec is invalid"}, 400
    assert submit(taxi, server.host) == FAILED
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == f'{server.host} refuses: 400 {{"error": "pipeline spec is invalid"}}'


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        ((b"<html>Please log in</html>", 200), "is there a login in front of it?"),
        (
            ({}, 403),
            "answers 403 Forbidden; does it want a token (--token-file, KFP_TOKEN)?",
        ),
    ],
)
def test_a_server_that_wants_a_login_gets_one_line(taxi, server, health, expected, capsys):
    server.health = health
    assert submit(taxi, server.host) == FAILED
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith(f"--host: {server.host} ")
    assert line.endswith(expected)
    assert not server.runs


def test_a_server_that_cannot_be_reached_gets_one_line(taxi, capsys):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert submit(taxi, f"http://127.0.0.1:{port}") == FAILED
    line = capsys.readouterr().out.splitlines()[-1]
    assert f"--host: cannot reach http://127.0.0.1:{port}" in line
    assert "Connection refused" in line


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("epochs", "--parameter: 'epochs' is not of the form NAME=VALUE"),
        ("epoch=3", "--parameter: unknown 'epoch'; did you mean \"epochs\"?"),
        ("epochs=3.5", "--parameter: epochs: '3.5' is not a whole number"),
        ("learning_rate=fast", "--parameter: learning_rate: 'fast' is not a number"),
    ],
)
def test_a_wrong_parameter_gets_one_line(taxi, parameter, expected, capsys):
    assert submit(taxi, "http://127.0.0.1:1", f"--parameter={parameter}") == FAILED
    assert capsys.readouterr().out.splitlines() == [expected]


def test_a_run_is_of_an_experiment_and_a_service_account(taxi, server):
    server.multi_user = True
    options = ["--namespace=team", "--experiment=trips", "--service-account=trainer"]
    for name in ("first", "second"):
        assert submit(taxi, server.host, *options, f"--run-name={name}") == DONE
    (experiment,) = server.experiments.values()
    assert (experiment["display_name"], experiment["namespace"]) == ("trips", "team")
    assert [run["display_name"] for run in server.runs] == ["first", "second"]
    for run in server.runs:
        assert run["experiment_id"] == experiment["experiment_id"]
        assert run["service_account"] == "trainer"


def test_a_multi_user_server_that_is_not_told_the_namespace_says_so(taxi, server, capsys):
    server.multi_user = True
    assert submit(taxi, server.host) == FAILED
    assert "refuses: 400" in (line := capsys.readouterr().out.splitlines()[-1])
    assert "Namespace is empty" in line


def test_a_token_comes_from_a_file_or_the_environment(taxi, server, tmp_path, monkeypatch, capsys):
    server.token = "s3cret"
    assert submit(taxi, server.host) == FAILED
    assert (
        capsys.readouterr()
        .out.splitlines()[-1]
        .endswith("answers 401 Unauthorized; does it want a token (--token-file, KFP_TOKEN)?")
    )
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    assert submit(taxi, server.host, f"--token-file={file}") == DONE
    monkeypatch.setenv("KFP_TOKEN", "s3cret")
    assert submit(taxi, server.host) == DONE
    file.write_text("another")
    assert submit(taxi, server.host, f"--token-file={file}") == FAILED
    assert len(server.runs) == 2
    assert "s3cret" not in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "two\nlines"])
def test_a_file_without_a_token_gets_one_line(taxi, tmp_path, content, capsys):
    file = tmp_path / "token"
    assert submit(taxi, "http://127.0.0.1:1", f"--token-file={file}") == FAILED
    assert capsys.readouterr().out.splitlines() == [
        f"--token-file: {file}: No such file or directory"
    ]
    file.write_text(content)
    assert submit(taxi, "http://127.0.0.1:1", f"--token-file={file}") == FAILED
    (line,) = capsys.readouterr().out.splitlines()
    assert line == f"--token-file: {file} holds no token; it is one line of text"


def step(name, state, pod=""):
    return {"display_name": name, "state": state, "pod_name": pod}


# As Argo's nodes are, by name: the step, within it the executor; DAGs fail, too.
FAILED_TRAINER = [
    step("taxi-x7k2p", "FAILED", "taxi-x7k2p"),
    step("root-driver", "SUCCEEDED", "taxi-x7k2p-root-driver-1"),
    step("Transform", "SUCCEEDED", "taxi-x7k2p-2"),
    step("Trainer", "FAILED", "taxi-x7k2p-3"),
    step("executor", "SUCCEEDED", "taxi-x7k2p-impl-4"),
    step("executor", "FAILED", "taxi-x7k2p-impl-5"),
]


# The step's own line stands among those of the launcher and of Argo.
LOG = """\
I1130 12:00:00.000000       1 launcher_v2.go:151] Start
Traceback (most recent call last):
surgery: "pcgard" is not one of pcgrad, none

F1130 12:00:01.000000       1 main.go:59] failed to execute component: exit status 1
time="2026-11-30T12:00:01.000Z" level=info msg="sub-process exited" argo=true error="<nil>"
Error: exit status 1
"""


@pytest.mark.parametrize(
    ("states", "details", "code", "expected"),
    [
        (["PENDING", "SUCCEEDED"], [], DONE, "r1 succeeded"),
        (["CANCELED"], [], CANCELED, "r1 was canceled"),
        (["FAILED"], [], FAILED, "r1 failed"),
        (
            ["RUNNING", "FAILED"],
            FAILED_TRAINER,
            FAILED,
            "r1 failed at Trainer; its log says why: kubectl logs taxi-x7k2p-impl-5 -c main",
        ),
        (
            ["FAILED"],
            [step("Pusher-driver", "FAILED", "p")],
            FAILED,
            "r1 failed at Pusher; its log says why: kubectl logs p -c main",
        ),
    ],
)
def test_the_exit_code_is_how_the_run_ended(taxi, server, states, details, code, expected, capsys):
    server.states, server.details = states, details
    assert submit(taxi, server.host, "--wait") == code
    assert capsys.readouterr().out.splitlines()[-1] == expected


def test_the_last_words_of_the_failed_step_are_shown(taxi, server, capsys):
    server.states, server.details, server.token = ["FAILED"], FAILED_TRAINER, "s3cret"
    server.logs["taxi-x7k2p-impl-5"] = LOG.encode()
    token = taxi.with_name("token")
    token.write_text("s3cret")
    assert submit(taxi, server.host, "--wait", f"--token-file={token}") == FAILED
    line = capsys.readouterr().out.splitlines()[-1]
    assert line == 'r1 failed at Trainer: surgery: "pcgard" is not one of pcgrad, none'


def test_a_page_is_no_log(taxi, server, capsys):
    server.states, server.details = ["FAILED"], FAILED_TRAINER
    server.logs["taxi-x7k2p-impl-5"] = b"<html>Kubeflow Pipelines</html>"
    assert submit(taxi, server.host, "--wait") == FAILED
    assert "kubectl logs taxi-x7k2p-impl-5" in capsys.readouterr().out.splitlines()[-1]


def test_waiting_survives_a_broken_connection(taxi, server, capsys):
    # More than the client itself tries.
    server.states, server.broken = ["RUNNING", "SUCCEEDED"], 6
    assert submit(taxi, server.host, "--wait") == DONE
    assert server.broken == 0
    assert capsys.readouterr().out.splitlines()[-1] == "r1 succeeded"


def test_a_server_that_does_not_come_back_is_not_waited_for(taxi, server, monkeypatch, capsys):
    monkeypatch.setattr("pcgrad_pipelines.kubeflow.kfp_server._LOST_AFTER", 1.0)
    server.broken = 10**6
    assert submit(taxi, server.host, "--wait") == LOST
    assert capsys.readouterr().out.splitlines()[-1].startswith("r1 is out of reach and may go on: ")


def test_a_version_is_uploaded_and_run(taxi, server, capsys):
    for version in ("1", "2"):
        options = [f"--pipeline-version={version}", "--parameter=epochs=3", "--namespace=team"]
        assert submit(taxi, server.host, *options) == DONE
    (pipeline,) = server.pipelines.values()
    assert (pipeline["name"], pipeline["namespace"]) == ("taxi", "team")
    assert set(server.versions) == {("p1", "1"), ("p1", "2")}
    assert all(taxi.read_bytes() in content for content in server.versions.values())
    for run, version in zip(server.runs, ("v1", "v2"), strict=True):
        assert "pipeline_spec" not in run
        assert run["pipeline_version_reference"] == {
            "pipeline_id": "p1",
            "pipeline_version_id": version,
        }
        assert run["runtime_config"]["parameters"] == {"epochs": 3}
        assert run["runtime_config"]["pipeline_root"] == "minio://mlpipeline/v2"
    assert submit(taxi, server.host, "--pipeline-version=2") == FAILED
    assert "refuses: 409" in capsys.readouterr().out.splitlines()[-1]


def test_a_run_recurs(taxi, server, capsys):
    options = ["--cron=0 0 3 * * *", "--run-name=nightly", "--parameter=seed=1"]
    assert submit(taxi, server.host, *options, "--service-account=trainer") == DONE
    assert capsys.readouterr().out.splitlines()[-1] == "Recurring run:      j1"
    assert not server.runs
    (run,) = server.recurring
    assert run["trigger"]["cron_schedule"]["cron"] == "0 0 3 * * *"
    assert (run["mode"], run["no_catchup"], run["display_name"]) == ("ENABLE", True, "nightly")
    assert run["runtime_config"]["parameters"] == {"seed": 1}
    assert run["service_account"] == "trainer"
    assert run["pipeline_spec"]["pipelineInfo"] == {"name": "taxi"}


def test_times_may_have_a_time_zone_or_a_name():
    for zone in ("", "TZ=Europe/Berlin ", "CRON_TZ=Asia/Tokyo "):
        check_cron(f"{zone}0 0 3 * * *", with_seconds=True)
        check_cron(f"{zone}0 3 * * *", with_seconds=False)
        with pytest.raises(SubmitError, match="has 5 fields; give 6"):
            check_cron(f"{zone}0 3 * * *", with_seconds=True)
    for with_seconds in (True, False):
        check_cron("@daily", with_seconds)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--cron=0 3 * * *"], "--cron: '0 3 * * *' has 5 fields; give 6, as '0 0 3 * * *' for"),
        (["--cron=0 0 3 * * *", "--wait"], "--wait: runs that recur have no end; remove it, or"),
        (["--network=n"], "--network is for --target vertex; remove it"),
    ],
)
def test_what_does_not_go_together_gets_one_line(taxi, arguments, expected, capsys):
    assert submit(taxi, "http://127.0.0.1:1", *arguments) == FAILED
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(expected)


def test_vertex_ai_needs_credentials(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    compiled = compile_for("vertex", tmp_path / "taxi.json")
    command = ["--target=vertex", "--submit", f"--compiled={compiled}"]
    assert main([*command, "--project=p", "--region=europe-west1"]) == FAILED
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("Google Cloud: ")
    assert line.endswith("try: gcloud auth application-default login")
